"""Where an incident stands in the loop, as the four stages that a person reads at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from approvals.models import ApprovalRequest
from incidents.models import Incident, RootCause
from incidents.states import Status
from playbooks.models import Execution, Plan
from playbooks.states import ExecutionState, StepState

S = Status
DECIDING = {S.NEW: "being sized up", S.TRIAGED: "looking for the cause", S.DIAGNOSED: "making a plan"}


@dataclass(frozen=True)
class Stage:
    """One stage: its name, how it stands (done, now, waiting, failed, back, todo), when and in a few words."""

    name: str
    state: str
    text: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Course:
    """What the stages are told from: the newest cause, plan, question and run of an incident, where there are any."""

    incident: Incident
    root_cause: RootCause | None = None
    plan: Plan | None = None
    approval: ApprovalRequest | None = None
    forward: Execution | None = None
    back: Execution | None = None
    undos: Sequence[Execution] = ()  # all that undo the forward run, the newest first

    @property
    def status(self) -> Status:
        """Where the incident stands."""
        return Status(self.incident.status)


def stages(course: Course) -> list[Stage]:
    """Return the four stages of the loop for one incident."""
    return [_detected(course), _decided(course), _done(course), _verified(course)]


def _detected(course: Course) -> Stage:
    count = course.incident.signals_count
    return Stage("Detected", "done", f"{count} signal{'' if count == 1 else 's'}", course.incident.opened_at)


def _decided(course: Course) -> Stage:
    status, cause = course.status, course.root_cause
    if status in DECIDING:
        return Stage("Decided", "now", DECIDING[status])
    if course.plan is not None:
        said = "cause found, plan made" if cause and cause.cause else "plan made"
        return Stage("Decided", "done", said, course.plan.created_at)
    if cause is not None and cause.cause:
        return Stage("Decided", "done", "cause found", cause.created_at)
    if status is S.NEEDS_OPERATOR:
        return Stage("Decided", "failed", "no cause found" if cause else "needs a person")
    return Stage("Decided", "done" if status is S.RESOLVED else "todo", "", None)


def _done(course: Course) -> Stage:
    status, forward = course.status, course.forward
    if status is S.AWAITING_APPROVAL:
        return _waiting(course)
    if status is S.PLANNED:
        return Stage("Do", "now", "asking who must agree")
    if status is S.EXECUTING:
        return Stage("Do", "now", progress(forward) if forward else "about to start")
    if status in (S.ROLLING_BACK, S.ROLLED_BACK):
        return Stage("Do", "back", *_undoing(course))
    if forward is None:
        return Stage("Do", "done", "nothing was sent") if status is S.RESOLVED else Stage("Do", "todo")
    if status is S.NEEDS_OPERATOR and _stopped_sending(forward):
        return Stage("Do", "failed", _where_it_stopped(forward))
    return Stage("Do", "done", progress(forward), forward.finished_at or forward.created_at)


def _waiting(course: Course) -> Stage:
    approval = course.approval
    if approval is None:
        return Stage("Do", "waiting", "waits for approval")
    missing = max(approval.required - approval.given, 0)
    return Stage("Do", "waiting", f"waits for {missing} approver{'' if missing == 1 else 's'}", approval.created_at)


def _undoing(course: Course) -> tuple[str, datetime | None]:
    back = course.back
    if back is None:
        return "being undone", None
    if back.state == ExecutionState.WAITING:
        return "undo waits for approval", back.created_at
    if back.state == ExecutionState.VERIFIED:
        return "undone", back.finished_at
    return f"undoing, {progress(back)}", back.created_at


def _verified(course: Course) -> Stage:
    status, forward = course.status, course.forward
    if status is S.VERIFYING:
        return Stage("Verify", "now", "reading the source back")
    if status is S.ROLLED_BACK:
        return Stage("Verify", "back", "read back as it was", course.back.finished_at if course.back else None)
    if status is S.RESOLVED:
        said = "read back, as predicted" if forward else "the source is right"
        return Stage("Verify", "done", said, course.incident.resolved_at)
    if forward is not None and any(run.state == StepState.MISMATCH for run in forward.step_runs.all()):
        return Stage("Verify", "failed", "the source says otherwise")
    return Stage("Verify", "todo")


def progress(execution: Execution) -> str:
    """Say how far an execution has come, such as "step 2 of 3"."""
    runs = list(execution.step_runs.all())
    if not runs:
        return "about to start"
    over = [run for run in runs if run.state in (StepState.VERIFIED, StepState.SKIPPED, StepState.DONE)]
    if len(over) == len(runs):
        return f"{len(runs)} step{'' if len(runs) == 1 else 's'} done"
    return f"step {len(over) + 1} of {len(runs)}"


def _stopped_sending(execution: Execution) -> bool:
    stopped = (StepState.REFUSED, StepState.STUCK, StepState.UNKNOWN, StepState.PLANNED)
    return execution.state == ExecutionState.FAILED and any(run.state in stopped for run in execution.step_runs.all())


def _where_it_stopped(execution: Execution) -> str:
    for run in execution.step_runs.all():
        if run.state in (StepState.REFUSED, StepState.STUCK, StepState.UNKNOWN):
            return f"stopped at step {run.number}"
    return "stopped"
