"""Nothing is sent after the yes has ended, or after a policy says no."""

from datetime import timedelta
from typing import Any

import pytest

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from audit.clock import db_now
from audit.errors import Refusal
from audit.models import Entry
from connectors.models import Connection, EmergencyStop
from incidents.models import Incident
from incidents.states import Status
from playbooks import actions, endings, executions, loop, plans, tasks
from playbooks.models import Execution, Guardrail, LaneTicket, Plan, PolicyVersion
from playbooks.states import ExecutionState, PlanState, StepState
from tests.playbooks.cases import make_policy
from tests.playbooks.driving import PAST, begin, drive, hurry, letters, states
from tests.playbooks.mended import mended
from tests.playbooks.world import CHARGED, CREDIT, PRICE, World, make_incident, make_plan
from tests.racing import at_once


def approved(world: World, approver, *writes: Any) -> tuple[Incident, Plan, ApprovalRequest]:
    """An incident whose plan was approved by a person; the loop has not looked since."""
    incident = make_incident()
    plan = make_plan(world, incident, *(writes or (CHARGED,)), definition={"autonomy": None})
    plans.submit(plan, actor="system:loop")
    asked = ApprovalRequest.objects.get(subject="plan", subject_id=plan.pk)
    approvals.decide(asked, by=approver, verdict="approve", digest=plan.digest)
    Incident.objects.filter(pk=incident.pk).update(status=Status.AWAITING_APPROVAL, due_at=db_now() - PAST)
    asked.refresh_from_db()
    return incident, plan, asked


def in_line(world: World, approver) -> tuple[Execution, Incident, ApprovalRequest]:
    """An approved plan that is being carried out and waits in its lane behind another one."""
    before = begin(make_plan(world, make_incident(), CHARGED))
    incident, _, asked = approved(world, approver)
    loop.advance(incident.pk)
    incident.refresh_from_db()
    assert (incident.status, states(incident.executions.get())) == (Status.EXECUTING, [StepState.PLANNED])
    return before, incident, asked


def run_out(asked: ApprovalRequest) -> None:
    ApprovalRequest.objects.filter(pk=asked.pk).update(expires_at=db_now() - timedelta(seconds=1))


def leave(before: Execution) -> None:
    """Let the one in front go, with nothing done, so that the next one's turn has come."""
    endings.give_up(before, actor="test", reason="it went away")


def nothing_was_sent(world: World, incident: Incident) -> None:
    incident.refresh_from_db()
    assert world.effects() == []
    assert incident.status == Status.NEEDS_OPERATOR
    assert incident.status_reason


# --- approvals end -------------------------------------------------------------------------------
def test_a_yes_that_runs_out_in_the_lane_is_expired_and_nothing_is_sent(world, approver):
    before, incident, asked = in_line(world, approver)
    run_out(asked)

    assert endings.expire_unused() == 1
    hurry(incident)
    loop.advance(incident.pk)

    asked.refresh_from_db()
    execution = incident.executions.get()
    nothing_was_sent(world, incident)
    assert (asked.state, execution.state, execution.plan.state) == ("expired", "cancelled", "void")
    assert "ran out before it was used" in asked.state_reason
    # Whoever stands behind it does not wait for it.
    assert list(LaneTicket.objects.values_list("execution", flat=True)) == [before.pk]
    leave(before)
    assert drive(incident).status == Status.NEEDS_OPERATOR
    assert world.effects() == []


def test_at_its_turn_a_yes_that_ran_out_is_found_without_any_sweep(world, approver):
    before, incident, asked = in_line(world, approver)
    run_out(asked)
    leave(before)

    drive(incident)

    asked.refresh_from_db()
    nothing_was_sent(world, incident)
    assert asked.state == "expired"
    assert "No approval of exactly this plan stands" in incident.status_reason


def test_a_yes_that_ran_out_before_the_loop_looked_begins_nothing(world, approver):
    incident, plan, asked = approved(world, approver)
    run_out(asked)

    drive(incident)

    plan.refresh_from_db()
    nothing_was_sent(world, incident)
    assert "ran out before it was used" in incident.status_reason
    assert (plan.state, incident.executions.count()) == (PlanState.VOID, 0)


def test_the_sweep_rings_for_the_incident_of_a_yes_that_ran_out(world, approver, settings):
    incident, _, asked = approved(world, approver)
    Incident.objects.filter(pk=incident.pk).update(due_at=None)
    run_out(asked)

    assert (tasks.expire_unused(), tasks.expire_unused()) == (1, 0)

    incident.refresh_from_db()
    assert incident.due_at is not None
    assert Entry.objects.filter(verb="approval.expired").count() == 1


def test_a_yes_that_was_used_stays_a_yes(world, approver):
    incident, _, asked = approved(world, approver)
    assert drive(incident).status == Status.RESOLVED
    run_out(asked)

    assert endings.expire_unused() == 0

    asked.refresh_from_db()
    assert asked.state == "approved"


def test_of_a_plan_that_is_half_sent_the_rest_waits_for_a_person(world, approver):
    incident, _, asked = approved(world, approver, CHARGED, PRICE)
    world.fault("fail_before", match="SalesOrderLines", count=50)
    loop.advance(incident.pk)
    run_out(asked)
    assert endings.expire_unused() == 1
    world.http.delete("/control/faults")

    drive(incident)

    execution = incident.executions.get()
    assert (states(execution), len(world.effects())) == ([StepState.VERIFIED, StepState.STUCK], 1)
    assert incident.status == Status.NEEDS_OPERATOR
    assert "No approval of exactly this plan stands" in incident.status_reason


def test_the_yes_to_a_rollback_runs_out_too(world, operator, approver):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CREDIT))
    drive(incident)
    execution.refresh_from_db()
    back = actions.roll_back(execution, by=operator, reason="wrong")
    asked = ApprovalRequest.objects.get(subject="rollback")
    approvals.decide(asked, by=approver, verdict="approve", digest=back.digest)
    run_out(asked)

    assert endings.expire_unused() == 1
    drive(incident)

    back.refresh_from_db()
    assert (back.state, incident.status, len(world.effects())) == (ExecutionState.CANCELLED, Status.RESOLVED, 1)


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_and_the_loop_at_once_expire_it_once(world, approver):
    _, incident, asked = in_line(world, approver)
    run_out(asked)
    Incident.objects.filter(pk=incident.pk).update(due_at=db_now() - PAST)

    came = at_once(endings.expire_unused, endings.expire_unused, lambda: loop.advance(incident.pk))
    drive(incident)

    assert not [one for one in came if isinstance(one, Exception)], came
    assert Entry.objects.filter(verb="approval.expired").count() == 1
    nothing_was_sent(world, incident)


def test_a_yes_that_is_taken_back_in_the_lane_ends_it(world, approver):
    before, incident, asked = in_line(world, approver)
    approvals.void("plan", asked.subject_id, reason="drifted", actor="operator")
    leave(before)

    drive(incident)

    nothing_was_sent(world, incident)
    assert not LaneTicket.objects.exists()


def test_a_no_that_comes_after_the_yes_is_refused_and_said_so(world, approver):
    _, _, asked = in_line(world, approver)

    with pytest.raises(Refusal):
        approvals.decide(asked, by=approver, verdict="reject", digest=asked.digest, comment="too late")

    assert Entry.objects.filter(verb="refused.reject").count() == 1


def test_a_rejected_plan_never_stands_in_a_lane(world, approver):
    incident = make_incident()
    plan = make_plan(world, incident, CHARGED, definition={"autonomy": None})
    plans.submit(plan, actor="system:loop")
    asked = ApprovalRequest.objects.get()
    approvals.decide(asked, by=approver, verdict="reject", digest=plan.digest, comment="no")
    Incident.objects.filter(pk=incident.pk).update(status=Status.AWAITING_APPROVAL, due_at=db_now() - PAST)

    drive(incident)

    nothing_was_sent(world, incident)
    assert not LaneTicket.objects.exists()


@pytest.mark.parametrize("everywhere", [True, False], ids=["everything", "one connection"])
def test_an_emergency_stop_reaches_what_waits_in_its_lane(world, approver, everywhere):
    before, incident, _ = in_line(world, approver)
    connection = None if everywhere else Connection.objects.get(slug="fo")
    EmergencyStop.objects.create(connection=connection, actor="boss", reason="stop it all", started_at=db_now())
    leave(before)

    drive(incident)

    nothing_was_sent(world, incident)
    assert "Emergency stop by boss: stop it all" in incident.status_reason


# --- policies speak on an undo -------------------------------------------------------------------
@pytest.mark.parametrize(
    "condition",
    [
        "true", "operation == 'fo:charge.update'", "changes.FixedChargeAmount == 112.0", "risk == 'low'",
        "amount > 0.0",
    ],
)  # fmt: skip
def test_a_policy_that_blocks_an_undo_is_heard_before_it_is_begun(world, operator, condition):
    incident, execution = mended(world, CHARGED)
    make_policy(f"subject == 'rollback' && {condition}", message="the month is closed")

    with pytest.raises(executions.CannotUndo, match=r"nothing was: .*the month is closed \(rule v1\).*owner"):
        actions.roll_back(execution, by=operator, reason="wrong")

    incident.refresh_from_db()
    assert incident.status == Status.RESOLVED
    assert len(world.effects()) == 1
    assert not execution.undone_by.exists()


def test_a_policy_that_would_correct_an_undo_forbids_it(world, operator):
    _, execution = mended(world, CHARGED)
    make_policy("subject == 'rollback'", "correct", corrections={"amount": "1.0"})

    with pytest.raises(executions.CannotUndo, match="would correct"):
        actions.roll_back(execution, by=operator, reason="wrong")


def test_a_policy_that_blocks_an_undo_later_parks_it_with_the_reason_and_what_to_do(world, operator):
    incident, execution = mended(world, CHARGED)
    actions.roll_back(execution, by=operator, reason="wrong")
    make_policy("subject == 'rollback'", message="the month is closed")

    drive(incident)

    [letter] = letters(incident)
    assert len(world.effects()) == 1
    assert "the month is closed (rule v1)" in incident.status_reason
    assert "owner of the policy" in letter.guidance
    spoken = Guardrail.objects.get(moment="run", verdict="block")
    assert (spoken.policy, spoken.reason) == ("rule", "the month is closed")


def test_once_the_policy_allows_it_the_undo_goes_on_after_a_replay(world, operator):
    incident, execution = mended(world, CHARGED)
    actions.roll_back(execution, by=operator, reason="wrong")
    make_policy("subject == 'rollback'")
    drive(incident)
    PolicyVersion.objects.update(active=False)

    actions.replay_by(letters(incident)[0], by=operator)
    drive(incident)

    assert incident.status == Status.ROLLED_BACK, incident.status_reason
    assert len(world.effects()) == 2


def test_a_policy_that_asks_has_an_approver_asked_for_the_undo(world, operator, approver):
    incident, execution = mended(world, CHARGED)
    make_policy("subject == 'rollback'", "needs_approval", message="the price goes up again")

    back = actions.roll_back(execution, by=operator, reason="wrong")
    asked = ApprovalRequest.objects.get(subject="rollback")
    assert "the price goes up again (rule v1)" in asked.asked_because
    drive(incident)
    assert len(world.effects()) == 1
    approvals.decide(asked, by=approver, verdict="approve", digest=back.digest)
    drive(incident)

    assert incident.status == Status.ROLLED_BACK, incident.status_reason
    assert len(world.effects()) == 2


def test_a_policy_that_asks_only_later_stops_an_undo_for_which_nobody_was_asked(world, operator):
    incident, execution = mended(world, CHARGED)
    actions.roll_back(execution, by=operator, reason="wrong")
    make_policy("subject == 'rollback'", "needs_approval")

    drive(incident)

    assert len(world.effects()) == 1
    assert "nobody was asked: rule v1" in incident.status_reason


def test_who_approved_the_plan_has_answered_the_policy_for_its_undo_too(world, operator, approver):
    make_policy("true", "needs_approval")
    incident, _, _ = approved(world, approver)
    assert drive(incident).status == Status.RESOLVED, incident.status_reason

    actions.roll_back(incident.executions.get(), by=operator, reason="wrong")

    assert drive(incident).status == Status.ROLLED_BACK, incident.status_reason


def test_the_approval_of_a_rollback_answers_a_policy_that_asks(world, operator, approver):
    incident, execution = mended(world, CREDIT)
    make_policy("subject == 'rollback'", "needs_approval")
    back = actions.roll_back(execution, by=operator, reason="wrong")
    asked = ApprovalRequest.objects.get(subject="rollback")
    approvals.decide(asked, by=approver, verdict="approve", digest=back.digest)

    drive(incident)

    assert incident.status == Status.ROLLED_BACK, incident.status_reason
    assert Guardrail.objects.filter(moment="run", verdict="needs_approval").exists()
