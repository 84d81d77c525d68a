"""The states of an event log and the moves between them, as data."""

from django.db.models import TextChoices


class LogState(TextChoices):
    """How far an event log has got."""

    MAPPING = "mapping", "Waiting for its columns to be named"
    IMPORTING = "importing", "Importing"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"


S = LogState
# Each state and those that may follow it. A log that is ready imports again when lines are added to it.
NEXT: dict[LogState, frozenset[LogState]] = {
    S.MAPPING: frozenset({S.IMPORTING, S.FAILED}),
    S.IMPORTING: frozenset({S.READY, S.FAILED}),
    S.READY: frozenset({S.IMPORTING}),
    S.FAILED: frozenset({S.MAPPING, S.IMPORTING}),
}
