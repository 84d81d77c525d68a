"""Undo: planned before do, in reverse order, verified the same way, with an approval of its own where money moved."""

import json

import pytest

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from audit.errors import Invalid, NotAllowed
from audit.models import Entry
from incidents.states import Status
from playbooks import actions, engine, executions
from playbooks.models import Execution
from playbooks.states import ExecutionState, StepState
from tests.playbooks.driving import Crash, begin, die_and_come_back, drive, states
from tests.playbooks.world import CHARGED, CLOSE, COMMENT, CREDIT, PRICE, WRITES, World, make_incident, make_plan


@pytest.fixture
def people(operator, approver):
    """Who asks for an undo, and who agrees to it."""
    return operator, approver


def mended(world: World, *writes):
    incident = make_incident()
    execution = begin(make_plan(world, incident, *writes))
    assert drive(incident).status == Status.RESOLVED, incident.status_reason
    execution.refresh_from_db()
    return incident, execution


def agree(back: Execution, approver) -> None:
    asked = ApprovalRequest.objects.get(subject="rollback", subject_id=back.pk)
    approvals.decide(asked, by=approver, verdict="approve", digest=back.digest, comment="fine")


@pytest.mark.parametrize("write", [CHARGED, PRICE, CLOSE], ids=["charge", "price", "case"])
def test_a_change_without_money_is_taken_back_at_once(world, operator, write):
    incident, execution = mended(world, write)

    back = actions.roll_back(execution, by=operator, reason="wrong order")
    drive(incident)

    back.refresh_from_db()
    assert (incident.status, back.state) == (Status.ROLLED_BACK, ExecutionState.VERIFIED)
    assert back.approval_id is None
    assert len(world.effects()) == 2


def test_a_posting_is_taken_back_only_after_an_approval_of_its_own(world, operator, approver):
    incident, execution = mended(world, CREDIT)

    back = actions.roll_back(execution, by=operator, reason="it was no duplicate")
    drive(incident)
    assert incident.status == Status.ROLLING_BACK
    assert len(world.effects()) == 1

    agree(back, approver)
    drive(incident)

    assert incident.status == Status.ROLLED_BACK
    assert world.truth("fo", "SalesInvoiceHeadersV2", "INV-1")["RemainingAmount"] == 1250.0
    assert world.truth("fo", "CustomersV3", "DE-001")["OpenBalance"] == 1500.0


def test_steps_are_taken_back_in_reverse_order(world, operator, approver):
    incident, execution = mended(world, CREDIT, COMMENT, CLOSE)

    back = actions.roll_back(execution, by=operator, reason="it was no duplicate")
    agree(back, approver)
    drive(incident)

    undone = [run.operation for run in back.step_runs.all()]
    assert undone == ["case.reopen", "case.uncomment", "credit_note.reverse"]
    assert incident.status == Status.ROLLED_BACK
    assert states(back) == [StepState.VERIFIED] * 3


def test_whoever_asks_for_the_rollback_does_not_approve_it(world):
    from tests.factories import make_user

    both = make_user("both", role=["operator", "approver"])
    _incident, execution = mended(world, CREDIT)
    back = actions.roll_back(execution, by=both, reason="wrong")

    with pytest.raises(approvals.CannotDecide):
        agree(back, both)


def test_a_rejected_rollback_leaves_the_mend_standing(world, operator, approver):
    incident, execution = mended(world, CREDIT)
    back = actions.roll_back(execution, by=operator, reason="wrong")
    asked = ApprovalRequest.objects.get(subject="rollback", subject_id=back.pk)

    approvals.decide(asked, by=approver, verdict="reject", digest=back.digest, comment="it is right as it is")
    drive(incident)

    assert incident.status == Status.RESOLVED
    assert "it is right as it is" in incident.status_reason
    assert len(world.effects()) == 1


def test_a_second_rollback_after_a_rejected_one_has_a_key_of_its_own(world, operator, approver):
    incident, execution = mended(world, CREDIT)
    first = actions.roll_back(execution, by=operator, reason="wrong")
    asked = ApprovalRequest.objects.get(subject="rollback", subject_id=first.pk)
    approvals.decide(asked, by=approver, verdict="reject", digest=first.digest, comment="no")
    drive(incident)

    second = actions.roll_back(execution, by=operator, reason="really wrong")
    agree(second, approver)
    drive(incident)

    assert incident.status == Status.ROLLED_BACK
    assert second.step_runs.get().effect_key != first.step_runs.get().effect_key


def test_an_undo_that_the_target_refuses_stays_visible_as_unfinished(world, operator, approver):
    incident, execution = mended(world, CREDIT)
    back = actions.roll_back(execution, by=operator, reason="wrong")
    agree(back, approver)
    today = back.created_at.strftime("%Y-%m")
    world.http.post("/control/period", json={"period": today, "status": "Closed"})

    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert "unfinished" in incident.status_reason
    assert incident.dead_letters.filter(state="waiting").count() == 1


def test_an_undo_is_not_sent_where_the_record_already_is_as_before(world, operator):
    incident, execution = mended(world, CHARGED)
    key = {"dataAreaId": "demf", "SalesOrderNumber": "SO-1", "ChargeLineNumber": 1}
    back = actions.roll_back(execution, by=operator, reason="wrong")
    world.edit(system="fo", entity="SalesOrderCharges", key=key, changes={"FixedChargeAmount": 112.0})

    drive(incident)

    assert incident.status == Status.ROLLED_BACK
    assert len(world.effects()) == 1
    assert states(back) == [StepState.VERIFIED]


def test_a_record_that_someone_changed_after_the_mend_is_not_overwritten_by_the_undo(world, operator):
    incident, execution = mended(world, CHARGED)
    actions.roll_back(execution, by=operator, reason="wrong")
    key = {"dataAreaId": "demf", "SalesOrderNumber": "SO-1", "ChargeLineNumber": 1}
    world.edit(system="fo", entity="SalesOrderCharges", key=key, changes={"FixedChargeAmount": 90.0})

    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert world.truth("fo", "SalesOrderCharges", json.dumps(key))["FixedChargeAmount"] == 90.0


@pytest.mark.chaos
@pytest.mark.parametrize("fault", ["fail_before", "commit_then_reset"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_death_in_the_middle_of_an_undo_leaves_one_undo(world, people, monkeypatch, fault, write):
    operator, approver = people
    incident, execution = mended(world, write)
    back = actions.roll_back(execution, by=operator, reason="wrong")
    if back.approval_id:
        agree(back, approver)
    world.fault(fault, match="^(POST|PATCH) (?!.*(oauth2|token))", count=1)

    def die(*args, **options):
        raise Crash

    with monkeypatch.context() as dying:
        dying.setattr(engine, "_not_done", die)
        die_and_come_back(incident)
    drive(incident)

    assert incident.status == Status.ROLLED_BACK, incident.status_reason
    assert len(world.effects()) == 2


def test_nothing_to_take_back_is_said_so(world, operator):
    incident, execution = mended(world, CHARGED)
    actions.roll_back(execution, by=operator, reason="wrong")
    drive(incident)

    with pytest.raises(executions.CannotUndo, match="has been"):
        actions.roll_back(execution, by=operator, reason="again")


def test_only_operators_undo_and_only_with_a_reason(world, operator, viewer):
    _, execution = mended(world, CHARGED)

    with pytest.raises(NotAllowed):
        actions.roll_back(execution, by=viewer, reason="wrong")
    with pytest.raises(Invalid):
        actions.roll_back(execution, by=operator, reason="  ")
    assert not Entry.objects.filter(verb="rollback.requested").exists()


def test_a_rollback_that_cannot_read_the_record_leaves_everything_as_it_was(world, operator):
    incident, execution = mended(world, CHARGED)
    world.fault("fail_before", match="SalesOrder", count=50)

    with pytest.raises(executions.CannotUndo, match="could not be read"):
        actions.roll_back(execution, by=operator, reason="wrong")

    incident.refresh_from_db()
    assert incident.status == Status.RESOLVED
