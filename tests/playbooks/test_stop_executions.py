"""Cancelled, undone by half, undone twice at once: it stops where it should, and nothing is taken back twice."""

from typing import Any

import pytest

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from audit.errors import Refusal
from incidents.models import Incident
from incidents.states import Status
from playbooks import actions, executions, loop
from playbooks.models import Execution, LaneTicket, Plan
from playbooks.states import StepState
from tests.playbooks.cases import CHARGE_KEY, STEP, live_plan, make_freight, make_mend
from tests.playbooks.driving import begin, drive, hurry, letters, states
from tests.playbooks.world import CHARGED, CLOSE, COMMENT, CREDIT, PRICE, World, make_incident, make_plan
from tests.racing import at_once

CHOICE: dict[str, Any] = {
    "slots": {"amount": {"values": ["84.00", "90.00"], "default": "'84.00'"}},
    "autonomy": None,
}
SLOTTED = {**STEP, "arguments": {**STEP["arguments"], "amount": "slots.amount"}}


def asked(world: World) -> tuple[Incident, Plan]:
    """An incident whose plan waits for an approver, with a choice of amounts."""
    make_mend(SLOTTED, **CHOICE)
    incident = make_freight()
    drive(incident)
    assert incident.status == Status.AWAITING_APPROVAL, incident.status_reason
    return incident, live_plan(incident)


def partly(world: World, operator) -> tuple[Incident, Execution]:
    """A plan that was carried out by half: the freight is corrected, the credit is refused."""
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED, CREDIT))
    world.fault("412", match="POST .*CreditInvoice", count=50)
    drive(incident)
    assert incident.status == Status.NEEDS_OPERATOR
    execution.refresh_from_db()
    return incident, execution


@pytest.mark.django_db(transaction=True)
def test_a_cancel_and_the_loop_at_once_never_wait_for_each_other(world, operator):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED, PRICE, COMMENT))

    came = at_once(
        lambda: loop.advance(incident.pk),
        *(lambda: actions.cancel(Execution.objects.get(pk=execution.pk), by=operator) for _ in range(3)),
    )
    drive(incident)

    assert not [one for one in came if isinstance(one, Exception) and not isinstance(one, Refusal)]
    assert incident.status in (Status.NEEDS_OPERATOR, Status.RESOLVED)
    assert len({effect["effect_key"] for effect in world.effects()}) == len(world.effects())


def test_a_cancelled_execution_begins_nothing_more_even_while_it_waits(world, operator):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED))
    world.fault("fail_before", match="SalesOrder", count=3)
    loop.advance(incident.pk)

    actions.cancel(execution, by=operator, reason="not today")
    loop.advance(incident.pk)

    incident.refresh_from_db()
    assert incident.status == Status.NEEDS_OPERATOR
    assert "Nothing was sent" in incident.status_reason
    assert world.effects() == []
    assert not LaneTicket.objects.exists()


def test_a_step_on_its_way_is_followed_to_its_end_before_a_cancel(world, operator):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED, PRICE))
    world.fault("commit_then_reset", match="^PATCH .*SalesOrderCharges", count=1)
    call = executions.gateway.call

    def cancelled_meanwhile(*args, **options):
        executions.gateway.call = call
        actions.cancel(Execution.objects.get(pk=execution.pk), by=operator)
        return call(*args, **options)

    executions.gateway.call = cancelled_meanwhile
    try:
        drive(incident)
    finally:
        executions.gateway.call = call

    assert states(execution) == [StepState.VERIFIED, StepState.PLANNED]
    assert "1 of its steps stand and can be undone" in incident.status_reason
    back = actions.roll_back(Execution.objects.get(pk=execution.pk), by=operator, reason="half is worse")
    drive(incident)
    assert incident.status == Status.ROLLED_BACK
    assert back.step_runs.count() == 1


def test_what_is_over_cannot_be_cancelled(world, operator):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED))
    drive(incident)
    execution.refresh_from_db()

    with pytest.raises(executions.CannotUndo, match="nothing is left"):
        actions.cancel(execution, by=operator)


def test_a_plan_that_was_half_carried_out_is_taken_back_by_half(world, operator, approver):
    incident, execution = partly(world, operator)

    back = actions.roll_back(execution, by=operator, reason="half is worse than none")
    question = ApprovalRequest.objects.get(subject="rollback")
    approvals.decide(question, by=approver, verdict="approve", digest=back.digest)
    drive(incident)

    assert [run.operation for run in back.step_runs.all()] == ["charge.update"]
    assert incident.status == Status.ROLLED_BACK, incident.status_reason
    assert letters(incident) == []
    assert not LaneTicket.objects.exists()


def test_a_step_that_was_taken_back_already_is_not_taken_back_again(world, operator):
    incident = make_incident()
    execution = begin(make_plan(world, incident, PRICE, CHARGED))
    drive(incident)
    execution.refresh_from_db()
    back = actions.roll_back(execution, by=operator, reason="wrong")
    world.fault("lock", match="^PATCH .*SalesOrderLines", count=50)
    drive(incident)
    [letter] = letters(incident)
    world.http.delete("/control/faults")
    actions.resolve(letter, by=operator, resolution="the price is looked at by hand")

    again = actions.roll_back(execution, by=operator, reason="the rest too")
    drive(incident)

    assert states(back) == [StepState.VERIFIED, StepState.STUCK]
    assert [run.operation for run in again.step_runs.all()] == ["line.set_price"]
    assert incident.status == Status.ROLLED_BACK, incident.status_reason


@pytest.mark.django_db(transaction=True)
def test_of_two_rollbacks_asked_for_at_once_one_is_begun(world, operator):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CREDIT))
    drive(incident)

    def undo() -> Execution:
        return actions.roll_back(Execution.objects.get(pk=execution.pk), by=operator, reason="wrong")

    came = at_once(undo, undo, undo)

    assert all(isinstance(one, Execution | Refusal) for one in came), came
    assert execution.undone_by.count() == 1
    assert ApprovalRequest.objects.filter(subject="rollback").count() == 1


def test_the_loop_never_finds_an_incident_rolling_back_without_a_rollback(world, operator, monkeypatch):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CREDIT))
    drive(incident)
    execution.refresh_from_db()
    foresee = executions.foresee_undo

    def woken_meanwhile(*args):
        Incident.objects.filter(pk=incident.pk).update(due_at=incident.opened_at)
        loop.advance(incident.pk)
        return foresee(*args)

    monkeypatch.setattr(executions, "foresee_undo", woken_meanwhile)
    actions.roll_back(execution, by=operator, reason="wrong")
    hurry(incident)
    loop.advance(incident.pk)

    incident.refresh_from_db()
    assert incident.status == Status.ROLLING_BACK


def test_a_cancelled_rollback_withdraws_its_question_and_leaves_the_mend(world, operator):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CREDIT))
    drive(incident)
    execution.refresh_from_db()
    back = actions.roll_back(execution, by=operator, reason="wrong")

    actions.cancel(back, by=operator, reason="it was right")
    drive(incident)

    assert incident.status == Status.RESOLVED
    assert ApprovalRequest.objects.get(subject="rollback").state == "void"


def test_an_older_execution_is_not_undone_under_a_newer_one_that_runs(world, operator):
    incident = make_incident()
    older = begin(make_plan(world, incident, CHARGED, PRICE))
    world.fault("lock", match="^PATCH .*SalesOrderLines", count=50)
    drive(incident)
    world.http.delete("/control/faults")
    actions.resolve(letters(incident)[0], by=operator, resolution="planned anew")
    newer = begin(make_plan(world, incident, PRICE))
    older.refresh_from_db()

    with pytest.raises(executions.CannotUndo, match="is not over"):
        actions.roll_back(older, by=operator, reason="wrong")

    incident.refresh_from_db()
    assert incident.status == Status.EXECUTING
    assert drive(incident).status == Status.RESOLVED
    assert states(newer) == [StepState.VERIFIED]


def test_a_read_back_that_stays_different_can_be_undone(world, operator, monkeypatch):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED))
    call = executions.gateway.call

    def overwritten(*args, **options):
        answer = call(*args, **options)
        world.edit(system="fo", entity="SalesOrderCharges", key=CHARGE_KEY, changes={"FixedChargeAmount": 99.0})
        return answer

    with monkeypatch.context() as during:
        during.setattr(executions.gateway, "call", overwritten)
        drive(incident)
    execution.refresh_from_db()
    actions.roll_back(execution, by=operator, reason="put it back")
    drive(incident)

    assert incident.status == Status.ROLLED_BACK, incident.status_reason
    assert letters(incident) == []


def test_a_step_of_which_nobody_knows_must_be_looked_for_before_an_undo(world, operator):
    incident = make_incident()
    execution = begin(make_plan(world, incident, PRICE, COMMENT))
    world.fault("fail_before", match="^POST .*CaseComment", count=50)
    drive(incident, turns=60)
    execution.refresh_from_db()

    with pytest.raises(executions.CannotUndo, match="Replay"):
        actions.roll_back(execution, by=operator, reason="wrong")


def test_an_undo_across_systems_that_stops_half_way_goes_on_after_a_replay(world, operator):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED, CLOSE))
    drive(incident)
    execution.refresh_from_db()
    back = actions.roll_back(execution, by=operator, reason="wrong")
    world.fault("lock", match="^PATCH .*SalesOrderCharges", count=5)
    drive(incident)
    [letter] = letters(incident)

    actions.replay_by(letter, by=operator)
    drive(incident)

    assert incident.status == Status.ROLLED_BACK, incident.status_reason
    assert states(back) == [StepState.VERIFIED] * 2
    assert len(world.effects()) == 4
