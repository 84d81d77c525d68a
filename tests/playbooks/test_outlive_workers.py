"""The worker dies between the stages, or the record changes under the plan: nothing is lost, nothing is overwritten."""

from datetime import timedelta
from typing import Any

import pytest

from approvals.models import ApprovalRequest
from audit.clock import db_now
from incidents.models import Incident
from incidents.states import Status
from playbooks import actions, endings, engine, executions, loop, plans
from playbooks.models import Execution, LaneTicket, Plan
from playbooks.states import ExecutionState, PlanState, StepState
from tests.playbooks.cases import CHARGE_KEY, live_plan, make_freight, make_mend
from tests.playbooks.driving import Crash, begin, die_and_come_back, drive, dying, hurry, letters, states
from tests.playbooks.world import CHARGED, PRICE, World, make_incident, make_plan


def asked(world: World) -> tuple[Incident, Plan, ApprovalRequest]:
    """An incident that waits for an approver."""
    make_mend(autonomy=None)
    incident = make_freight()
    drive(incident)
    plan = live_plan(incident)
    return incident, plan, ApprovalRequest.objects.get(subject_id=plan.pk)


def edit(world: World, amount: float) -> None:
    world.edit(system="fo", entity="SalesOrderCharges", key=CHARGE_KEY, changes={"FixedChargeAmount": amount})


def live_or_none(incident: Incident) -> Plan | None:
    return incident.plans.filter(state__in=plans.LIVE).first()


DEATHS: dict[str, tuple[Any, str, int]] = {
    "before anything": (loop.evidence, "collect", 0),
    "evidence read, no cause yet": (loop.rootcause, "diagnose", 0),
    "cause found, not moved": (loop, "move", 0),
    "planned, not moved": (loop, "move", 1),
    "plan stored, not asked": (loop.plans, "submit", 0),
    "approved, not begun": (executions, "begin", 0),
    "begun, nothing sent": (engine, "run", 0),
    "verified, not told": (loop, "move", 3),
    "told, not closed": (loop, "move_execution", 0),
    "execution closed, plan not": (loop, "move_plan", 0),
    "plan closed, incident not": (loop, "move", 4),
}


@pytest.mark.chaos
@pytest.mark.parametrize("point", DEATHS)
def test_a_death_between_any_two_stages_is_survived(world, monkeypatch, point):
    make_mend()
    incident = make_freight()
    module, name, after = DEATHS[point]
    with monkeypatch.context() as dying_here:
        dying_here.setattr(module, name, dying(after, getattr(module, name)))
        hurry(incident)
        die_and_come_back(incident)

    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert len(world.effects()) == 1
    execution = incident.executions.get()
    assert (execution.state, execution.plan.state) == (ExecutionState.VERIFIED, PlanState.EXECUTED)
    assert not LaneTicket.objects.exists()
    assert live_or_none(incident) is None


@pytest.mark.chaos
@pytest.mark.parametrize("point", ["move_execution", "move"])
def test_a_death_at_the_end_of_an_undo_is_survived(world, operator, monkeypatch, point):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED))
    drive(incident)
    execution.refresh_from_db()
    back = actions.roll_back(execution, by=operator, reason="wrong")
    with monkeypatch.context() as dying_here:
        dying_here.setattr(loop, point, dying())
        hurry(incident)
        die_and_come_back(incident)

    drive(incident)

    back.refresh_from_db()
    assert (incident.status, back.state) == (Status.ROLLED_BACK, ExecutionState.VERIFIED)
    assert len(world.effects()) == 2


@pytest.mark.chaos
def test_a_death_while_a_failure_is_written_down_leaves_a_letter_and_a_reason(world, monkeypatch):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED))
    world.fault("lock", match="^PATCH .*SalesOrderCharges", count=5)
    with monkeypatch.context() as dying_here:
        dying_here.setattr(endings, "move", dying())
        with pytest.raises(Crash):
            drive(incident)

    drive(incident)

    execution.refresh_from_db()
    assert (incident.status, execution.state) == (Status.NEEDS_OPERATOR, ExecutionState.FAILED)
    assert "locked" in incident.status_reason.lower() or "edit" in incident.status_reason.lower()
    assert len(letters(incident)) == 1


@pytest.mark.chaos
def test_a_death_while_a_lane_is_freed_frees_it_later(world, monkeypatch):
    from playbooks import moves

    incident = make_incident()
    begin(make_plan(world, incident, CHARGED))
    move = moves._move

    def then_dead(row: Any, allowed: Any, to: Any, *rest: Any) -> Any:
        moved = move(row, allowed, to, *rest)
        if isinstance(row, Execution) and to == ExecutionState.VERIFIED:
            raise Crash
        return moved

    with monkeypatch.context() as dying_here:
        dying_here.setattr(moves, "_move", then_dead)
        die_and_come_back(incident)
    drive(incident)

    assert incident.status == Status.RESOLVED
    assert not LaneTicket.objects.exists()


# --- drift ----------------------------------------------------------------------------------------


def test_a_record_that_changes_is_planned_anew_and_mended_from_what_it_says_now(world, monkeypatch):
    make_mend()
    incident = make_freight()
    begun = executions.begin

    def changed_after(plan: Plan, **options: Any) -> Execution:
        execution = begun(plan, **options)
        monkeypatch.setattr(executions, "begin", begun)
        return execution

    monkeypatch.setattr(executions, "begin", changed_after)
    original, edits = engine.verification.compare_with_plan, [95.0]

    def edited_first(step_run: Any) -> Any:
        if edits:
            edit(world, edits.pop())
        return original(step_run)

    monkeypatch.setattr(engine.verification, "compare_with_plan", edited_first)
    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert [plan.state for plan in incident.plans.order_by("pk")] == ["void", "executed"]
    assert incident.plans.first().steps.get().undo["parameters"]["amount"] == "95.00"


def test_a_record_that_keeps_changing_is_shown_to_a_person_after_five_plans_in_a_row(world, operator, monkeypatch):
    make_mend()
    incident = make_freight()
    original, amounts = engine.verification.compare_with_plan, iter(range(200, 400))

    def edited_first(step_run: Any) -> Any:
        edit(world, float(next(amounts)))
        return original(step_run)

    monkeypatch.setattr(engine.verification, "compare_with_plan", edited_first)
    drive(incident, turns=80)
    assert incident.status == Status.NEEDS_OPERATOR
    assert "keeps changing" in incident.status_reason
    assert incident.executions.count() == 5

    actions.replan(incident, by=operator)
    drive(incident, turns=80)

    # Not at the very first change: whoever asks anew is given five plans again.
    assert incident.executions.count() == 10
    assert world.effects() == []


def test_plans_that_people_took_back_do_not_count_as_changes_of_the_record(world, operator, monkeypatch):
    make_mend(autonomy=None)
    incident = make_freight()
    drive(incident)
    for _ in range(6):
        actions.replan(incident, by=operator)
        drive(incident)
    make_mend()
    actions.replan(incident, by=operator)
    original, edits = engine.verification.compare_with_plan, [95.0]

    def edited_once(step_run: Any) -> Any:
        if edits:
            edit(world, edits.pop())
        return original(step_run)

    monkeypatch.setattr(engine.verification, "compare_with_plan", edited_once)
    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason


def test_a_change_after_the_first_step_is_left_to_a_person_and_can_be_undone(world, operator, monkeypatch):
    incident = make_incident()
    execution = begin(make_plan(world, incident, PRICE, CHARGED))
    original = engine.verification.compare_with_plan

    def edited_before_the_second(step_run: Any) -> Any:
        if step_run.number == 2 and step_run.state == StepState.INTENT:
            edit(world, 95.0)
        return original(step_run)

    with monkeypatch.context() as during:
        during.setattr(engine.verification, "compare_with_plan", edited_before_the_second)
        drive(incident)
    assert states(execution) == [StepState.VERIFIED, StepState.STUCK]
    execution.refresh_from_db()

    actions.roll_back(execution, by=operator, reason="half is worse")
    drive(incident)

    assert incident.status == Status.ROLLED_BACK, incident.status_reason
    assert len(world.effects()) == 2


def test_the_last_read_counts_and_not_the_first(world, monkeypatch):
    make_mend(read_again_after_minutes=1)
    incident = make_freight()
    for _ in range(4):
        hurry(incident)
        loop.advance(incident.pk)
    incident.refresh_from_db()
    assert incident.status == Status.VERIFYING
    execution = incident.executions.get()
    step = execution.step_runs.get()
    step.verifications.update(read_at=db_now() - timedelta(minutes=2))
    edit(world, 99.0)
    with monkeypatch.context() as dying_here:
        dying_here.setattr(endings, "leave_to_person", dying())
        hurry(incident)
        die_and_come_back(incident)

    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    execution.refresh_from_db()
    assert execution.state == ExecutionState.FAILED
