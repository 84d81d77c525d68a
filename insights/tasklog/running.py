"""The mining of a task log by a worker: leased, told how far it is, and whole or not at all."""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from audit.actions import record
from audit.clock import db_now
from audit.errors import LostRace
from insights.tasklog import entry
from insights.tasklog.mining import Found, Mined, mine
from insights.tasklog.models import Routine, TaskLog
from insights.tasklog.states import TaskLogState

ACTOR = "system:tasks"
ATTEMPTS = 3
# Mining two million steps takes well under this.
LEASE = timedelta(minutes=10)
_BEAT = 1.0


class LeaseLost(LostRace):
    """Another worker mines this log, or nobody needs to."""


def least_people() -> int:
    """Return how many people must share a routine before anybody is shown it (``INSIGHTS_TASK_MIN_PEOPLE``)."""
    return max(2, int(settings.INSIGHTS_TASK_MIN_PEOPLE))


def kept_for() -> timedelta:
    """Return how long the steps of a log are kept (``INSIGHTS_TASK_DAYS``)."""
    return timedelta(days=max(1, settings.INSIGHTS_TASK_DAYS))


def due() -> list[int]:
    """Return the logs that wait for a worker, or whose worker has not been heard of."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=db_now())
    rows = TaskLog.objects.filter(free, state__in=(TaskLogState.WAITING, TaskLogState.MINING))
    return list(rows.order_by("pk").values_list("pk", flat=True)[:100])


def claim(log_id: int) -> TaskLog:
    """Take the lease of a log that is to be mined. Raises ``LeaseLost`` where somebody holds it."""
    token, now = secrets.token_hex(16), db_now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    open_ = TaskLog.objects.filter(free, pk=log_id, state__in=(TaskLogState.WAITING, TaskLogState.MINING))
    taken = open_.update(
        state=TaskLogState.MINING, lease_token=token, lease_until=now + LEASE, attempts=F("attempts") + 1, progress=0.0
    )
    if not taken:
        raise LeaseLost(f"task log {log_id} is not to be mined, or by another worker")
    return TaskLog.objects.get(pk=log_id)


def run(log_id: int) -> TaskLog:
    """Mine one log that waits. Raises ``LeaseLost``. Doing it again finds the same."""
    log = claim(log_id)
    try:
        if log.attempts > ATTEMPTS:
            raise OSError(f"the mining was broken off {ATTEMPTS} times")
        columns, names = entry.load(log)
    except OSError as error:
        return _fail(log, f"The steps cannot be read: {error}. Bring the log in again.")
    mined = mine(columns, names, least_people=least_people(), progress=_teller(log))
    _publish(log, mined, columns)
    # Only now: a worker that dies before must find them again.
    entry.drop_marks(log)
    log.refresh_from_db()
    return log


def _teller(log: TaskLog) -> Callable[[float], None]:
    told = time.monotonic()

    def tell(share: float) -> None:
        nonlocal told
        if time.monotonic() - told < _BEAT:
            return
        told = time.monotonic()
        held = _held(log).update(progress=min(max(share, 0.0), 1.0), lease_until=db_now() + LEASE)
        if not held:
            raise LeaseLost(f"task log {log.pk} was taken over")

    return tell


def _held(log: TaskLog) -> Any:
    return TaskLog.objects.filter(pk=log.pk, lease_token=log.lease_token, state=TaskLogState.MINING)


def _publish(log: TaskLog, mined: Mined, columns: dict[str, Any]) -> None:
    with transaction.atomic():
        if not _held(log).update(
            state=TaskLogState.READY, progress=1.0, error="", lease_token="", lease_until=None, ready_at=db_now(),
            sessions=mined.sessions, withheld=mined.withheld,
            first_at=_at(columns["when"].min()), last_at=_at(columns["when"].max()),
        ):  # fmt: skip
            raise LeaseLost(f"task log {log.pk} was taken over")
        Routine.objects.filter(log=log).delete()
        Routine.objects.bulk_create(_row(log, number, one) for number, one in enumerate(mined.routines, start=1))
        told = {"routines": len(mined.routines), "withheld": mined.withheld, "people": log.people}
        record("task_log.mined", actor=ACTOR, target=log, data=told)


def _row(log: TaskLog, number: int, found: Found) -> Routine:
    parts = ("application", "element", "action", "value")
    return Routine(
        log=log,
        number=number,
        kind=found.kind,
        family=found.family,
        steps=[dict(zip(parts, step, strict=True)) for step in found.steps],
        repeats=found.repeats,
        people=found.people,
        weeks=found.weeks,
        median_seconds=found.median_seconds,
        total_seconds=found.total_seconds,
        share=found.share,
    )


def _at(microseconds: Any) -> datetime:
    return datetime.fromtimestamp(int(microseconds) / 1_000_000, UTC)


def _fail(log: TaskLog, reason: str) -> TaskLog:
    with transaction.atomic():
        _held(log).update(state=TaskLogState.FAILED, error=reason, lease_token="", lease_until=None)
        record("task_log.failed", actor=ACTOR, target=log, reason=reason)
    entry.forget(log)
    log.refresh_from_db()
    return log


def expire() -> int:
    """Remove the steps whose time is over, and say how many logs; what was found in them stays."""
    over = TaskLog.objects.filter(
        expires_at__lte=db_now(), expired_at=None, state__in=(TaskLogState.READY, TaskLogState.FAILED)
    )
    gone = 0
    for log in over.order_by("pk")[:100]:
        with transaction.atomic():
            if not TaskLog.objects.filter(pk=log.pk, expired_at=None).update(expired_at=db_now()):
                continue
            record("task_log.expired", actor=ACTOR, target=log, data={"steps": log.steps})
        entry.forget(log)
        gone += 1
    entry.tidy({str(pk) for pk in TaskLog.objects.values_list("pk", flat=True)}, db_now().timestamp() - 86_400)
    return gone
