"""Days on which a connection was used far more than on the same weekday before: facts for pages and detectors."""

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Any

from django.db.models import Sum

from audit.access import Person
from audit.clock import db_now
from insights.kpis.models import UsageDay

WEEKS = 8
FEWEST_WEEKS = 4
# Robust standard deviations; a normal day is beyond it about once in thirty thousand.
FAR = 4.0
# And in plain terms: at least half as much again, so that a steady system does not cry over a handful of calls.
HALF_AGAIN = 1.5
_LOOK_AT = 7
_MEASURES = ("calls", "tokens")


@dataclass(frozen=True)
class Spike:
    """One day of one connection: how much, what is usual on that weekday, how far off, and how many weeks say so."""

    connection: str
    measure: str  # calls or tokens
    day: date
    value: int
    usual: float
    score: float
    weeks: int

    @property
    def key(self) -> str:
        """What it is known by: the same spike is raised once."""
        return f"{self.connection}:{self.measure}:{self.day:%Y-%m-%d}"

    @property
    def times(self) -> float | None:
        """How many times the usual it is; ``None`` where nothing is usual."""
        return self.value / self.usual if self.usual else None


def spikes(user: Person, today: date | None = None) -> list[Spike]:
    """Return the spikes of the last seven days in what ``user`` may see, the furthest off first."""
    today = today or db_now().date()
    first = today - timedelta(days=_LOOK_AT + 7 * WEEKS)
    rows: Any = UsageDay.objects.visible_to(user).filter(day__gt=first, day__lte=today).order_by()
    series: dict[tuple[str, str], dict[date, int]] = defaultdict(dict)
    for slug, day, calls, tokens in rows.values_list("connection__slug", "day").annotate(Sum("calls"), Sum("tokens")):
        series[(slug, "calls")][day] = calls
        series[(slug, "tokens")][day] = tokens
    found = []
    for (slug, measure), values in series.items():
        begun = min(values)
        for back in range(_LOOK_AT):
            spike = judge(slug, measure, values, today - timedelta(days=back), begun)
            if spike is not None:
                found.append(spike)
    return sorted(found, key=lambda one: (-one.score, one.key))


def judge(connection: str, measure: str, values: dict[date, int], day: date, begun: date) -> Spike | None:
    """Hold one day against the same weekday of the eight weeks before; a day without calls counts as none.

    ``begun`` is the first day that was counted at all: before it nothing is known.
    """
    value = values.get(day, 0)
    weeks = [day - timedelta(days=7 * back) for back in range(1, WEEKS + 1)]
    before = [values.get(one, 0) for one in weeks if one >= begun]
    if len(before) < FEWEST_WEEKS or not value:
        return None
    usual = float(median(before))
    spread = 1.4826 * median(abs(one - usual) for one in before)
    # Counts scatter by their root even where the few weeks happen to agree.
    score = (value - usual) / max(spread, math.sqrt(usual), 1.0)
    if score < FAR or value < HALF_AGAIN * usual:
        return None
    return Spike(connection, measure, day, value, usual, round(score, 1), len(before))
