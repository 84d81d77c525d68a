"""What the loop and people do to incidents: moves, verbs, merges, and the line each leaves in the ledger."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from audit.clock import db_now
from audit.errors import IllegalMove, Invalid, LostRace, NotAllowed, Refusal, Stale
from audit.models import Entry
from incidents import actions
from incidents.intake import accept
from incidents.merging import kept_apart
from incidents.models import Comment, Incident, Merge, Signal, SlaClock
from incidents.signals import incident_due, incident_moved
from incidents.states import CLOSED, MACHINE, NEXT, Status
from tests.factories import make_user
from tests.incidents.factories import later, make_incident, make_kind, make_policy, make_signal

pytestmark = pytest.mark.django_db


def put(incident: Incident, status: Status) -> Incident:
    """Set a status without asking whether it may be reached."""
    Incident.objects.filter(pk=incident.pk).update(
        status=status, closed_at=db_now() if status in CLOSED else None, due_at=None
    )
    return Incident.objects.get(pk=incident.pk)


# --- moves ---------------------------------------------------------------------------------------


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


# --- people's verbs ------------------------------------------------------------------------------


def do(verb: str, incident: Incident, by: Any, reason: str = "Because.", **given: Any) -> Any:
    """Call one verb with what it needs besides."""
    if verb == "merge":
        return actions.merge(make_incident(entity_key="CIV-2"), incident, by=by, reason=reason, **given)
    if verb == "unmerge":
        merge = Merge(kept=incident, folded=incident)
        return actions.unmerge(merge, by=by, reason=reason)
    if verb == "assign":
        given["to"] = by
    return getattr(actions, verb)(incident, by=by, reason=reason, **given)


@pytest.mark.parametrize("role", ["viewer", "approver", "compliance", "auditor", "integration"])
@pytest.mark.parametrize("verb", ["assign", "hold", "release", "dismiss", "reopen", "merge", "unmerge"])
def test_only_those_who_work_on_incidents_change_them(verb, role):
    incident = put(make_incident(), Status.DISMISSED if verb == "reopen" else Status.NEEDS_OPERATOR)

    with pytest.raises(NotAllowed, match="Operators do"):
        do(verb, incident, make_user(role, role=role))

    assert Incident.objects.get(pk=incident.pk).row_version == 1


@pytest.mark.parametrize("verb", ["hold", "dismiss", "reopen", "merge", "unmerge"])
@pytest.mark.parametrize("reason", ["", "  \n", "\x00"])
def test_where_a_reason_is_needed_one_is_asked_for(operator, verb, reason):
    incident = put(make_incident(), Status.DISMISSED if verb == "reopen" else Status.NEEDS_OPERATOR)

    with pytest.raises(Invalid) as refused:
        do(verb, incident, operator, reason)

    assert "reason" in refused.value.errors


@pytest.mark.parametrize(
    ("verb", "before"),
    [
        ("hold", Status.NEEDS_OPERATOR),
        ("release", Status.ON_HOLD),
        ("dismiss", Status.NEEDS_OPERATOR),
        ("reopen", Status.DISMISSED),
    ],
)
def test_whoever_saw_an_older_version_is_stopped(operator, verb, before):
    incident = put(make_incident(), before)

    with pytest.raises(Stale):
        getattr(actions, verb)(incident, by=operator, reason="Because.", if_version=7)

    assert Incident.objects.get(pk=incident.pk).status == before


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        ("hold", Status.AWAITING_APPROVAL, Status.ON_HOLD),
        ("release", Status.ON_HOLD, Status.TRIAGED),
        ("dismiss", Status.NEEDS_OPERATOR, Status.DISMISSED),
        ("reopen", Status.RESOLVED, Status.TRIAGED),
        ("reopen", Status.ROLLED_BACK, Status.TRIAGED),
    ],
)
def test_each_verb_leaves_the_state_and_the_person_in_the_ledger(operator, verb, before, after):
    make_kind()
    incident = put(make_incident(), before)

    row = getattr(actions, verb)(incident, by=operator, reason="The customer called.", if_version=1)

    entry = Entry.objects.get(verb=f"incident.{after}")
    assert (row.status, row.row_version) == (after, 2)
    assert (entry.actor, entry.reason) == ("operator", "The customer called.")
    assert row.history.first().history_user == operator


@pytest.mark.parametrize(
    ("verb", "status"),
    [("hold", Status.EXECUTING), ("release", Status.TRIAGED), ("dismiss", Status.EXECUTING), ("reopen", Status.NEW)],
)
def test_a_verb_at_the_wrong_time_is_refused(operator, verb, status):
    incident = put(make_incident(), status)

    with pytest.raises(IllegalMove):
        getattr(actions, verb)(incident, by=operator, reason="Because.")


def test_an_incident_of_no_kind_goes_back_to_a_person(operator):
    incident = put(make_incident(code="unknown"), Status.ON_HOLD)

    assert actions.release(incident, by=operator).status == Status.NEEDS_OPERATOR


def test_a_problem_that_is_open_elsewhere_is_not_reopened(operator):
    make_kind()
    incident = put(make_incident(), Status.DISMISSED)
    other = accept(make_signal(id="new", time=later(10**7))).incident

    with pytest.raises(IllegalMove, match=f"INC-{other.pk}"):
        actions.reopen(incident, by=operator, reason="Again.")

    assert Incident.objects.get(pk=incident.pk).status == Status.DISMISSED


def test_an_incident_is_given_to_an_operator_who_may_see_it(operator):
    incident, second = make_incident(), make_user("second", role="operator", units=["EU"])

    row = actions.assign(incident, by=operator, to=second)

    entry = Entry.objects.get(verb="incident.assigned")
    assert row.assignee == second
    assert json.loads(entry.body)["after"] == {"assignee_id": second.pk}


@pytest.mark.parametrize(
    "person", [{"role": "viewer"}, {"role": "operator", "units": ["US"]}, {"role": "operator", "regions": ["FR"]}]
)
def test_an_incident_is_not_given_to_somebody_who_could_not_work_on_it(operator, person):
    incident, other = make_incident(), make_user("other", **person)

    with pytest.raises(Invalid) as refused:
        actions.assign(incident, by=operator, to=other)

    assert "assignee" in refused.value.errors


def test_an_incident_can_be_given_back(operator):
    incident = actions.assign(make_incident(), by=operator, to=operator)

    assert actions.assign(incident, by=operator, to=None).assignee is None


def test_a_comment_is_kept_as_text(approver):
    incident = make_incident()

    actions.comment(incident, by=approver, text="  <b>Look</b> {incident.code} ")

    remark = Comment.objects.get()
    assert (remark.text, remark.author) == ("<b>Look</b> {incident.code}", "approver")
    assert Entry.objects.get(verb="incident.commented").actor == "approver"


@pytest.mark.parametrize("text", ["", "  ", "\x00", "x" * 10_001])
def test_a_comment_that_says_nothing_or_too_much_is_refused(operator, text):
    with pytest.raises(Invalid):
        actions.comment(make_incident(), by=operator, text=text)


def test_a_viewer_does_not_comment(viewer):
    with pytest.raises(NotAllowed):
        actions.comment(make_incident(), by=viewer, text="Hello")


@pytest.mark.django_db(transaction=True)
def test_of_two_people_who_dismiss_at_once_one_does(operator):
    incident = make_incident()

    def dismiss(number: int) -> str:
        try:
            return actions.dismiss(incident, by=operator, reason=f"Person {number}").status_reason
        except Refusal as refusal:
            return type(refusal).__name__
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(dismiss, range(8)))

    assert answers.count("IllegalMove") == 7
    assert Entry.objects.filter(verb="incident.dismissed").count() == 1


# --- merging -------------------------------------------------------------------------------------


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
