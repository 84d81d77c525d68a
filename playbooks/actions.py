"""What people do to plans and executions: re-plan, edit, take over, cancel, undo, replay."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from audit.access import has_role
from audit.actions import record
from audit.clock import db_now
from audit.errors import Invalid, NotAllowed
from connectors.base import ConnectorError
from incidents import actions as incident_actions
from incidents.actions import move, ring
from incidents.evidence import facts
from incidents.models import Incident
from incidents.states import Status
from playbooks import chooser, deadletters, executions, planning, plans
from playbooks.models import DeadLetter, Execution, Plan, StepRun
from playbooks.moves import move_execution, move_step
from playbooks.states import ExecutionState, PlanState, StepState

REPLANNABLE = frozenset({Status.NEEDS_OPERATOR, Status.PLANNED, Status.AWAITING_APPROVAL, Status.DIAGNOSED})
EDITABLE = frozenset({Status.PLANNED, Status.AWAITING_APPROVAL})
AUTO_REPLAYS = 3


def replan(incident: Incident, *, by: User, reason: str = "") -> Incident:
    """Read the evidence anew and plan again; what was proposed or asked before is void."""
    _operator(by)
    if Status(incident.status) not in REPLANNABLE:
        raise planning.CannotPlan(
            f"{incident} is {incident.get_status_display().lower()}: there is nothing to plan anew."
        )
    who = by.get_username()
    why = reason or f"{who} asked for a new plan."
    with transaction.atomic():
        _set_aside(incident, actor=who, reason=why)
        return move(incident, Status.TRIAGED, actor=who, reason=why)


def edit_plan(plan: Plan, *, by: User, playbook: str, slots: dict[str, Any]) -> Plan:
    """Replace a proposed plan by one with another candidate playbook or other slot values; the editor cannot approve it."""
    _operator(by)
    incident, who = plan.incident, by.get_username()
    if Status(incident.status) not in EDITABLE or plan.state not in plans.LIVE:
        raise planning.CannotPlan("Only a plan that waits for a decision can be edited.")
    root_cause = incident.root_causes.order_by("-round").first()
    versions = {version.playbook.slug: version for version in planning.candidates(incident, root_cause)}
    if playbook not in versions:
        raise Invalid("That playbook does not fit this incident.", {"playbook": ["Choose one of the candidates."]})
    offered = chooser.offered(versions[playbook], facts(incident))
    taken = {name: slots.get(name, default) for name, (_, default) in offered.items()}
    wrong = {
        name: ["Choose one of the offered values."] for name, value in taken.items() if value not in offered[name][0]
    }
    if wrong or set(slots) - set(offered):
        raise Invalid("The plan takes only the offered values.", wrong or {"slots": ["Unknown name."]})
    choice = chooser.Choice(playbook, taken, author=who, candidates=list(versions))
    fresh = planning.propose(incident, actor=who, choice=choice, editor=who)
    incident.refresh_from_db()
    if incident.status == Status.AWAITING_APPROVAL:
        plans.submit(fresh, actor=who)
    ring(incident.pk)
    return fresh


def take_over(incident: Incident, *, by: User, reason: str) -> Incident:
    """Let a person mend it by hand: the loop stops, its plan is void, the incident is theirs."""
    _operator(by)
    if Status(incident.status) in (Status.EXECUTING, Status.VERIFYING, Status.ROLLING_BACK):
        raise planning.CannotPlan("It is being carried out now. Cancel the execution first, or wait for its end.")
    who = by.get_username()
    with transaction.atomic():
        _set_aside(incident, actor=who, reason=f"{who} took over.")
        incident_actions.assign(incident, by=by, to=by)
        if incident.status != Status.NEEDS_OPERATOR:
            move(incident, Status.NEEDS_OPERATOR, actor=who, reason=reason or f"{who} took over.")
    return incident


def cancel(execution: Execution, *, by: User, reason: str = "") -> Execution:
    """Stop before the next step; a step that is on its way is followed to its end first."""
    _operator(by)
    if execution.state not in (ExecutionState.WAITING, ExecutionState.RUNNING):
        raise executions.CannotUndo(
            f"The execution is {execution.get_state_display().lower()}: nothing is left to cancel."
        )
    with transaction.atomic():
        Execution.objects.filter(pk=execution.pk).update(cancel_requested=True)
        record(
            "execution.cancel_requested",
            actor=by.get_username(),
            target=execution,
            incident=execution.incident_id,
            reason=reason,
        )
        ring(execution.incident_id)
    execution.refresh_from_db()
    return execution


def roll_back(execution: Execution, *, by: User, reason: str) -> Execution:
    """Take back what an execution did, in reverse order, after an approval of its own where money was posted."""
    _operator(by)
    if not reason.strip():
        raise Invalid("Say why it is to be taken back.", {"reason": ["A reason is needed."]})
    who, incident = by.get_username(), Incident.objects.get(pk=execution.incident_id)
    executions.undoable(execution)
    if execution.state == ExecutionState.FAILED:
        _give_up(execution, actor=who, reason=f"Rolled back by {who}.")
    elif execution.state not in (ExecutionState.VERIFIED, ExecutionState.CANCELLED):
        raise executions.CannotUndo("It is still being carried out. Cancel it first, or wait for its end.")
    with transaction.atomic():
        move(incident, Status.ROLLING_BACK, actor=who, reason=reason)
    try:
        back = executions.begin_rollback(execution, actor=who, reason=reason)
    except (ConnectorError, executions.CannotUndo) as refusal:
        back_to = Status.RESOLVED if execution.state == ExecutionState.VERIFIED else Status.NEEDS_OPERATOR
        move(incident, back_to, actor=who, reason=f"The rollback could not be prepared: {refusal}")
        if isinstance(refusal, ConnectorError):
            raise executions.CannotUndo(f"The record could not be read, so nothing was undone: {refusal}") from refusal
        raise
    ring(incident.pk)
    return back


def replay(letter: DeadLetter, *, actor: str) -> DeadLetter:
    """Take a dead letter up again under its old effect key; what may have been sent is looked for first."""
    step_run = letter.step_run
    if step_run is None:
        raise Invalid("This letter has no step to replay.")
    execution = step_run.execution
    with transaction.atomic():
        deadletters.close(letter, DeadLetter.State.REPLAYED, actor=actor)
        move_step(
            step_run,
            _taken_up(step_run),
            lease=None,
            actor=actor,
            reason="Replayed.",
            not_before=None,
            not_found_count=0,
        )
        move_execution(execution, ExecutionState.RUNNING, actor=actor, reason="A dead letter was replayed.")
        back = execution.direction == Execution.Direction.BACKWARD
        move(execution.incident, Status.ROLLING_BACK if back else Status.EXECUTING, actor=actor, reason="Replayed.")
    return letter


def _taken_up(step_run: StepRun) -> StepState:
    if step_run.state == StepState.REFUSED:
        return StepState.PLANNED
    if step_run.verifications.exists():
        return StepState.DONE
    return StepState.UNKNOWN if step_run.attempts_count else StepState.PLANNED


def resolve(letter: DeadLetter, *, by: User, resolution: str) -> DeadLetter:
    """Close a letter that a person has dealt with; its execution ends, its lane is free."""
    _operator(by)
    if not resolution.strip():
        raise Invalid("Say how it was dealt with.", {"resolution": ["A resolution is needed."]})
    who = by.get_username()
    with transaction.atomic():
        deadletters.close(letter, DeadLetter.State.RESOLVED, actor=who, resolution=resolution)
        if letter.step_run is not None and letter.step_run.execution.state == ExecutionState.FAILED:
            _end(letter.step_run.execution, actor=who, reason=resolution)
    return letter


def replay_by(letter: DeadLetter, *, by: User) -> DeadLetter:
    """Replay a letter for an operator."""
    _operator(by)
    return replay(letter, actor=by.get_username())


def after_cooldown() -> int:
    """Replay letters whose cause may pass by itself, at most three times a step; escalate the others. Returns how many."""
    due = DeadLetter.objects.filter(
        state=DeadLetter.State.WAITING, escalate_at__lte=db_now(), escalated_at__isnull=True
    )
    handled = 0
    for letter in due.select_related("step_run__execution__incident", "incident").order_by("pk")[:100]:
        handled += 1
        if letter.replays < AUTO_REPLAYS and _may_pass(letter):
            try:
                replay(letter, actor="system:dead-letters")
            except Exception as refusal:  # noqa: BLE001 - one letter that cannot be replayed must not stop the others
                _escalate(letter, f"It could not be replayed: {refusal}")
            continue
        _escalate(letter, "It waited for its cool-down and needs a person.")
    return handled


def _may_pass(letter: DeadLetter) -> bool:
    step_run = letter.step_run
    if step_run is None or step_run.state != StepState.STUCK or step_run.verifications.exists():
        return False
    last = step_run.attempts.last()
    return last is not None and last.outcome in ("unreachable", "unanswered", "ratelimited", "locked", "blocked")


def _escalate(letter: DeadLetter, reason: str) -> None:
    with transaction.atomic():
        now = db_now()
        if not DeadLetter.objects.filter(pk=letter.pk, escalated_at__isnull=True).update(escalated_at=now):
            return
        record(
            "dead_letter.escalated",
            actor="system:dead-letters",
            target=letter,
            incident=letter.incident_id,
            reason=reason,
        )


def _set_aside(incident: Incident, *, actor: str, reason: str) -> None:
    for execution in incident.executions.filter(state=ExecutionState.FAILED):
        _give_up(execution, actor=actor, reason=reason)
    for plan in incident.plans.filter(state__in=plans.LIVE):
        plans.void(plan, actor=actor, reason=reason)


def _give_up(execution: Execution, *, actor: str, reason: str) -> None:
    """End a failed execution; the letters of its steps are closed with it."""
    letters = DeadLetter.objects.filter(step_run__execution=execution, state=DeadLetter.State.WAITING)
    for letter in letters:
        deadletters.close(letter, DeadLetter.State.RESOLVED, actor=actor, resolution=reason)
    _end(execution, actor=actor, reason=reason)


def _end(execution: Execution, *, actor: str, reason: str) -> None:
    move_execution(execution, ExecutionState.CANCELLED, actor=actor, reason=reason)
    if execution.direction == Execution.Direction.FORWARD and execution.plan.state == PlanState.APPROVED:
        plans.void(execution.plan, actor=actor, reason=reason)


def _operator(by: User) -> None:
    if not has_role(by, "operator", "automation_admin"):
        raise NotAllowed("Operators do this. Ask one, or ask an administrator for the role.")
