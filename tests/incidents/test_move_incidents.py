"""Moves: what each writes, which are possible, and that of two workers one moves."""

import json
from typing import Any

import pytest
from django.db import connection

from audit.clock import db_now
from audit.errors import IllegalMove, LostRace
from audit.models import Entry
from incidents import actions
from incidents.intake import accept
from incidents.models import Incident
from incidents.signals import incident_due, incident_moved
from incidents.states import MACHINE, NEXT, Status
from tests.incidents.factories import later, make_incident, make_signal, put

pytestmark = pytest.mark.django_db


def test_a_move_writes_status_version_history_and_ledger():
    incident = make_incident()

    moved = actions.move(incident, Status.TRIAGED, actor="system:loop", reason="It is urgent.")

    stored = Incident.objects.get(pk=incident.pk)
    entry = Entry.objects.get(verb="incident.triaged")
    assert moved is incident
    assert (stored.status, stored.status_reason, stored.row_version) == ("triaged", "It is urgent.", 2)
    assert (stored.status, stored.row_version) == (incident.status, incident.row_version)
    assert (entry.actor, entry.reason, entry.incident_id) == ("system:loop", "It is urgent.", incident.pk)
    assert json.loads(entry.body) == {"before": {"status": "needs_operator"}, "after": {"status": "triaged"}}
    assert stored.history.first().status == "triaged"
    assert stored.history.first().history_change_reason == "It is urgent."


@pytest.mark.parametrize("before", list(Status))
def test_only_the_moves_of_the_table_are_possible(before):
    incident = put(make_incident(), before)

    for to in Status:
        if to in NEXT[before]:
            continue
        with pytest.raises(IllegalMove, match="cannot become"):
            actions.move(incident, to, actor="system:loop")

    assert Incident.objects.get(pk=incident.pk).status == before


def test_of_two_workers_only_one_moves_the_incident():
    incident = make_incident()
    late = Incident.objects.get(pk=incident.pk)
    actions.move(incident, Status.TRIAGED, actor="worker one")

    with pytest.raises(LostRace):
        actions.move(late, Status.DISMISSED, actor="worker two")

    assert Entry.objects.filter(verb="incident.dismissed").count() == 0


@pytest.mark.parametrize("to", [Status.TRIAGED, Status.ON_HOLD])
def test_only_machine_states_are_due(to):
    incident = make_incident()

    actions.move(incident, to, actor="system:loop")

    assert (incident.due_at is not None) is (to in MACHINE)


def test_a_move_can_be_due_later():
    incident = make_incident()

    actions.move(incident, Status.TRIAGED, actor="system:loop", due_in=90)

    assert incident.due_at is not None
    assert 85 < (incident.due_at - db_now()).total_seconds() <= 90


def test_resolving_closes_and_says_when():
    incident = put(make_incident(), Status.VERIFYING)

    actions.move(incident, Status.RESOLVED, actor="system:loop")

    stored = Incident.objects.get(pk=incident.pk)
    assert stored.resolved_at == stored.closed_at is not None


def test_while_a_closed_incident_is_rolled_back_it_takes_no_new_signals():
    incident = put(make_incident(), Status.VERIFYING)
    actions.move(incident, Status.RESOLVED, actor="system:loop")

    actions.move(incident, Status.ROLLING_BACK, actor="system:loop")

    assert Incident.objects.get(pk=incident.pk).closed_at is not None
    fresh = accept(make_signal(id="new", code="unknown", time=later(10**7)))
    assert fresh.incident != incident


def test_an_undo_that_fails_while_the_problem_is_open_again_still_gets_its_person():
    incident = put(make_incident(code="unknown"), Status.VERIFYING)
    actions.move(incident, Status.RESOLVED, actor="system:loop")
    actions.move(incident, Status.ROLLING_BACK, actor="system:loop")
    accept(make_signal(id="new", code="unknown", time=later(10**7)))

    actions.move(incident, Status.NEEDS_OPERATOR, actor="system:loop", reason="The period is closed.")

    stored = Incident.objects.get(pk=incident.pk)
    assert stored.status == Status.NEEDS_OPERATOR
    assert stored.closed_at is not None


def test_further_columns_are_written_with_the_move():
    incident = make_incident()

    actions.move(incident, Status.TRIAGED, actor="system:loop", domain="legal")

    assert Incident.objects.get(pk=incident.pk).domain == "legal"


def test_the_bell_is_rung_inside_and_the_news_told_after_the_commit(django_capture_on_commit_callbacks):
    incident = make_incident()
    heard: list[Any] = []

    def due(sender: type[Incident], incident_id: int, **_: Any) -> None:
        heard.append(("due", incident_id, connection.in_atomic_block))

    def moved(sender: type[Incident], incident_id: int, status: str, **_: Any) -> None:
        heard.append(("moved", incident_id, status))

    incident_due.connect(due, weak=False)
    incident_moved.connect(moved, weak=False)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            actions.move(incident, Status.TRIAGED, actor="system:loop")
    finally:
        incident_due.disconnect(due)
        incident_moved.disconnect(moved)

    assert heard == [("due", incident.pk, True), ("moved", incident.pk, "triaged")]


def test_ringing_makes_an_incident_due():
    incident = put(make_incident(), Status.TRIAGED)

    actions.ring(incident.pk, in_seconds=30)

    due_at = Incident.objects.get(pk=incident.pk).due_at
    assert due_at is not None
    assert 25 < (due_at - db_now()).total_seconds() <= 30


def test_a_change_that_changes_nothing_leaves_no_trace():
    incident = make_incident()

    actions.change(incident, "incident.assessed", actor="system:loop", domain=incident.domain)

    assert Incident.objects.get(pk=incident.pk).row_version == 1
    assert not Entry.objects.filter(verb="incident.assessed").exists()


def test_a_change_over_an_older_row_is_lost():
    incident = make_incident()
    late = Incident.objects.get(pk=incident.pk)
    actions.change(incident, "incident.assessed", actor="one", domain="a")

    with pytest.raises(LostRace):
        actions.change(late, "incident.assessed", actor="two", domain="b")
