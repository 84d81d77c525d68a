"""What people do to plans and executions: re-plan, edit, take over, cancel, undo, replay."""

from contextlib import suppress
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from audit.access import has_role
from audit.actions import record
from audit.clock import db_now
from audit.errors import IllegalMove, Invalid, LostRace, NotAllowed
from connectors.base import ConnectorError
from incidents import actions as incident_actions
from incidents.actions import move, ring
from incidents.evidence import facts
from incidents.models import Incident
from incidents.moves import check_version
from incidents.states import Status
from playbooks import chooser, deadletters, endings, executions, planning, plans
from playbooks.models import DeadLetter, Execution, Plan, StepRun
from playbooks.moves import hold, move_execution, move_step
from playbooks.states import LIVE_EXECUTION, ExecutionState, StepState

REPLANNABLE = frozenset({Status.NEEDS_OPERATOR, Status.PLANNED, Status.AWAITING_APPROVAL, Status.DIAGNOSED})
EDITABLE = frozenset({Status.PLANNED, Status.AWAITING_APPROVAL})
AUTO_REPLAYS = 3


def replan(incident: Incident, *, by: User, reason: str = "", if_version: int | None = None) -> Incident:
    """Read the evidence anew and plan again; what was proposed or asked before is void."""
    _operator(by)
    check_version(incident, if_version)
    if Status(incident.status) not in REPLANNABLE:
        raise planning.CannotPlan(
            f"{incident} is {incident.get_status_display().lower()}: there is nothing to plan anew."
        )
    who = by.get_username()
    why = reason or f"{who} asked for a new plan."
    with transaction.atomic():
        endings.set_aside(incident, actor=who, reason=why)
        return move(incident, Status.TRIAGED, actor=who, reason=why)


def edit_plan(plan: Plan, *, by: User, playbook: str, slots: dict[str, Any]) -> Plan:
    """Replace a proposed plan by one with another candidate playbook or slot values; the editor cannot approve it."""
    _operator(by)
    incident, who = plan.incident, by.get_username()
    if Status(incident.status) not in EDITABLE or plan.state not in plans.LIVE:
        raise planning.CannotPlan("Only a plan that waits for a decision can be edited.")
    root_cause = incident.root_causes.order_by("-round").first()
    versions = {version.playbook.slug: version for version in planning.candidates(incident, root_cause)}
    if playbook not in versions:
        raise Invalid("That playbook does not fit this incident.", {"playbook": ["Choose one of the candidates."]})
    offered = chooser.offered(versions[playbook], facts(incident))
    taken = {
        name: chooser.among(allowed, slots[name]) if name in slots else default
        for name, (allowed, default) in offered.items()
    }
    wrong = {
        name: ["Choose one of the offered values."] for name, value in taken.items() if value is chooser.NOT_OFFERED
    }
    if wrong or set(slots) - set(offered):
        raise Invalid("The plan takes only the offered values.", wrong or {"slots": ["Unknown name."]})
    choice = chooser.Choice(playbook, taken, author=who, candidates=list(versions))
    try:
        fresh = planning.propose(incident, actor=who, choice=choice, editor=who)
    except ConnectorError as error:
        raise planning.CannotPlan(f"The record could not be read, so the plan stays as it was: {error}") from error
    incident.refresh_from_db()
    if incident.status == Status.AWAITING_APPROVAL:
        # The loop may have come first and asked already.
        with suppress(LostRace, IllegalMove):
            plans.submit(fresh, actor=who)
    ring(incident.pk)
    fresh.refresh_from_db()
    return fresh


def take_over(incident: Incident, *, by: User, reason: str) -> Incident:
    """Let a person mend it by hand: the loop stops, its plan is void, the incident is theirs."""
    _operator(by)
    if Status(incident.status) in (Status.EXECUTING, Status.VERIFYING, Status.ROLLING_BACK):
        raise planning.CannotPlan("It is being carried out now. Cancel the execution first, or wait for its end.")
    who = by.get_username()
    with transaction.atomic():
        endings.set_aside(incident, actor=who, reason=f"{who} took over.")
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
        # The bell first: the incident's row must not be waited for behind the ledger.
        ring(execution.incident_id)
        Execution.objects.filter(pk=execution.pk).update(cancel_requested=True)
        record(
            "execution.cancel_requested",
            actor=by.get_username(),
            target=execution,
            incident=execution.incident_id,
            reason=reason,
        )
    execution.refresh_from_db()
    return execution


def roll_back(execution: Execution, *, by: User, reason: str) -> Execution:
    """Take back what an execution did, in reverse order, after an approval of its own where money was posted."""
    _operator(by)
    if not reason.strip():
        raise Invalid("Say why it is to be taken back.", {"reason": ["A reason is needed."]})
    who = by.get_username()
    steps = executions.undoable(execution)
    _may_undo(execution, Incident.objects.get(pk=execution.incident_id))
    try:
        foreseen = executions.foresee_undo(execution, steps)
    except ConnectorError as error:
        raise executions.CannotUndo(f"The record could not be read, so nothing was undone: {error}") from error
    # One transaction: the loop must not find the incident rolling back before there is a rollback.
    with transaction.atomic():
        incident = hold(execution.incident_id)
        execution.refresh_from_db()
        _may_undo(execution, incident)
        if [step.pk for step in executions.undoable(execution)] != [step.pk for step in steps]:
            raise LostRace("The execution went on while its undo was prepared. Look again, then decide.")
        if execution.state == ExecutionState.FAILED:
            endings.give_up(execution, actor=who, reason=f"Rolled back by {who}.")
        move(incident, Status.ROLLING_BACK, actor=who, reason=reason)
        return executions.begin_rollback(execution, actor=who, reason=reason, steps=steps, foreseen=foreseen)


def _may_undo(execution: Execution, incident: Incident) -> None:
    if execution.state not in (ExecutionState.VERIFIED, ExecutionState.CANCELLED, ExecutionState.FAILED):
        raise executions.CannotUndo("It is still being carried out. Cancel it first, or wait for its end.")
    other = incident.executions.filter(state__in=LIVE_EXECUTION).exclude(pk=execution.pk).first()
    if other is not None:
        raise executions.CannotUndo(f"Another run of this incident, {other}, is not over. End that one first.")
    if Status(incident.status) not in (Status.RESOLVED, Status.NEEDS_OPERATOR):
        was = incident.get_status_display().lower()
        raise executions.CannotUndo(f"{incident} is {was}: take it over first, then undo what was done.")


def replay(letter: DeadLetter, *, actor: str) -> DeadLetter:
    """Take a dead letter up again under its old effect key; what may have been sent is looked for first."""
    step_run = letter.step_run
    if step_run is None:
        raise Invalid("This letter has no step to replay.")
    execution = step_run.execution
    with transaction.atomic():
        hold(execution.incident_id)
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
        hold(letter.incident_id)
        deadletters.close(letter, DeadLetter.State.RESOLVED, actor=who, resolution=resolution)
        if letter.step_run is not None and letter.step_run.execution.state == ExecutionState.FAILED:
            endings.end(letter.step_run.execution, actor=who, reason=resolution)
    return letter


def replay_by(letter: DeadLetter, *, by: User) -> DeadLetter:
    """Replay a letter for an operator."""
    _operator(by)
    return replay(letter, actor=by.get_username())


def after_cooldown() -> int:
    """Replay letters whose cause may pass by itself, at most three times a step; escalate the others; say how many."""
    due = DeadLetter.objects.filter(
        state=DeadLetter.State.WAITING, escalate_at__lte=db_now(), escalated_at__isnull=True
    )
    handled = endings.tidy()
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
        waiting = DeadLetter.objects.filter(pk=letter.pk, state=DeadLetter.State.WAITING, escalated_at__isnull=True)
        if not waiting.update(escalated_at=db_now()):
            return
        record(
            "dead_letter.escalated",
            actor="system:dead-letters",
            target=letter,
            incident=letter.incident_id,
            reason=reason,
        )


def _operator(by: User) -> None:
    if not has_role(by, "operator", "automation_admin"):
        raise NotAllowed("Operators do this. Ask one, or ask an administrator for the role.")
