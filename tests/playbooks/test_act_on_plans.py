"""What people do to plans and executions, also all at once and at the worst moment: refused in words, or done whole."""

from collections.abc import Callable
from typing import Any

import pytest

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from audit.errors import Invalid, LostRace, NotAllowed, Refusal
from incidents import actions as incident_actions
from incidents.models import Incident
from incidents.states import Status
from playbooks import actions, planning
from playbooks.models import DeadLetter, Execution, LaneTicket, Plan
from playbooks.states import ExecutionState, PlanState
from tests.playbooks.cases import STEP, live_plan, make_cause, make_freight, make_mend, make_policy
from tests.playbooks.driving import begin, drive, letters
from tests.playbooks.world import CHARGED, CREDIT, World, make_incident, make_plan
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


def test_an_edited_plan_is_asked_anew_and_the_old_question_is_void(world, operator):
    _, plan = asked(world)

    fresh = actions.edit_plan(plan, by=operator, playbook="mend", slots={"amount": "90.00"})

    plan.refresh_from_db()
    questions = ApprovalRequest.objects.order_by("pk").values_list("subject_id", "state")
    assert plan.state == PlanState.VOID
    assert fresh.state == PlanState.ASKED
    assert list(questions) == [(plan.pk, "void"), (fresh.pk, "pending")]
    assert fresh.steps.get().parameters["amount"] == "90.00"
    assert fresh.digest != plan.digest


def test_whoever_edited_a_plan_cannot_approve_it(world):
    from tests.factories import make_user

    both = make_user("both", role=["operator", "approver"])
    _, plan = asked(world)
    fresh = actions.edit_plan(plan, by=both, playbook="mend", slots={"amount": "90.00"})

    with pytest.raises(approvals.CannotDecide):
        approvals.decide(ApprovalRequest.objects.get(state="pending"), by=both, verdict="approve", digest=fresh.digest)


@pytest.mark.parametrize(
    "slots",
    [{"amount": "91.00"}, {"amount": 84}, {"amount": None}, {"amount": ["84.00"]}, {"carrier": "x"}, {"amount": {}}],
)
def test_an_edit_takes_only_the_offered_values(world, operator, slots):
    incident, plan = asked(world)

    with pytest.raises(Invalid):
        actions.edit_plan(plan, by=operator, playbook="mend", slots=slots)

    assert live_plan(incident).pk == plan.pk


def test_an_edit_names_a_candidate_or_nothing(world, operator):
    _, plan = asked(world)

    with pytest.raises(Invalid, match="does not fit"):
        actions.edit_plan(plan, by=operator, playbook="another", slots={})


def test_an_edit_while_the_system_is_away_says_so_and_leaves_the_plan(world, operator):
    incident, plan = asked(world)
    world.fault("fail_before", match="SalesOrder", count=50)

    with pytest.raises(planning.CannotPlan, match="could not be read"):
        actions.edit_plan(plan, by=operator, playbook="mend", slots={"amount": "90.00"})

    assert live_plan(incident).pk == plan.pk
    assert ApprovalRequest.objects.get().state == "pending"


def test_an_edit_that_a_policy_blocks_leaves_the_plan(world, operator):
    incident, plan = asked(world)
    make_policy("parameters.amount == '90.00'")

    with pytest.raises(planning.CannotPlan, match="because of the rule"):
        actions.edit_plan(plan, by=operator, playbook="mend", slots={"amount": "90.00"})

    assert live_plan(incident).pk == plan.pk


def test_an_edit_whose_editor_dies_before_asking_is_asked_by_the_loop(world, operator, monkeypatch):
    incident, plan = asked(world)
    with monkeypatch.context() as dying:
        dying.setattr(actions.plans, "submit", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            actions.edit_plan(plan, by=operator, playbook="mend", slots={"amount": "90.00"})

    Incident.objects.filter(pk=incident.pk).update(due_at=incident.opened_at)
    drive(incident)

    fresh = live_plan(incident)
    assert fresh.state == PlanState.ASKED
    assert ApprovalRequest.objects.get(state="pending").subject_id == fresh.pk


def test_an_edit_that_the_grant_covers_is_carried_out(world, operator):
    incident, plan = asked(world)
    make_mend(SLOTTED, **{**CHOICE, "autonomy": {"max_risk": "low"}})

    actions.edit_plan(plan, by=operator, playbook="mend", slots={"amount": "90.00"})
    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert len(world.effects()) == 1


def test_a_plan_that_is_carried_out_cannot_be_edited(world, operator):
    incident = make_freight(status=Status.AWAITING_APPROVAL)
    make_cause(incident)
    make_mend()
    plan = make_plan(world, incident, CHARGED)
    begin(plan)
    plan.incident.status = Status.AWAITING_APPROVAL  # as a page that was drawn a moment ago still believes

    with pytest.raises(Refusal):
        actions.edit_plan(plan, by=operator, playbook="mend", slots={})

    assert incident.plans.filter(state="approved").count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_edits_at_once_leave_one_plan_and_one_question(world, operator):
    incident, plan = asked(world)

    came = at_once(
        *(
            lambda value=value: actions.edit_plan(
                Plan.objects.get(pk=plan.pk), by=operator, playbook="mend", slots={"amount": value}
            )
            for value in ("84.00", "90.00", "84.00")
        )
    )

    assert all(isinstance(one, Plan | Refusal) for one in came), came
    assert incident.plans.filter(state__in=("draft", "asked", "approved")).count() == 1
    assert ApprovalRequest.objects.filter(state="pending").count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_approval_and_an_edit_at_once_never_carry_out_what_nobody_approved(world, operator, approver):
    incident, plan = asked(world)
    question = ApprovalRequest.objects.get()

    came = at_once(
        lambda: approvals.decide(question, by=approver, verdict="approve", digest=plan.digest),
        lambda: actions.edit_plan(
            Plan.objects.get(pk=plan.pk), by=operator, playbook="mend", slots={"amount": "90.00"}
        ),
    )
    drive(incident)

    assert all(isinstance(one, Plan | ApprovalRequest | Refusal) for one in came), came
    changed = [effect["after"]["FixedChargeAmount"] for effect in world.effects()]
    plan.refresh_from_db()
    assert changed == ([84.0] if plan.state == PlanState.EXECUTED else [])


def test_a_new_plan_sets_a_failed_execution_aside_and_frees_its_lane(world, operator):
    incident, execution = partly(world, operator)
    make_freight(entity_key="SO-other")  # gives the kind its definition

    actions.replan(incident, by=operator, reason="again")

    execution.refresh_from_db()
    assert execution.state == ExecutionState.CANCELLED
    assert not LaneTicket.objects.exists()
    assert list(DeadLetter.objects.values_list("state", flat=True)) == ["resolved"]


@pytest.mark.parametrize("status", [Status.EXECUTING, Status.RESOLVED, Status.ROLLING_BACK, Status.ON_HOLD])
def test_a_new_plan_is_refused_in_words_where_there_is_nothing_to_plan(world, operator, status):
    incident = make_incident(status=status)

    with pytest.raises(planning.CannotPlan, match="nothing to plan anew"):
        actions.replan(incident, by=operator)


def test_who_takes_over_gets_the_incident_and_the_question_is_void(world, operator):
    incident, plan = asked(world)

    actions.take_over(incident, by=operator, reason="by hand")

    incident.refresh_from_db()
    assert (incident.status, incident.assignee) == (Status.NEEDS_OPERATOR, operator)
    assert Plan.objects.get(pk=plan.pk).state == PlanState.VOID
    assert ApprovalRequest.objects.get().state == "void"


def test_what_is_being_carried_out_cannot_be_taken_over(world, operator):
    incident = make_incident()
    begin(make_plan(world, incident, CHARGED))
    incident.refresh_from_db()

    with pytest.raises(planning.CannotPlan, match="Cancel the execution"):
        actions.take_over(incident, by=operator, reason="by hand")


@pytest.mark.django_db(transaction=True)
def test_a_dismissed_incident_keeps_no_lane_no_letter_and_no_question(world, operator):
    incident, execution = partly(world, operator)

    incident_actions.dismiss(incident, by=operator, reason="written off")

    execution.refresh_from_db()
    assert execution.state == ExecutionState.CANCELLED
    assert not LaneTicket.objects.exists()
    assert letters(incident) == []
    assert Incident.objects.get(pk=incident.pk).status == Status.DISMISSED


@pytest.mark.django_db(transaction=True)
def test_a_question_about_a_dismissed_incident_is_withdrawn(world, operator, approver):
    incident, plan = asked(world)

    incident_actions.dismiss(incident, by=operator, reason="written off")

    question = ApprovalRequest.objects.get()
    assert question.state == "void"
    with pytest.raises(approvals.CannotDecide):
        approvals.decide(question, by=approver, verdict="approve", digest=plan.digest)


def test_what_a_lost_bell_left_of_a_dismissed_incident_is_tidied_by_the_sweep(world, operator):
    incident, execution = partly(world, operator)
    Incident.objects.filter(pk=incident.pk).update(status=Status.DISMISSED)

    handled = actions.after_cooldown()

    execution.refresh_from_db()
    assert handled == 1
    assert execution.state == ExecutionState.CANCELLED
    assert actions.after_cooldown() == 0


def test_an_incident_released_with_a_failed_execution_asks_a_person_instead_of_failing(world, operator):
    incident, _ = partly(world, operator)
    make_freight(entity_key="SO-other")
    make_mend()
    incident_actions.hold(incident, by=operator, reason="wait for the customer")
    incident_actions.release(incident, by=operator)

    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert "stands half-way" in incident.status_reason
    actions.replan(incident, by=operator)
    assert not incident.executions.filter(state="failed").exists()


ACTS: dict[str, Callable[..., Any]] = {
    "replan": lambda it, by: actions.replan(it.incident, by=by),
    "edit": lambda it, by: actions.edit_plan(it.plan, by=by, playbook="mend", slots={}),
    "take over": lambda it, by: actions.take_over(it.incident, by=by, reason="x"),
    "cancel": lambda it, by: actions.cancel(it, by=by),
    "roll back": lambda it, by: actions.roll_back(it, by=by, reason="x"),
}


@pytest.mark.parametrize("role", ["viewer", "approver", "compliance", "auditor", "integration"])
@pytest.mark.parametrize("act", ACTS)
def test_only_who_operates_acts(world, act, role):
    from tests.factories import make_user

    execution = begin(make_plan(world, make_incident(), CHARGED))

    with pytest.raises(NotAllowed):
        ACTS[act](execution, make_user("somebody", role=role))

    execution.refresh_from_db()
    assert (execution.state, execution.cancel_requested) == (ExecutionState.RUNNING, False)


def test_a_stale_page_is_refused_and_nothing_is_set_aside(world, operator):
    incident, _ = asked(world)
    stale = Incident.objects.get(pk=incident.pk)
    actions.take_over(incident, by=operator, reason="by hand")

    with pytest.raises(LostRace):
        actions.replan(stale, by=operator)

    assert Incident.objects.get(pk=incident.pk).status == Status.NEEDS_OPERATOR
