"""How what cannot go on ends: plans void, executions closed, lanes free, and a reason that people can read."""

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from audit.clock import db_now
from audit.errors import LostRace
from incidents.actions import move
from incidents.models import Incident
from incidents.states import Status
from playbooks import deadletters, plans, stumbles
from playbooks.models import DeadLetter, Execution, Plan, StepRun
from playbooks.moves import hold, move_execution, move_plan, move_step
from playbooks.states import LIVE_EXECUTION, ExecutionState, PlanState, StepState

ACTOR = "system:loop"
T = StepState
UNSENT = (T.PLANNED, T.INTENT, T.UNKNOWN, T.REFUSED, T.STUCK)  # or not known to be sent
GUIDANCE = "Look at the reason, then replay: what may have been sent is looked for first, under the same key."


def leave_to_person(incident: Incident, reason: str) -> None:
    """Stop the machine and ask a person: what runs has failed, and the step that it stopped at waits as a letter."""
    with transaction.atomic():
        hold(incident.pk)
        for execution in incident.executions.filter(state__in=(ExecutionState.WAITING, ExecutionState.RUNNING)):
            if execution.state == ExecutionState.WAITING:
                drop_rollback(execution, reason=reason)
            else:
                _put_aside(execution, reason)
                move_execution(execution, ExecutionState.FAILED, actor=ACTOR, reason=reason)
        move(incident, Status.NEEDS_OPERATOR, actor=ACTOR, reason=reason)
        stumbles.forget(incident)


def _put_aside(execution: Execution, reason: str) -> None:
    """Leave the step that it stopped at as a dead letter, so that it can be replayed under its key."""
    step_run = execution.step_runs.exclude(state=StepState.VERIFIED).select_related("execution__incident").first()
    if step_run is None or step_run.state in (StepState.STUCK, StepState.REFUSED):
        return
    move_step(step_run, StepState.STUCK, lease=None, actor=ACTOR, reason=reason)
    deadletters.put(step_run, cause=f"{step_run.connection}: stopped", error=reason, guidance=GUIDANCE)


def drop_rollback(back: Execution, *, reason: str, actor: str = ACTOR) -> None:
    """End a rollback, and with it the question whether it may be done."""
    with transaction.atomic():
        hold(back.incident_id)
        move_execution(back, ExecutionState.CANCELLED, actor=actor, reason=reason)
        approvals.void("rollback", back.pk, reason=reason, actor=actor)


def set_aside(incident: Incident, *, actor: str, reason: str) -> None:
    """Give up what stands half-way and take back what was proposed: the incident is planned anew or closed.

    Only for an incident that no worker is carrying out; a move of its status in the same transaction makes sure.
    """
    with transaction.atomic():
        hold(incident.pk)
        for execution in incident.executions.filter(state__in=LIVE_EXECUTION):
            give_up(execution, actor=actor, reason=reason)
        for plan in incident.plans.filter(state__in=plans.LIVE):
            plans.void(plan, actor=actor, reason=reason)


def give_up(execution: Execution, *, actor: str, reason: str) -> None:
    """End an unfinished execution; the letters of its steps are closed with it."""
    with transaction.atomic():
        hold(execution.incident_id)
        letters = DeadLetter.objects.filter(step_run__execution=execution, state=DeadLetter.State.WAITING)
        for letter in letters:
            deadletters.close(letter, DeadLetter.State.RESOLVED, actor=actor, resolution=reason)
        end(execution, actor=actor, reason=reason)


def end(execution: Execution, *, actor: str, reason: str) -> None:
    """End an unfinished execution: its lanes are free, its plan is void."""
    if execution.direction == Execution.Direction.BACKWARD:
        drop_rollback(execution, actor=actor, reason=reason)
        return
    with transaction.atomic():
        hold(execution.incident_id)
        move_execution(execution, ExecutionState.CANCELLED, actor=actor, reason=reason)
        if execution.plan.state == PlanState.APPROVED:
            plans.void(execution.plan, actor=actor, reason=reason)


def drifts(incident: Incident) -> int:
    """Count the newest executions in a row that ended because the record had changed before anything was sent."""
    count = 0
    for run in incident.executions.filter(direction=Execution.Direction.FORWARD).order_by("-pk"):
        letters = run.step_runs.filter(dead_letters__isnull=False)
        if run.state != ExecutionState.CANCELLED or run.cancel_requested or letters.exists():
            break
        count += 1
    return count


def withdraw(incident: Incident, *, actor: str, reason: str) -> None:
    """Take back the plan that waits for an answer, and the question; raises ``LostRace`` where it waits no more.

    A yes that nothing was begun on goes with it: what it was given for has changed. A no stays what it is.
    """
    with transaction.atomic():
        if hold(incident.pk).status != incident.status:
            raise LostRace(f"{incident} was moved by someone else.")
        for plan in incident.plans.filter(state__in=plans.LIVE):
            no = ApprovalRequest.objects.filter(subject="plan", subject_id=plan.pk, state="rejected").first()
            if no is not None and plan.state == PlanState.ASKED:
                move_plan(plan, PlanState.REJECTED, actor=ACTOR, reason=no.state_reason)
            else:
                plans.void(plan, actor=actor, reason=reason)


def expire_unused() -> int:
    """Settle every yes whose time ran out before all of it was sent, and ring; return how many."""
    unsent = StepRun.objects.filter(state__in=UNSENT)
    begun = Execution.objects.filter(plan=OuterRef("pk"), direction=Execution.Direction.FORWARD)
    left = unsent.filter(execution__plan=OuterRef("pk"), execution__direction=Execution.Direction.FORWARD)
    proposed = Plan.objects.filter(~Exists(begun) | Exists(left), state__in=(PlanState.ASKED, PlanState.APPROVED))
    back = Execution.objects.filter(direction=Execution.Direction.BACKWARD, state__in=LIVE_EXECUTION)
    unfinished = back.filter(Exists(unsent.filter(execution=OuterRef("pk"))))
    late = ApprovalRequest.objects.filter(state="approved", expires_at__lte=db_now()).filter(
        Q(subject="plan", subject_id__in=proposed.values("pk"))
        | Q(subject="rollback", subject_id__in=unfinished.values("pk"))
    )
    return sum(approvals.expire(*key) for key in late.order_by("pk").values_list("subject", "subject_id"))


def tidy(incident_id: int | None = None) -> int:
    """Set aside what is left of dismissed and merged incidents (or of one): nothing may keep a lane for them."""
    over = Incident.objects.filter(status=Status.DISMISSED)
    if incident_id is not None:
        over = over.filter(pk=incident_id)
    begun = Execution.objects.filter(state__in=LIVE_EXECUTION, incident__in=over).values_list("incident_id", flat=True)
    proposed = Plan.objects.filter(state__in=plans.LIVE, incident__in=over).values_list("incident_id", flat=True)
    found = list(Incident.objects.filter(pk__in={*begun[:100], *proposed[:100]}).order_by("pk"))
    for incident in found:
        set_aside(incident, actor=ACTOR, reason=f"{incident} was dismissed.")
    return len(found)
