"""The buttons on an incident's page: only what this person may do now."""

from dataclasses import fields

import pytest
from django.contrib.auth.models import User

from incidents.models import Incident
from incidents.states import Status
from playbooks.console.dossier import Dossier
from playbooks.console.offers import Offers
from playbooks.models import Execution, Step
from playbooks.states import ExecutionState, PlanState, StepState
from tests.playbooks import scenes
from tests.playbooks.mends import make_plan, make_run

pytestmark = pytest.mark.django_db
T = StepState


def offers(user: User, incident: Incident) -> Offers:
    return Dossier(incident, user).offers


def given(user: User, incident: Incident) -> set[str]:
    found = offers(user, incident)
    return {field.name for field in fields(found) if getattr(found, field.name) is True}


def test_an_approver_may_decide_and_comment(approver):
    incident, _, _ = scenes.waiting_for_approval()

    assert given(approver, incident) == {"decide", "comment"}


def test_an_operator_may_change_course_but_not_decide(operator):
    incident, _, _ = scenes.waiting_for_approval()

    assert given(operator, incident) == {
        *("edit", "replan", "take_over", "hold", "dismiss", "assign", "comment", "merge", "unmerge")
    }
    assert "role approver" in offers(operator, incident).why_not


def test_a_viewer_may_do_nothing(viewer):
    incident, _, _ = scenes.waiting_for_approval()

    assert given(viewer, incident) == set()


def test_nobody_decides_what_they_asked_for(approver):
    incident = scenes.make_incident(Status.AWAITING_APPROVAL)
    scenes.ask(make_plan(incident), requested_by=approver.username)

    found = offers(approver, incident)

    assert not found.decide
    assert "Someone else has to decide this" in found.why_not


def test_a_clock_that_nobody_has_answered_can_be_acknowledged(operator):
    incident = scenes.make_incident(Status.EXECUTING)
    before = offers(operator, incident).acknowledge
    scenes.make_clock(incident)

    assert not before
    assert offers(operator, incident).acknowledge


def test_an_escalation_to_my_role_can_be_acknowledged_by_me(approver, operator):
    incident = scenes.make_incident(Status.EXECUTING)
    told = {"level": 1, "role": "approver", "justification": "late", "created_at": incident.opened_at}
    incident.escalations.create(**told)
    scenes.make_clock(incident, acknowledged_at=incident.opened_at, escalation_level=1)

    assert offers(approver, incident).acknowledge
    assert not offers(operator, incident).acknowledge


@pytest.mark.parametrize("status", [Status.EXECUTING, Status.VERIFYING, Status.ROLLING_BACK])
def test_what_is_under_way_is_neither_taken_over_nor_merged(operator, status):
    incident = scenes.make_incident(status)

    assert given(operator, incident).isdisjoint({"take_over", "merge", "replan", "hold", "dismiss"})


def test_a_running_execution_can_be_stopped_once(operator):
    incident = scenes.make_incident(Status.EXECUTING)
    run = make_run(make_plan(incident, PlanState.APPROVED), ExecutionState.RUNNING, T.VERIFIED, T.SENT)
    before = offers(operator, incident).cancel

    Execution.objects.filter(pk=run.pk).update(cancel_requested=True)

    assert before
    assert not offers(operator, incident).cancel


def test_a_mend_that_was_read_back_can_be_undone(operator, approver):
    incident, _, _ = scenes.resolved()

    assert offers(operator, incident).undo
    assert not offers(approver, incident).undo


def test_an_irreversible_mend_says_why_it_cannot_be_undone(operator):
    incident, plan, run = scenes.resolved()
    Step.objects.filter(plan=plan).update(undo=None)
    run.step_runs.update(undo=None)

    found = offers(operator, incident)

    assert not found.undo
    assert "declared irreversible before it was approved" in found.why_no_undo


def test_a_mend_that_is_being_undone_is_not_undone_twice(operator):
    incident, plan, run = scenes.resolved()
    back = {"direction": Execution.Direction.BACKWARD, "undoes": run}
    make_run(plan, ExecutionState.WAITING, T.PLANNED, T.PLANNED, **back)

    assert "being rolled back" in offers(operator, incident).why_no_undo


def test_a_withdrawable_undo_can_be_withdrawn(operator):
    incident, plan, run = scenes.resolved()
    back = {"direction": Execution.Direction.BACKWARD, "undoes": run}
    make_run(plan, ExecutionState.WAITING, T.PLANNED, T.PLANNED, **back)
    incident.status = Status.ROLLING_BACK

    assert offers(operator, incident).cancel


def test_a_dead_letter_can_be_mended_by_an_operator_only(operator, approver):
    incident, _, _ = scenes.stuck()

    assert offers(operator, incident).mend_letters
    assert not offers(approver, incident).mend_letters


@pytest.mark.parametrize("status", [Status.RESOLVED, Status.DISMISSED, Status.ROLLED_BACK])
def test_a_closed_incident_can_be_reopened_and_nothing_else_of_its_work(operator, status):
    incident = scenes.make_incident(status)

    found = given(operator, incident)

    assert "reopen" in found
    assert found.isdisjoint({"assign", "hold", "take_over", "dismiss", "replan"})


def test_a_folded_incident_is_not_reopened_but_taken_apart(operator):
    incident = scenes.make_incident(Status.DISMISSED, merged_into=scenes.make_incident())

    assert not offers(operator, incident).reopen


def test_a_held_incident_can_be_released(operator):
    assert {"release", "dismiss"} <= given(operator, scenes.make_incident(Status.ON_HOLD))


def test_what_is_mine_already_is_not_taken_over_again(operator):
    incident = scenes.make_incident(Status.NEEDS_OPERATOR, assignee=operator)
    with_plan = scenes.make_incident(Status.NEEDS_OPERATOR, assignee=operator)
    make_plan(with_plan, PlanState.APPROVED)

    assert not offers(operator, incident).take_over
    assert offers(operator, with_plan).take_over
