"""Merging: two incidents become one, are taken apart exactly, and stay apart."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from audit.errors import IllegalMove, Invalid, LostRace
from audit.models import Entry
from incidents import actions
from incidents.intake import accept, accept_many
from incidents.merging import kept_apart
from incidents.models import Incident, Merge, Signal, SlaClock
from incidents.states import Status
from tests.incidents.factories import later, make_incident, make_kind, make_policy, make_signal, put

pytestmark = pytest.mark.django_db


def pair() -> tuple[Incident, Incident]:
    """Two open incidents, the second with two signals."""
    kept, folded = make_incident(id="k1"), make_incident(id="f1", entity_key="CIV-2", time=later(-30))
    accept(make_signal(id="f2", entity_key="CIV-2", time=later(40)))
    return Incident.objects.get(pk=kept.pk), Incident.objects.get(pk=folded.pk)


def merge_of(folded: Incident) -> Merge:
    return Merge.objects.filter(folded=folded).latest("pk")


def shape(*incidents: Incident) -> list[Any]:
    """What a merge must leave as it was: whose signals and evidence are where, and all counters."""
    rows = []
    for incident in incidents:
        incident.refresh_from_db()
        signals = sorted(incident.signals.values_list("event_id", flat=True))
        evidence = sorted(incident.evidence.values_list("record_id", flat=True))
        counted = (incident.signals_count, incident.first_signal_at, incident.last_signal_at)
        state = (incident.status, incident.status_reason, incident.closed_at, incident.merged_into_id)
        rows.append((signals, evidence, counted, state))
    return rows


def test_a_merge_takes_signals_and_evidence_along(operator):
    kept, folded = pair()

    actions.merge(kept, folded, by=operator, reason="One order.")

    kept.refresh_from_db()
    folded.refresh_from_db()
    assert sorted(kept.signals.values_list("event_id", flat=True)) == ["f1", "f2", "k1"]
    assert kept.evidence.count() == kept.signals_count == 3
    assert (kept.first_signal_at, kept.last_signal_at) == (later(-30), later(40))
    assert (folded.signals_count, folded.status, folded.merged_into) == (0, Status.DISMISSED, kept)
    assert set(Signal.objects.filter(incident=kept).values_list("joined", flat=True)) == {kept.pk, folded.pk}
    assert Entry.objects.get(verb="incident.merged").incident_id == kept.pk


def test_signals_of_the_folded_problem_join_the_kept_incident(operator):
    kept, folded = pair()
    actions.merge(kept, folded, by=operator, reason="One order.")

    late = accept(make_signal(id="f3", entity_key="CIV-2", time=later(10**7)))

    kept.refresh_from_db()
    assert (late.incident, late.merged) == (kept, True)
    assert kept.signals_count == 4


def test_a_batch_about_two_folded_problems_counts_into_one_incident(operator):
    kept, folded = pair()
    other = make_incident(id="o1", entity_key="CIV-3")
    actions.merge(kept, folded, by=operator, reason="One order.")
    actions.merge(kept, other, by=operator, reason="One order.")

    accept_many([make_signal(id=f"b{number}", entity_key=f"CIV-{number % 2 + 2}") for number in range(6)])

    kept.refresh_from_db()
    assert kept.signals_count == kept.signals.count() == 4 + 6


def test_after_the_kept_incident_is_over_the_folded_problem_opens_a_new_one(operator):
    kept, folded = pair()
    actions.merge(kept, folded, by=operator, reason="One order.")
    actions.dismiss(kept, by=operator, reason="Done.")

    fresh = accept(make_signal(id="f3", entity_key="CIV-2", time=later(10**7)))

    assert fresh.incident not in (kept, folded)


def test_unmerging_is_the_exact_inverse(operator):
    kept, folded = pair()
    before = shape(kept, folded)

    actions.merge(kept, folded, by=operator, reason="One order.")
    merged = shape(kept, folded)
    actions.unmerge(merge_of(folded), by=operator, reason="Two orders after all.")

    assert merged != before
    assert shape(kept, folded) == before


def test_signals_that_came_since_go_with_their_problem(operator):
    kept, folded = pair()
    actions.merge(kept, folded, by=operator, reason="One order.")
    accept(make_signal(id="f3", entity_key="CIV-2", time=later(50)))
    accept(make_signal(id="k2", time=later(60)))

    actions.unmerge(merge_of(folded), by=operator, reason="Two orders.")

    (kept_signals, *_), (folded_signals, *_) = shape(kept, folded)
    assert (kept_signals, folded_signals) == (["k1", "k2"], ["f1", "f2", "f3"])
    assert accept(make_signal(id="f4", entity_key="CIV-2", time=later(70))).incident == folded


def test_an_incident_that_the_loop_was_at_is_due_again_when_it_is_taken_out(operator):
    make_kind()
    kept, folded = pair()
    actions.merge(kept, folded, by=operator, reason="One order.")
    assert Incident.objects.get(pk=folded.pk).due_at is None

    actions.unmerge(merge_of(folded), by=operator, reason="Two orders.")

    folded.refresh_from_db()
    assert folded.status == Status.NEW
    assert folded.due_at is not None


def test_while_the_folded_problem_is_open_anew_it_is_not_taken_out(operator):
    kept, folded = pair()
    actions.merge(kept, folded, by=operator, reason="One order.")
    actions.dismiss(kept, by=operator, reason="Done.")
    accept(make_signal(id="f3", entity_key="CIV-2", time=later(10**7)))

    with pytest.raises(IllegalMove, match="same problem is open"):
        actions.unmerge(merge_of(folded), by=operator, reason="Two orders.")

    assert Merge.objects.get().unmerged_at is None
    assert folded.signals.count() == 0


def test_a_folded_incident_s_clock_stops_and_goes_on(operator):
    make_policy()
    kept, folded = pair()

    actions.merge(kept, folded, by=operator, reason="One order.")
    stopped = SlaClock.objects.get(incident=folded).stopped_at
    actions.unmerge(merge_of(folded), by=operator, reason="Two orders.")

    assert stopped is not None
    assert SlaClock.objects.get(incident=folded).stopped_at is None


def test_what_was_taken_apart_is_remembered(operator):
    kept, folded = pair()
    assert not kept_apart(kept, folded)
    actions.merge(kept, folded, by=operator, reason="One order.")

    actions.unmerge(merge_of(folded), by=operator, reason="Two orders.")

    assert kept_apart(kept, folded) is kept_apart(folded, kept) is True
    assert not kept_apart(kept, make_incident(entity_key="CIV-3"))
    assert Merge.objects.get().unmerged_at is not None


def test_a_merge_is_taken_apart_once(operator):
    kept, folded = pair()
    actions.merge(kept, folded, by=operator, reason="One order.")
    actions.unmerge(merge_of(folded), by=operator, reason="Two orders.")

    with pytest.raises(LostRace, match="taken apart already"):
        actions.unmerge(merge_of(folded), by=operator, reason="Again.")


def test_a_chain_of_merges_is_taken_apart_from_its_end(operator):
    kept, middle = pair()
    first = make_incident(id="m1", entity_key="CIV-3")
    actions.merge(middle, first, by=operator, reason="a")
    actions.merge(kept, middle, by=operator, reason="b")

    with pytest.raises(IllegalMove, match="take that apart first"):
        actions.unmerge(merge_of(first), by=operator, reason="c")

    assert accept(make_signal(id="m2", entity_key="CIV-3", time=later(90))).incident == kept


def test_a_folded_incident_is_not_reopened_but_taken_out(operator):
    kept, folded = pair()
    actions.merge(kept, folded, by=operator, reason="One order.")

    with pytest.raises(IllegalMove, match="take the merge apart"):
        actions.reopen(folded, by=operator, reason="Why not.")


@pytest.mark.parametrize("which", ["self", "closed kept", "closed folded", "executing", "other unit"])
def test_a_merge_that_makes_no_sense_is_refused(operator, which):
    kept, folded = pair()
    if which == "self":
        kept = folded
    elif which == "closed kept":
        put(kept, Status.RESOLVED)
    elif which == "closed folded":
        put(folded, Status.DISMISSED)
    elif which == "executing":
        put(folded, Status.EXECUTING)
    else:
        Incident.objects.filter(pk=folded.pk).update(business_unit="US")

    with pytest.raises((IllegalMove, Invalid)):
        actions.merge(kept, folded, by=operator, reason="Hm.")

    assert not Merge.objects.exists()
    assert folded.signals.count() == 2


@pytest.mark.django_db(transaction=True)
def test_merging_while_signals_arrive_loses_none(operator):
    kept, folded = pair()

    def act(number: int) -> None:
        try:
            if number == 10:
                actions.merge(kept, folded, by=operator, reason="One order.")
            else:
                key = "CIV-2" if number % 2 else "CIV-000697"
                accept(make_signal(id=f"n{number}", entity_key=key, time=later(10**7 + number)))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(act, range(40)))

    kept.refresh_from_db()
    assert Signal.objects.count() == 3 + 39
    assert kept.signals.count() == kept.signals_count == 42
