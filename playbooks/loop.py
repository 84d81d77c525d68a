"""The loop, from top to bottom: look at where an incident stands, take the next step, until a person or time is needed.

    new → triaged → diagnosed → planned → awaiting_approval → executing → verifying → resolved
                                                              rolling_back → rolled_back

Celery only rings the bell. Everything that decides what happens next stands in the database, so a worker can
die anywhere in here and another one goes on.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from audit.clock import db_now
from audit.errors import LostRace
from connectors.base import ConnectorError
from connectors.door import retry
from incidents import evidence, leases, news, rootcause, triage
from incidents.actions import move
from incidents.leases import Lease, LeaseLost
from incidents.models import Incident
from incidents.states import MACHINE, Status
from playbooks import endings, engine, executions, holdouts, planning, plans, stumbles, verification
from playbooks.definitions import PlaybookDefinition
from playbooks.engine import Ending
from playbooks.models import Execution, Plan, StepRun, Verification
from playbooks.moves import hold, move_execution, move_plan
from playbooks.states import LIVE_EXECUTION, ExecutionState, PlanState, StepState

logger = logging.getLogger(__name__)
ACTOR = "system:loop"
REPLANS = 5  # in a row, before a person is asked why the record keeps changing


@dataclass(frozen=True)
class Pause:
    """Nothing to do now: look again in ``seconds``, or, with ``None``, when somebody rings."""

    seconds: float | None = None


Stage = Callable[[Incident, Lease], Pause | None]


def advance(incident_id: int) -> bool:
    """Carry one incident as far as it goes now. ``False`` where another worker has it or it is not due."""
    lease = leases.claim(incident_id)
    if lease is None:
        return False
    try:
        _until_it_pauses(incident_id, lease)
    except LeaseLost:
        logger.info("incident %s: another worker has taken over", incident_id)
        return True
    lease.release()
    return True


def _until_it_pauses(incident_id: int, lease: Lease) -> None:
    while True:
        lease.renew()
        incident = Incident.objects.select_related("kind").get(pk=incident_id)
        if incident.status == Status.NEEDS_OPERATOR and incident.due_at is not None:
            if news.hear(incident_id):
                continue
            return
        try:
            pause = Pause() if incident.status not in MACHINE else _stage(incident, lease)
        except LostRace:
            continue
        if pause is not None:
            lease.check()
            if _rests(incident, pause):
                return


def _stage(incident: Incident, lease: Lease) -> Pause | None:
    try:
        return STAGES[Status(incident.status)](incident, lease)
    except (LeaseLost, LostRace, OperationalError, InterfaceError):
        # Another worker, a person or the database was in the way: nothing is wrong with the incident.
        raise
    except ConnectorError as error:
        lease.check()
        return _stumbled(incident, error)
    except Exception as error:
        logger.exception("incident %s: the loop failed while it was %s", incident.pk, incident.status)
        lease.check()
        return _failed(incident, error)


def _rests(incident: Incident, pause: Pause) -> bool:
    """Say when it is due again, or never; ``False`` where somebody has rung since we looked: then look at once."""
    due_at = None if pause.seconds is None else db_now() + timedelta(seconds=pause.seconds)
    return bool(Incident.objects.filter(pk=incident.pk, due_at=incident.due_at).update(due_at=due_at))


# --- detect and decide ---------------------------------------------------------------------------


def _triage(incident: Incident, lease: Lease) -> Pause | None:
    triage.triage(incident, actor=ACTOR)
    incident.refresh_from_db()
    if incident.status == Status.NEW:
        move(incident, Status.TRIAGED, actor=ACTOR, reason=incident.severity_reason)
    return None


def _diagnose(incident: Incident, lease: Lease) -> Pause | None:
    collected = evidence.collect(incident, actor=ACTOR, lease=lease)
    lease.renew()
    found = rootcause.diagnose(incident, actor=ACTOR)
    incident.refresh_from_db()
    if incident.status != Status.TRIAGED:
        raise LostRace(f"{incident} was moved by someone else.")
    stumbles.forget(incident)
    if collected.healed:
        move(incident, Status.DISMISSED, actor=ACTOR, reason=f"Checked, nothing to mend: {collected.healed}")
        return Pause()
    move(incident, Status.DIAGNOSED, actor=ACTOR, reason=found.summary)
    return None


def _plan(incident: Incident, lease: Lease) -> Pause | None:
    try:
        planning.propose(incident, actor=ACTOR, lease=lease)
    except planning.CannotPlan as refusal:
        # Due at once: what joined since the evidence was read is heard before it is left to a person.
        move(incident, Status.NEEDS_OPERATOR, actor=ACTOR, reason=str(refusal), due_in=0)
        return None
    lease.check()
    stumbles.forget(incident)
    move(incident, Status.PLANNED, actor=ACTOR)
    return None


def _submit(incident: Incident, lease: Lease) -> Pause | None:
    plan = _live_plan(incident)
    if plan is None:
        move(incident, Status.TRIAGED, actor=ACTOR, reason="The plan was taken back.")
        return None
    state = PlanState(plan.state)
    if state is PlanState.DRAFT:
        held_out = holdouts.keeps(plan)
        if held_out is not None:
            holdouts.leave_to_people(plan, held_out, actor=ACTOR)
            return Pause()
        state = plans.submit(plan, actor=ACTOR)
    if state is PlanState.APPROVED:
        return _begin(incident, plan)
    move(incident, Status.AWAITING_APPROVAL, actor=ACTOR, reason=plan.asked_because)
    return None


def _await_approval(incident: Incident, lease: Lease) -> Pause | None:
    plan = _live_plan(incident)
    if plan is None:
        move(incident, Status.TRIAGED, actor=ACTOR, reason="The plan was taken back.")
        return None
    if plan.state == PlanState.DRAFT:
        # Somebody edited the plan and never came to ask.
        plans.submit(plan, actor=ACTOR)
    if plan.state == PlanState.APPROVED:
        return _begin(incident, plan)
    asked = ApprovalRequest.objects.filter(subject="plan", subject_id=plan.pk).order_by("-pk").first()
    if asked is None or asked.state == "pending":
        return Pause()
    if asked.state == "approved" and not approvals.expire("plan", plan.pk):
        move_plan(plan, PlanState.APPROVED, actor=ACTOR, reason=f"Approved in request {asked.pk}.")
        return _begin(incident, plan)
    asked.refresh_from_db()
    # Together: a plan that was rejected must not be proposed anew because a worker died in between.
    with transaction.atomic():
        hold(incident.pk)
        if asked.state == "rejected":
            reason = f"The plan was rejected: {asked.state_reason}"
            move_plan(plan, PlanState.REJECTED, actor=ACTOR, reason=asked.state_reason)
        else:
            reason = asked.state_reason or "Nobody decided in time. Plan again to ask anew, or take over."
            plans.void(plan, actor=ACTOR, reason=f"The approval is {asked.state}.")
        move(incident, Status.NEEDS_OPERATOR, actor=ACTOR, reason=reason)
    return Pause()


def _begin(incident: Incident, plan: Plan) -> Pause | None:
    # Together: an execution that nobody was told of would run beside the next plan.
    with transaction.atomic():
        hold(incident.pk)
        move(incident, Status.EXECUTING, actor=ACTOR)
        executions.begin(plan, actor=ACTOR)
    return None


# --- do ------------------------------------------------------------------------------------------


def _execute(incident: Incident, lease: Lease) -> Pause | None:
    execution = _live_execution(incident, Execution.Direction.FORWARD)
    if execution is None:
        move(incident, Status.NEEDS_OPERATOR, actor=ACTOR, reason="Nothing is being carried out: plan again.")
        return Pause()
    outcome = engine.run(execution, lease)
    if outcome.ending is Ending.FINISHED:
        move(incident, Status.VERIFYING, actor=ACTOR)
        return None
    if outcome.ending is Ending.WAITING:
        return Pause(outcome.seconds)
    if outcome.ending is Ending.DRIFTED:
        return _plan_again(incident, execution, outcome.reason)
    if outcome.ending is Ending.CANCELLED:
        return _cancelled(incident, execution, outcome.reason)
    endings.leave_to_person(incident, outcome.reason)
    return Pause()


def _plan_again(incident: Incident, execution: Execution, reason: str) -> Pause | None:
    with transaction.atomic():
        hold(incident.pk)
        move_execution(execution, ExecutionState.CANCELLED, actor=ACTOR, reason=reason)
        plans.void(execution.plan, actor=ACTOR, reason=reason)
        drifts = endings.drifts(incident)
        if drifts % REPLANS:
            move(incident, Status.TRIAGED, actor=ACTOR, reason=f"Plan again: {reason}")
            return None
        why = f"The record keeps changing while it is being mended ({drifts} plans). Last: {reason}"
        move(incident, Status.NEEDS_OPERATOR, actor=ACTOR, reason=why)
    return Pause()


def _cancelled(incident: Incident, execution: Execution, reason: str) -> Pause | None:
    standing = execution.step_runs.filter(state__in=(StepState.VERIFIED, StepState.DONE)).count()
    done = f" {standing} of its steps stand and can be undone." if standing else " Nothing was sent."
    with transaction.atomic():
        hold(incident.pk)
        move_execution(execution, ExecutionState.CANCELLED, actor=ACTOR, reason=reason)
        plans.void(execution.plan, actor=ACTOR, reason=reason)
        move(incident, Status.NEEDS_OPERATOR, actor=ACTOR, reason=reason + done)
    return Pause()


# --- verify --------------------------------------------------------------------------------------


def _verify(incident: Incident, lease: Lease) -> Pause | None:
    """Close the incident: every step of the execution has been read back from its source."""
    execution = _live_execution(incident, Execution.Direction.FORWARD)
    if execution is None:
        execution = incident.executions.filter(direction=Execution.Direction.FORWARD).latest("pk")
    steps = list(execution.step_runs.prefetch_related("verifications"))
    # The last read counts: what agreed at first and differed later is not mended.
    if not steps or not all(check is not None and check.matched for check in map(_last_read, steps)):
        endings.leave_to_person(incident, "A step has no read-back that agrees.")
        return Pause()
    due = _second_look(execution, steps)
    if due is not None and due.seconds:
        return due
    if due is not None:
        wrong = [check for check in (verification.verify(step) for step in steps) if not check.matched]
        if wrong:
            reason = f"It was right at first and is not any more: {verification.difference(wrong[0])}"
            endings.leave_to_person(incident, reason)
            return Pause()
        lease.check()
    checked = sum(len(check.fields) for check in map(_last_read, steps) if check is not None)
    reason = f"Read back from the source: {checked} fields of {len(steps)} steps are as predicted."
    with transaction.atomic():
        hold(incident.pk)
        if execution.state == ExecutionState.RUNNING:
            first = all(step.attempts_count <= 1 and step.verifications.all()[0].matched for step in steps)
            move_execution(execution, ExecutionState.VERIFIED, actor=ACTOR, first_attempt_verified=first)
            move_plan(execution.plan, PlanState.EXECUTED, actor=ACTOR)
        move(incident, Status.RESOLVED, actor=ACTOR, reason=reason)
    return Pause()


def _last_read(step: StepRun) -> Verification | None:
    return next(reversed(step.verifications.all()), None)


def _second_look(execution: Execution, steps: list[StepRun]) -> Pause | None:
    """Say whether the playbook wants the source read once more: in so many seconds, now (0), or no more (``None``)."""
    definition = PlaybookDefinition.model_validate(execution.plan.playbook_version.definition)
    if definition.read_again_after_minutes is None or execution.state != ExecutionState.RUNNING:
        return None
    reads = [check.read_at for step in steps for check in step.verifications.all()]
    due = min(reads) + timedelta(minutes=definition.read_again_after_minutes)
    if max(reads) >= due:
        return None
    return Pause(max((due - db_now()).total_seconds(), 0.0))


# --- undo ----------------------------------------------------------------------------------------


def _roll_back(incident: Incident, lease: Lease) -> Pause | None:
    back = _live_execution(incident, Execution.Direction.BACKWARD)
    if back is None:
        move(incident, Status.NEEDS_OPERATOR, actor=ACTOR, reason="No rollback is under way.")
        return Pause()
    if back.state == ExecutionState.WAITING:
        refused = _agreed(back)
        if refused is None:
            return Pause()
        if refused:
            return _not_rolled_back(incident, back, refused)
    outcome = engine.run(back, lease)
    if outcome.ending is Ending.FINISHED:
        reason = "Taken back and read back: the source says what it said before."
        with transaction.atomic():
            hold(incident.pk)
            move_execution(back, ExecutionState.VERIFIED, actor=ACTOR)
            move(incident, Status.ROLLED_BACK, actor=ACTOR, reason=reason)
        return Pause()
    if outcome.ending is Ending.WAITING:
        return Pause(outcome.seconds)
    if outcome.ending is Ending.CANCELLED:
        return _not_rolled_back(incident, back, outcome.reason)
    endings.leave_to_person(incident, f"The undo is unfinished: {outcome.reason}")
    return Pause()


def _agreed(back: Execution) -> str | None:
    """Start the rollback where it may run (""); ``None`` while people think; else why not."""
    if back.cancel_requested:
        return "The rollback was cancelled."
    if back.approval_id is not None:
        approvals.expire("rollback", back.pk)
        asked = ApprovalRequest.objects.get(pk=back.approval_id)
        if asked.state == "pending":
            return None
        if asked.state != "approved":
            return f"The rollback was {asked.get_state_display().lower()}: {asked.state_reason}"
    executions.start_rollback(back, actor=ACTOR)
    return ""


def _not_rolled_back(incident: Incident, back: Execution, reason: str) -> Pause | None:
    whole = back.undoes is not None and back.undoes.state == ExecutionState.VERIFIED
    untouched = not back.step_runs.filter(attempts_count__gt=0).exists()
    with transaction.atomic():
        endings.drop_rollback(back, reason=reason)
        move(incident, Status.RESOLVED if whole and untouched else Status.NEEDS_OPERATOR, actor=ACTOR, reason=reason)
    return Pause()


# --- when it does not go on ----------------------------------------------------------------------


def _stumbled(incident: Incident, error: ConnectorError) -> Pause:
    """A record could not be read. Nothing was sent, so it is tried again for as long as it takes, ever more slowly."""
    count = stumbles.note(incident, str(error))
    advice = retry.decide(error, wrote=False, attempt=count, key=f"incident-{incident.pk}")
    if error.retryable:
        return Pause(advice.after_seconds if advice.after_seconds is not None else settings.RETRY_CAP_SECONDS)
    endings.leave_to_person(incident, f"{error} {advice.guidance}")
    return Pause()


def _failed(incident: Incident, error: Exception) -> Pause:
    count = stumbles.note(incident, f"{stumbles.FAULT}{type(error).__name__}: {error}")
    if count < settings.RETRY_LIMIT:
        return Pause(min(settings.RETRY_BASE_SECONDS * 2**count, settings.RETRY_CAP_SECONDS))
    was, what = incident.get_status_display().lower(), type(error).__name__
    reason = f"Goldseam failed {count} times while the incident was {was}: {what}. See the log."
    endings.leave_to_person(incident, reason)
    return Pause()


def _live_plan(incident: Incident) -> Plan | None:
    return incident.plans.filter(state__in=plans.LIVE).select_related("playbook_version__playbook").first()


def _live_execution(incident: Incident, direction: Execution.Direction) -> Execution | None:
    live = incident.executions.filter(direction=direction, state__in=LIVE_EXECUTION)
    return live.select_related("plan", "incident", "undoes").first()


STAGES: dict[Status, Stage] = {
    Status.NEW: _triage,
    Status.TRIAGED: _diagnose,
    Status.DIAGNOSED: _plan,
    Status.PLANNED: _submit,
    Status.AWAITING_APPROVAL: _await_approval,
    Status.EXECUTING: _execute,
    Status.VERIFYING: _verify,
    Status.ROLLING_BACK: _roll_back,
}
