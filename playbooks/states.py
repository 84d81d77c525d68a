"""The states of plans, executions and steps, and the moves between them, as data."""

from django.db.models import TextChoices


class PlanState(TextChoices):
    """What has become of a plan."""

    DRAFT = "draft", "Proposed"  # digest fixed, nobody asked yet
    ASKED = "asked", "Waiting for approval"
    APPROVED = "approved", "Approved"  # by people, or by an autonomy grant
    REJECTED = "rejected", "Rejected"
    VOID = "void", "Void"  # edited, drifted or replaced
    EXECUTED = "executed", "Executed"


class ExecutionState(TextChoices):
    """What has become of one run of a plan, forward or backward."""

    WAITING = "waiting", "Waiting for approval"  # a rollback that people must agree to
    RUNNING = "running", "Running"
    VERIFIED = "verified", "Verified"
    FAILED = "failed", "Failed"  # a step was refused or differs; effects may stand
    CANCELLED = "cancelled", "Cancelled"


class StepState(TextChoices):
    """Where one step of one execution stands in the effect protocol."""

    PLANNED = "planned", "Planned"
    INTENT = "intent", "Intent written"  # committed before the socket opens
    SENT = "sent", "Sent"  # the socket may be open; after a crash the outcome is unknown
    UNKNOWN = "unknown", "Outcome unknown"
    DONE = "done", "Done"  # the target said yes
    VERIFIED = "verified", "Verified"  # a fresh read agrees
    MISMATCH = "mismatch", "Read-back differs"
    REFUSED = "refused", "Refused"
    STUCK = "stuck", "Needs a person"
    SKIPPED = "skipped", "Already so"  # the record already says what the step would make it say


P, E, T = PlanState, ExecutionState, StepState
PLAN_NEXT: dict[PlanState, frozenset[PlanState]] = {
    P.DRAFT: frozenset({P.ASKED, P.APPROVED, P.VOID, P.REJECTED}),
    P.ASKED: frozenset({P.APPROVED, P.REJECTED, P.VOID}),
    P.APPROVED: frozenset({P.EXECUTED, P.VOID}),
    P.REJECTED: frozenset(),
    P.VOID: frozenset(),
    P.EXECUTED: frozenset(),
}
EXECUTION_NEXT: dict[ExecutionState, frozenset[ExecutionState]] = {
    E.WAITING: frozenset({E.RUNNING, E.CANCELLED}),
    E.RUNNING: frozenset({E.VERIFIED, E.FAILED, E.CANCELLED}),
    E.FAILED: frozenset({E.RUNNING, E.CANCELLED}),  # a replayed dead letter takes it up again
    E.VERIFIED: frozenset(),
    E.CANCELLED: frozenset(),
}
STEP_NEXT: dict[StepState, frozenset[StepState]] = {
    T.PLANNED: frozenset({T.INTENT, T.SKIPPED, T.REFUSED, T.STUCK}),
    T.INTENT: frozenset({T.SENT, T.SKIPPED, T.PLANNED, T.REFUSED, T.STUCK}),
    T.SENT: frozenset({T.DONE, T.REFUSED, T.UNKNOWN, T.INTENT, T.STUCK}),
    T.UNKNOWN: frozenset({T.DONE, T.INTENT, T.STUCK}),
    T.DONE: frozenset({T.VERIFIED, T.MISMATCH, T.STUCK}),
    T.SKIPPED: frozenset({T.VERIFIED, T.MISMATCH, T.STUCK}),
    T.MISMATCH: frozenset({T.VERIFIED, T.STUCK}),
    T.REFUSED: frozenset({T.PLANNED}),
    T.STUCK: frozenset({T.PLANNED, T.DONE, T.UNKNOWN}),
    T.VERIFIED: frozenset(),
}
LIVE_EXECUTION = frozenset({E.WAITING, E.RUNNING, E.FAILED})
SETTLED_STEP = frozenset({T.VERIFIED, T.SKIPPED})
