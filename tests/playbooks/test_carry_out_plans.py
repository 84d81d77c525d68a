"""The effect protocol from outside: what the simulated systems saw, and what people are told."""

from datetime import timedelta

import pytest

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from audit.clock import db_now
from audit.models import Entry
from connectors import gateway
from connectors.models import EmergencyStop
from incidents import leases
from incidents.models import Incident
from incidents.states import Status
from playbooks import engine, loop, plans
from playbooks.models import Attempt, Verification
from playbooks.states import ExecutionState, PlanState, StepState
from tests.playbooks.driving import Crash, begin, drive, hurry, letters, states
from tests.playbooks.world import CHARGED, CLOSE, COMMENT, CREDIT, PRICE, RELEASE, World, make_incident, make_plan

WRITES_TO = "^(POST|PATCH) (?!.*(oauth2|token))"


def run(world: World, *writes, incident: Incident | None = None):
    incident = incident or make_incident()
    execution = begin(make_plan(world, incident, *writes))
    return drive(incident), execution


def test_a_plan_across_two_systems_is_carried_out_in_order_and_read_back(world):
    incident, execution = run(world, CREDIT, COMMENT, CLOSE)

    assert incident.status == Status.RESOLVED
    execution.refresh_from_db()
    assert execution.state == ExecutionState.VERIFIED
    assert execution.first_attempt_verified is True
    assert [effect["system"] for effect in world.effects()] == ["fo", "sf", "sf"]
    checks = Verification.objects.filter(step_run__execution=execution)
    assert checks.count() == 3
    assert all(check.matched for check in checks)


def test_a_side_effect_is_foreseen_and_compared(world):
    _incident, execution = run(world, CREDIT)

    check = Verification.objects.get(step_run__execution=execution)
    balance = next(row for row in check.fields if row["field"] == "OpenBalance")
    assert (balance["expected"], balance["actual"], balance["matched"]) == (250.0, 250.0, True)
    assert check.surprises == 0


def test_the_intent_and_the_undo_are_committed_before_the_socket_opens(world, monkeypatch):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED))
    seen = {}

    def look(*args, **options):
        step = execution.step_runs.get()
        seen.update(state=step.state, undo=step.undo, attempts=list(step.attempts.values_list("sent_at", flat=True)))
        seen["entries"] = list(Entry.objects.filter(verb="effect.sent").values_list("target_id", flat=True))
        raise Crash

    monkeypatch.setattr(gateway, "call", look)
    with pytest.raises(Crash):
        loop.advance(incident.pk)

    assert seen["state"] == StepState.SENT
    assert seen["undo"] == {
        "operation": "charge.update",
        "parameters": {"company": "demf", "order": "SO-1", "line": 1, "amount": "112.00"},
    }
    assert seen["attempts"] != [None]
    assert seen["entries"] == [str(execution.step_runs.get().pk)]


def test_a_record_that_already_says_so_is_not_written(world):
    incident = make_incident()
    begin(make_plan(world, incident, CHARGED))
    key = {"dataAreaId": "demf", "SalesOrderNumber": "SO-1", "ChargeLineNumber": 1}
    world.edit(system="fo", entity="SalesOrderCharges", key=key, changes={"FixedChargeAmount": 84.0})

    drive(incident)

    assert incident.status == Status.RESOLVED
    assert world.effects() == []
    assert "already" in Entry.objects.get(verb="effect.skipped").reason


def test_a_record_changed_since_the_plan_is_not_overwritten_and_the_approval_is_void(world):
    incident = make_incident()
    plan = make_plan(world, incident, CHARGED)
    execution = begin(plan)
    key = {"dataAreaId": "demf", "SalesOrderNumber": "SO-1", "ChargeLineNumber": 1}
    world.edit(system="fo", entity="SalesOrderCharges", key=key, changes={"FixedChargeAmount": 99.0})

    loop.advance(incident.pk)

    plan.refresh_from_db()
    execution.refresh_from_db()
    assert (plan.state, execution.state) == (PlanState.VOID, ExecutionState.CANCELLED)
    assert world.effects() == []
    assert "changed by someone" in plan.state_reason


def test_a_person_who_edits_between_our_look_and_our_write_is_not_overwritten(world, monkeypatch):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED))
    key = {"dataAreaId": "demf", "SalesOrderNumber": "SO-1", "ChargeLineNumber": 1}
    call = gateway.call

    def edited_first(*args, **options):
        monkeypatch.setattr(gateway, "call", call)
        world.edit(system="fo", entity="SalesOrderCharges", key=key, changes={"FixedChargeAmount": 99.0})
        return call(*args, **options)

    monkeypatch.setattr(gateway, "call", edited_first)
    drive(incident)

    assert world.effects() == []
    assert states(execution) != [StepState.VERIFIED]
    attempt = Attempt.objects.get(step_run__execution=execution, sent_at__isnull=False)
    assert attempt.outcome == "versionconflict"


@pytest.mark.parametrize("fault", ["commit_then_reset", "commit_then_timeout", "commit_then_503"])
@pytest.mark.parametrize("write", [CHARGED, CREDIT, COMMENT], ids=["patch", "action", "marker"])
def test_a_lost_answer_is_looked_up_and_adopted(world, settings, fault, write):
    settings.OUTBOUND_TIMEOUT_SECONDS = 0.3
    world.fault(fault, match=WRITES_TO, count=1, seconds=0.6)

    incident, execution = run(world, write)

    assert incident.status == Status.RESOLVED
    assert len(world.effects()) == 1
    outcomes = list(Attempt.objects.filter(step_run__execution=execution).values_list("act", "outcome"))
    assert outcomes[-1] == ("find", "found")
    execution.refresh_from_db()


@pytest.mark.parametrize("write", [CHARGED, CREDIT, COMMENT], ids=["patch", "action", "marker"])
def test_an_answer_lost_without_an_effect_is_looked_for_twice_then_sent_again_under_the_same_key(world, write):
    world.fault("fail_before", match=WRITES_TO, count=1)

    incident, execution = run(world, write)

    assert incident.status == Status.RESOLVED
    assert len(world.effects()) == 1
    acts = list(Attempt.objects.filter(step_run__execution=execution).values_list("act", "outcome"))
    assert [act for act, _ in acts] == ["send", "find", "find", "send"]
    assert [outcome for act, outcome in acts if act == "find"] == ["not_found", "not_found"]
    assert len({request["effect_key"] for request in world.requests() if request["effect_key"]}) == 1


def test_nothing_is_sent_before_a_retry_after_has_ended(world):
    incident = make_incident()
    begin(make_plan(world, incident, CHARGED))
    world.fault("429", match=WRITES_TO, count=1, seconds=30)
    loop.advance(incident.pk)
    before = len(world.requests())

    loop.advance(incident.pk)
    incident.refresh_from_db()

    assert len(world.requests()) == before
    assert incident.status == Status.EXECUTING
    assert incident.due_at > db_now() + timedelta(seconds=20)
    assert drive(incident).status == Status.RESOLVED
    assert len(world.effects()) == 1


def test_a_lock_is_waited_for(world):
    world.fault("lock", match=WRITES_TO, count=2)

    incident, _execution = run(world, CHARGED)

    assert incident.status == Status.RESOLVED
    assert len(world.effects()) == 1


def test_a_refusal_becomes_a_dead_letter_with_what_to_do_and_holds_its_lane(world):
    incident = make_incident()
    begin(make_plan(world, incident, CREDIT))
    today = db_now().strftime("%Y-%m")
    world.http.post("/control/period", json={"period": today, "status": "Closed"})

    drive(incident)

    [letter] = letters(incident)
    assert incident.status == Status.NEEDS_OPERATOR
    assert "period" in letter.error.lower()
    assert letter.guidance
    other = make_incident()
    begin(make_plan(world, other, CHARGED))
    assert drive(other).status == Status.RESOLVED  # another record, another lane


def test_a_read_back_that_stays_different_is_shown_and_not_called_fixed(world, monkeypatch):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED))
    key = {"dataAreaId": "demf", "SalesOrderNumber": "SO-1", "ChargeLineNumber": 1}
    call = gateway.call

    def overwritten(*args, **options):
        answer = call(*args, **options)
        world.edit(system="fo", entity="SalesOrderCharges", key=key, changes={"FixedChargeAmount": 112.0})
        return answer

    monkeypatch.setattr(gateway, "call", overwritten)
    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert "FixedChargeAmount of" in incident.status_reason
    assert Verification.objects.filter(step_run__execution=execution, matched=False).count() == 3
    assert [letter.cause for letter in letters(incident)] == ["fo: read_back_differs"]


def test_a_stale_read_back_is_read_again_before_it_is_believed(world, monkeypatch):
    incident = make_incident()
    execution = begin(make_plan(world, incident, PRICE))
    call = gateway.call

    def then_stale(*args, **options):
        answer = call(*args, **options)
        world.fault("stale", match="^GET .*SalesOrderLines", count=1)
        return answer

    monkeypatch.setattr(gateway, "call", then_stale)
    drive(incident)

    assert incident.status == Status.RESOLVED
    assert list(execution.step_runs.get().verifications.values_list("matched", flat=True)) == [False, True]


def test_the_emergency_stop_stops_before_the_socket(world):
    incident = make_incident()
    begin(make_plan(world, incident, CHARGED))
    EmergencyStop.objects.create(reason="audit", actor="compliance")

    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert "Emergency stop" in incident.status_reason
    assert world.effects() == []


def test_without_a_standing_approval_nothing_is_sent(world):
    incident = make_incident()
    plan = make_plan(world, incident, CHARGED)
    begin(plan)
    type(plan).objects.filter(pk=plan.pk).update(autonomous=False)

    drive(incident)

    assert world.effects() == []
    assert "No approval" in incident.status_reason


def test_an_approval_withdrawn_while_the_plan_waits_in_its_lane_stops_it(world, approver):
    incident = make_incident(status=Status.PLANNED)
    plan = make_plan(world, incident, CREDIT)
    drive(incident)
    asked = ApprovalRequest.objects.get(subject="plan", subject_id=plan.pk)
    approvals.decide(asked, by=approver, verdict="approve", digest=plan.digest)
    approvals.void("plan", plan.pk, reason="changed my mind", actor="compliance")

    drive(incident)

    assert world.effects() == []
    assert incident.status != Status.RESOLVED


def test_a_worker_that_slept_through_its_lease_sends_nothing(world, monkeypatch):
    incident = make_incident()
    begin(make_plan(world, incident, CHARGED))
    forbids = engine.authority.forbids

    def overslept(step_run, records):
        Incident.objects.filter(pk=incident.pk).update(lease_until=db_now() - timedelta(seconds=1))
        return forbids(step_run, records)

    with monkeypatch.context() as asleep:
        asleep.setattr(engine.authority, "forbids", overslept)
        loop.advance(incident.pk)

    assert world.effects() == []
    assert drive(incident).status == Status.RESOLVED
    assert len(world.effects()) == 1


def test_a_worker_woken_after_its_send_changes_no_row(world, monkeypatch):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED))
    call = gateway.call

    def slow(*args, **options):
        answer = call(*args, **options)
        Incident.objects.filter(pk=incident.pk).update(lease_until=db_now() - timedelta(seconds=1))
        assert leases.claim(incident.pk, only_due=False) is not None
        return answer

    with monkeypatch.context() as slept:
        slept.setattr(gateway, "call", slow)
        loop.advance(incident.pk)

    assert states(execution) == [StepState.SENT]
    assert drive(incident).status == Status.RESOLVED
    assert len(world.effects()) == 1


def test_where_the_ledger_cannot_be_written_nothing_is_sent(world, monkeypatch):
    from playbooks import moves

    incident = make_incident()
    begin(make_plan(world, incident, CHARGED))

    def broken(verb, **options):
        if verb == "effect.sent":
            raise RuntimeError("the ledger is full")

    with monkeypatch.context() as full:
        full.setattr(moves, "record", broken)
        loop.advance(incident.pk)

    assert world.effects() == []
    assert Incident.objects.get(pk=incident.pk).status == Status.EXECUTING
    assert drive(incident).status == Status.RESOLVED


def test_two_plans_for_one_record_run_one_after_the_other(world):
    first, second = make_incident(), make_incident(entity_key="SO-1b")
    one = begin(make_plan(world, first, CHARGED))
    begin(make_plan(world, second, CHARGED))

    loop.advance(second.pk)
    waiting = Incident.objects.get(pk=second.pk)

    assert waiting.status == Status.EXECUTING
    assert world.effects() == []
    drive(first)
    drive(second)
    assert states(one) == [StepState.VERIFIED]
    assert len(world.effects()) == 1  # for the second the record already says so


def test_the_release_of_a_hold_leaves_its_mark_where_it_can_be_found(world):
    incident, execution = run(world, RELEASE)

    order = world.truth("fo", "SalesOrderHeadersV2", "SO-1")
    assert incident.status == Status.RESOLVED
    assert (order["CreditHold"], order["CreditHoldReference"]) == ("No", execution.step_runs.get().effect_key)


def test_a_system_that_is_down_is_waited_for_and_then_it_goes_on(world):
    incident = make_incident()
    begin(make_plan(world, incident, CHARGED))
    world.fault("fail_before", match="SalesOrder", count=12)
    for _ in range(6):
        hurry(incident)
        loop.advance(incident.pk)

    incident.refresh_from_db()
    assert incident.status == Status.EXECUTING
    assert incident.stumble.count == 6
    assert incident.stumble.message
    assert drive(incident).status == Status.RESOLVED
    assert len(world.effects()) == 1


def test_a_write_that_is_never_taken_is_left_to_a_person_after_five_tries(world):
    incident = make_incident()
    begin(make_plan(world, incident, CHARGED))
    world.fault("lock", match=WRITES_TO, count=50)

    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert world.effects() == []
    [letter] = letters(incident)
    assert letter.step_run.attempts.filter(sent_at__isnull=False).count() == 5
    assert plans.authority(incident.plans.get()) == ""
