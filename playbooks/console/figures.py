"""The day in three figures, computed from rows: mended, right first time, how long it took."""

from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import cast

from django.contrib.auth.models import User
from django.core.cache import cache
from django.utils import timezone

from playbooks import access
from playbooks.models import Execution
from playbooks.states import ExecutionState

MOST = 2_000  # of the latest runs; more would only sharpen the third digit
FRESH_SECONDS = 30


@dataclass(frozen=True)
class Day:
    """What was mended since midnight: how much, how much of it alone, how well and how fast."""

    mended: int = 0
    alone: int = 0
    right_first_time: float | None = None  # share, 0 to 1
    median_seconds: float | None = None  # from opened to resolved


def today(user: User) -> Day:
    """Return the figures of what ``user`` may see since midnight, at most half a minute old."""
    return cast(Day, cache.get_or_set(f"figures:{user.pk}", partial(_count, user), FRESH_SECONDS))


def _count(user: User) -> Day:
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    runs = access.executions(user).filter(
        direction=Execution.Direction.FORWARD, state=ExecutionState.VERIFIED, finished_at__gte=midnight
    )
    # In the order of the primary key, so that the latest are found without looking at all that ever ran.
    latest = Execution.objects.order_by("-id").values_list("id", flat=True)[MOST : MOST + 1].first()
    columns = ("plan__autonomous", "first_attempt_verified", "incident__opened_at", "finished_at")
    rows = list(runs.filter(id__gt=latest or 0).values_list(*columns))
    if not rows:
        return Day()
    first = [row[1] for row in rows if row[1] is not None]
    seconds = [(finished - opened).total_seconds() for _, _, opened, finished in rows if finished is not None]
    return Day(
        mended=len(rows),
        alone=sum(1 for row in rows if row[0]),
        right_first_time=sum(first) / len(first) if first else None,
        median_seconds=median(seconds),
    )
