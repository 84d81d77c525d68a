"""The states of an incident and the moves between them, as data."""

from django.db.models import TextChoices


class Status(TextChoices):
    """Where an incident stands in the loop."""

    NEW = "new", "New"
    TRIAGED = "triaged", "Triaged"
    DIAGNOSED = "diagnosed", "Diagnosed"
    PLANNED = "planned", "Planned"
    AWAITING_APPROVAL = "awaiting_approval", "Waiting for approval"
    EXECUTING = "executing", "Executing"
    VERIFYING = "verifying", "Verifying"
    RESOLVED = "resolved", "Resolved"
    NEEDS_OPERATOR = "needs_operator", "Needs an operator"
    ON_HOLD = "on_hold", "On hold"
    ROLLING_BACK = "rolling_back", "Rolling back"
    ROLLED_BACK = "rolled_back", "Rolled back"
    DISMISSED = "dismissed", "Dismissed"


class Severity(TextChoices):
    """How urgent an incident is."""

    CRITICAL = "critical", "Critical"
    HIGH = "high", "High"
    MEDIUM = "medium", "Medium"
    LOW = "low", "Low"


class Assign(TextChoices):
    """What a queue does with an incident that needs a person."""

    OFF = "off", "Leave it in the queue"
    SUGGEST = "suggest", "Suggest the least loaded member"
    LEAST_LOADED = "least_loaded", "Assign the least loaded member"


S = Status
# Each status and those that may follow it.
NEXT: dict[Status, frozenset[Status]] = {
    S.NEW: frozenset({S.TRIAGED, S.NEEDS_OPERATOR, S.ON_HOLD, S.DISMISSED}),
    S.TRIAGED: frozenset({S.DIAGNOSED, S.NEEDS_OPERATOR, S.ON_HOLD, S.DISMISSED}),
    S.DIAGNOSED: frozenset({S.PLANNED, S.TRIAGED, S.NEEDS_OPERATOR, S.ON_HOLD, S.DISMISSED, S.RESOLVED}),
    S.PLANNED: frozenset({S.AWAITING_APPROVAL, S.EXECUTING, S.TRIAGED, S.NEEDS_OPERATOR, S.ON_HOLD, S.DISMISSED}),
    S.AWAITING_APPROVAL: frozenset({S.EXECUTING, S.TRIAGED, S.NEEDS_OPERATOR, S.ON_HOLD, S.DISMISSED}),
    S.EXECUTING: frozenset({S.VERIFYING, S.TRIAGED, S.NEEDS_OPERATOR, S.ROLLING_BACK}),
    S.VERIFYING: frozenset({S.RESOLVED, S.NEEDS_OPERATOR, S.ROLLING_BACK}),
    S.RESOLVED: frozenset({S.ROLLING_BACK, S.TRIAGED}),
    S.NEEDS_OPERATOR: frozenset({S.TRIAGED, S.EXECUTING, S.VERIFYING, S.ROLLING_BACK, S.ON_HOLD, S.DISMISSED}),
    S.ON_HOLD: frozenset({S.TRIAGED, S.NEEDS_OPERATOR, S.DISMISSED}),
    S.ROLLING_BACK: frozenset({S.ROLLED_BACK, S.RESOLVED, S.NEEDS_OPERATOR}),
    S.ROLLED_BACK: frozenset({S.TRIAGED}),
    S.DISMISSED: frozenset({S.TRIAGED}),
}
# An incident in one of these takes new signals of its fingerprint; in the others it is over.
CLOSED = frozenset({S.RESOLVED, S.ROLLED_BACK, S.DISMISSED})
# In these the loop has something to do; in the others a person has, or nobody.
MACHINE = frozenset(
    {S.NEW, S.TRIAGED, S.DIAGNOSED, S.PLANNED, S.AWAITING_APPROVAL, S.EXECUTING, S.VERIFYING, S.ROLLING_BACK}
)
SEVERITY_ORDER = {Severity.CRITICAL: 0, Severity.HIGH: 1, Severity.MEDIUM: 2, Severity.LOW: 3}
