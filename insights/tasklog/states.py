"""The states of a task log and the moves between them, as data."""

from django.db.models import TextChoices


class TaskLogState(TextChoices):
    """How far a task log has got."""

    WAITING = "waiting", "Waiting to be mined"
    MINING = "mining", "Being mined"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"


S = TaskLogState
NEXT: dict[TaskLogState, frozenset[TaskLogState]] = {
    S.WAITING: frozenset({S.MINING, S.FAILED}),
    S.MINING: frozenset({S.READY, S.FAILED, S.WAITING}),
    S.READY: frozenset(),
    S.FAILED: frozenset(),
}


class RoutineKind(TextChoices):
    """What sort of repetition was seen."""

    SEQUENCE = "sequence", "Repeated steps"
    COPY_PASTE = "copy_paste", "Copied and pasted"
    RETYPING = "retyping", "Typed again"
