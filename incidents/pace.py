"""How long it takes from an event to the incident: as a running histogram, and as figures of the latest signals.

Two spans, both between times that stand in rows. ``transport``: from the event's own time to our receiving it; the
event's time is the sender's clock. ``visible``: from our receiving a first signal until its incident was seen by the
loop and sized up, hence visible to everybody; it includes the commit and the wait for a worker.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from audit.clock import db_now
from incidents.judgements import Decision, Pace
from incidents.models import Incident, Signal

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 86_400.0)
LATEST = 2_000  # rows behind a figure on a page
BATCH = 10_000  # rows per turn of the counter
# Keys are given out before the commit: a row must be as old as this before those after it are counted.
SETTLED = timedelta(seconds=60)
_Span = tuple[int, datetime, datetime]  # key, from, to


@dataclass(frozen=True)
class Figures:
    """The spread of one measure in the latest rows, in seconds."""

    n: int
    p50: float | None
    p95: float | None
    ahead: int  # clocks that ran ahead of ours: counted apart, in no percentile
    furthest: float  # by how much at most
    since: datetime | None  # when the oldest of the rows came


def _signals(rows: Any) -> Iterable[_Span]:
    return rows.values_list("id", "occurred_at", "received_at")  # type: ignore[no-any-return]


def _first_looks(rows: Any) -> Iterable[_Span]:
    return rows.values_list("id", "incident__opened_at", "decided_at")  # type: ignore[no-any-return]


def _decisions() -> Any:
    # Where a person was faster than the rules, the row says nothing about the loop.
    return Decision.objects.filter(subject=Decision.Subject.SEVERITY).exclude(basis="")


MEASURES: dict[str, tuple[Callable[[], Any], Callable[[Any], Iterable[_Span]]]] = {
    "transport": (Signal.objects.all, _signals),
    "visible": (_decisions, _first_looks),
}


def figures(measure: str, user: Any) -> Figures:
    """Return a measure's figures over the latest rows that ``user`` may see; costs the same at any number of rows."""
    rows, spans = MEASURES[measure]
    newest = list(rows().order_by("-id").values_list("id", flat=True)[:LATEST])
    if not newest:
        return _figures([])
    latest = {"id__range": (newest[-1], newest[0])}
    if measure == "transport":
        return _figures(list(spans(Signal.objects.visible_to(user).filter(**latest))))
    mine = Incident.objects.visible_to(user).values("pk")
    return _figures(list(spans(rows().filter(**latest, incident__in=mine))))


def _figures(found: list[_Span]) -> Figures:
    lasted = [(end - begin).total_seconds() for _, begin, end in found]
    sound, ahead = sorted(one for one in lasted if one >= 0), [-one for one in lasted if one < 0]
    since = min((end for _, _, end in found), default=None)
    p50, p95 = (_nearest(sound, share) for share in (0.5, 0.95))
    return Figures(len(sound), p50, p95, len(ahead), max(ahead, default=0.0), since)


def _nearest(ordered: list[float], share: float) -> float | None:
    """Return the nearest-rank percentile: a value that was measured."""
    return ordered[max(-(-len(ordered) * int(share * 100) // 100) - 1, 0)] if ordered else None


def count() -> int:
    """Add rows that came since the last turn to the histograms; returns how many. Two at once count each row once."""
    return sum(_count(measure) for measure in MEASURES)


def _count(measure: str) -> int:
    rows, spans = MEASURES[measure]
    with transaction.atomic():
        Pace.objects.get_or_create(measure=measure)
        pace = Pace.objects.select_for_update().get(measure=measure)
        limit = db_now() - SETTLED
        added = 0
        tally = pace.counts or [0] * (len(BOUNDS) + 1)
        for key, begin, end in spans(rows().filter(id__gt=pace.last_id).order_by("id")[:BATCH]):
            if end > limit:
                break
            pace.last_id, added = key, added + 1
            seconds = (end - begin).total_seconds()
            if seconds < 0:
                pace.ahead += 1
                continue
            tally[bisect_left(BOUNDS, seconds)] += 1
            pace.seconds += seconds
        if added:
            pace.counts = tally
            pace.save()
    return added
