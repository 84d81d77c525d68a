"""The day in three figures, computed from rows: mended, right first time, how long it took."""

from dataclasses import dataclass
from statistics import median

from django.contrib.auth.models import User
from django.core.cache import cache
from django.utils import timezone

from incidents.models import Incident
from playbooks.models import Execution
from playbooks.states import ExecutionState

MOST = 5_000  # of the day's runs; more would only sharpen the third digit
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
    key = f"figures:{user.pk}"
    found: Day | None = cache.get(key)
    if found is None:
        found = _count(user)
        cache.set(key, found, FRESH_SECONDS)
    return found


def _count(user: User) -> Day:
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    runs = Execution.objects.filter(
        direction=Execution.Direction.FORWARD, state=ExecutionState.VERIFIED, finished_at__gte=midnight
    ).filter(incident__in=Incident.objects.visible_to(user))
    rows = list(
        runs.order_by("-finished_at").values_list(
            "plan__autonomous", "first_attempt_verified", "incident__opened_at", "finished_at"
        )[:MOST]
    )
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
