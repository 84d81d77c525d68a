"""How connections fare, at a glance: calls by hour and day, how long they took, what is used of each limit.

All connections are counted together, in a handful of statements however many there are. The log of calls has no index
by time, but its numbers grow with time: the first number of a stretch is looked for, and only what follows is read.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, Count, F, Func, IntegerField, Q, QuerySet, Sum, Value, When, prefetch_related_objects
from django.utils import timezone

from audit.clock import db_now
from connectors.door import budgets, charts
from connectors.door.models import Budget
from connectors.models import Call, Connection

HOURS, DAYS = 24, 14
GOOD = ("ok", "open")
# A call may get its number a little before or after another that began at the same time.
_SLACK = timedelta(minutes=5)
_SUMS = {"calls": Count("id"), "failed": Count("id", filter=~Q(outcome__in=GOOD))}


class Milliseconds(Func):
    """How many whole milliseconds lie between two moments."""

    output_field = IntegerField()
    arity = 2

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Count by Julian days, which SQLite knows without calling back to Python."""
        between = "CAST(ROUND((julianday(%(expressions)s)) * 86400000) AS INTEGER)"
        return self.as_sql(compiler, connection, template=between, arg_joiner=") - julianday(", **extra)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Count by the difference of the two."""
        between = "ROUND(EXTRACT(EPOCH FROM (%(expressions)s)) * 1000)::bigint"
        return self.as_sql(compiler, connection, template=between, arg_joiner=" - ", **extra)


@dataclass(frozen=True)
class Took:
    """How long the calls of the last 24 hours took that were sent; ``None`` where none was."""

    calls: int = 0
    p50: int | None = None  # milliseconds
    p95: int | None = None


@dataclass(frozen=True)
class Rate:
    """How much of its rate a credential has used in the stretch that the rate is about."""

    used: int
    calls: int
    seconds: int

    @property
    def share(self) -> int:
        """Percent of the rate, 100 at most."""
        return min(100, self.used * 100 // self.calls) if self.calls else 100

    @property
    def text(self) -> str:
        """Such as “12 of 100 calls in 60 s”."""
        return f"{self.used:,} of {self.calls:,} calls in {self.seconds:,} s"

    @property
    def tone(self) -> str:
        """The word that pages colour it by."""
        return "critical" if self.used >= self.calls else "medium" if self.share >= 80 else ""


@dataclass(frozen=True)
class Gauge:
    """One connection's state in figures."""

    connection: Connection
    hours: charts.Bars
    days: charts.Bars
    took: Took
    uses: Sequence[budgets.Use]
    rate: Rate | None
    paused_until: datetime | None

    @property
    def both(self) -> tuple[charts.Bars, charts.Bars]:
        """Both charts, the finer one first."""
        return self.hours, self.days

    @property
    def idle(self) -> bool:
        """Whether nothing was called in all that time."""
        return self.days.count == 0

    @property
    def opened_at(self) -> datetime | None:
        """Since when its breaker is open; ``None``: it is closed."""
        return self.connection.gate.opened_at if self.connection.gate else None

    @property
    def failures(self) -> int:
        """How many times in a row it did not answer."""
        return self.connection.gate.failures if self.connection.gate else 0


@dataclass(frozen=True)
class Hour:
    """What a connection did in the last sixty minutes."""

    calls: int = 0
    failed: int = 0

    @property
    def answers(self) -> bool:
        """Whether calls were answered, which is proof enough where nobody pressed Test."""
        return self.calls > self.failed


def gauges(connections: Iterable[Connection], now: datetime | None = None) -> list[Gauge]:
    """Return the state of each connection, in the order given."""
    now = now or db_now()
    wanted = list(connections)
    prefetch_related_objects(wanted, "gate")
    hours, days = _hours(now), _days(now)
    # Hours and days need not begin together: cut at both, every stretch lies in one hour at most and in one day.
    edges = sorted({*hours, *days})
    counted = _counted(wanted, edges)
    took = _took(wanted, hours[0])
    uses = _uses(wanted, now)
    rates = _rates(wanted, now)
    return [
        Gauge(
            one,
            charts.bars("Calls by the hour, last 24 hours", _columns(counted[one.pk], edges, hours, "%H:%M")),
            charts.bars("Calls by the day, last 14 days", _columns(counted[one.pk], edges, days, "%-d %b")),
            took.get(one.pk, Took()),
            uses[one.pk],
            rates.get(one.pk),
            one.not_before if one.not_before and one.not_before > now else None,
        )
        for one in wanted
    ]


def last_hour(now: datetime) -> dict[int, Hour]:
    """Return what each connection did in the last sixty minutes; one that did nothing is left out."""
    rows: Any = _since(now - timedelta(hours=1)).order_by().values_list("connection_id")
    counted = rows.annotate(**_SUMS)
    return {key: Hour(calls, failed) for key, calls, failed in counted}


def answered(now: datetime) -> "QuerySet[Call]":
    """Return the calls of the last sixty minutes that were answered."""
    return _since(now - timedelta(hours=1)).filter(outcome__in=GOOD)


def first_since(moment: datetime) -> int:
    """Return the number that calls since ``moment`` begin with, or a slightly smaller one."""
    edges = Call.objects.order_by("id").values_list("id", flat=True)
    low, high = edges.first(), edges.last()
    if low is None or high is None:
        return 0
    after = high + 1
    while low < after:
        middle = (low + after) // 2
        found = Call.objects.filter(id__gte=middle).order_by("id").values_list("id", "started_at").first()
        if found is not None and found[1] < moment - _SLACK:
            low = found[0] + 1
        else:
            after = middle
    return low


def _since(moment: datetime) -> "QuerySet[Call]":
    return Call.objects.filter(id__gte=first_since(moment), started_at__gte=moment)


def _of(connections: Sequence[Connection], rows: "QuerySet[Call]") -> "QuerySet[Call]":
    # For several a range of numbers is read once; by connection it would be read once for each.
    return rows.filter(connection=connections[0]) if len(connections) == 1 else rows


def _hours(now: datetime) -> list[datetime]:
    """Return where each of the last hours begins, the present one last."""
    present = now.replace(minute=0, second=0, microsecond=0)
    return [present - timedelta(hours=back) for back in reversed(range(HOURS))]


def _days(now: datetime) -> list[datetime]:
    """Return where each of the last days begins in the installation's time zone, today last."""
    local = timezone.localtime(now)
    zone = local.tzinfo
    dates = [local.date() - timedelta(days=back) for back in reversed(range(DAYS))]
    return [datetime(day.year, day.month, day.day, tzinfo=zone) for day in dates]


_Counted = dict[int, tuple[int, int]]


def _counted(connections: Sequence[Connection], edges: Sequence[datetime]) -> dict[int, _Counted]:
    """Count calls and failures between every two edges, for all connections in one grouped statement."""
    rows: Any = _of(connections, _since(edges[0])).annotate(stretch=_stretch(edges, 0, len(edges)))
    grouped = rows.order_by().values_list("connection_id", "stretch")
    found: dict[int, _Counted] = defaultdict(dict)
    for key, place, calls, failed in grouped.annotate(**_SUMS):
        found[key][place] = (calls, failed)
    return found


def _stretch(edges: Sequence[datetime], low: int, high: int) -> Any:
    """Return the number of the stretch that a call began in, found by halves: a few comparisons a row, not dozens."""
    if high - low == 1:
        return Value(low, output_field=IntegerField())
    middle = (low + high) // 2
    return Case(
        When(started_at__gte=edges[middle], then=_stretch(edges, middle, high)),
        default=_stretch(edges, low, middle),
        output_field=IntegerField(),
    )


def _columns(
    counted: _Counted, edges: Sequence[datetime], starts: Sequence[datetime], pattern: str
) -> list[charts.Column]:
    """Add up the stretches that belong to each hour or day."""
    columns = []
    for place, start in enumerate(starts):
        end = starts[place + 1] if place + 1 < len(starts) else None
        mine = [
            counted[number]
            for number, edge in enumerate(edges)
            if number in counted and edge >= start and (end is None or edge < end)
        ]
        name = f"{timezone.localtime(start):{pattern}}"
        columns.append(charts.Column(name, sum(calls for calls, _ in mine), sum(failed for _, failed in mine)))
    return columns


def _took(connections: Sequence[Connection], since: datetime) -> dict[int, Took]:
    """Return how long calls took that reached the system; what our own rules refused took no time of anybody's."""
    sent = _of(connections, _since(since)).filter(requests__gt=0, finished_at__isnull=False)
    took = Milliseconds(F("finished_at"), F("started_at"))
    rows: Any = sent.order_by().annotate(took=took).values_list("connection_id", "took")
    times: dict[int, Counter[int]] = defaultdict(Counter)
    for key, milliseconds, calls in rows.annotate(calls=Count("id")):
        times[key][milliseconds] = calls
    return {key: Took(counts.total(), _rank(counts, 0.5), _rank(counts, 0.95)) for key, counts in times.items()}


def _rank(counts: "Counter[int]", share: float) -> int:
    """Return the smallest value that at least ``share`` of all do not pass (nearest rank)."""
    wanted, seen = share * counts.total(), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value
    return 0


def _uses(connections: Sequence[Connection], now: datetime) -> dict[int, list[budgets.Use]]:
    """Return today's use of each connection's budget and of its team's."""
    mine = Q(connection__in=[one.pk for one in connections]) | Q(team__in={one.team for one in connections if one.team})
    by_scope: dict[str, list[budgets.Use]] = defaultdict(list)
    for use in budgets.today(Budget.objects.select_related("connection").filter(mine), now):
        by_scope[use.scope].append(use)
    return {one.pk: [*by_scope[one.slug], *(by_scope[f"team {one.team}"] if one.team else [])] for one in connections}


def _rates(connections: Sequence[Connection], now: datetime) -> dict[int, Rate]:
    """Return what was sent in each rate's own stretch, by all connections of the same credential."""
    limited = {one.pk: (one, one.rate_calls, one.rate_seconds) for one in connections}
    asked = {key: (one, calls, seconds) for key, (one, calls, seconds) in limited.items() if calls and seconds}
    if not asked:
        return {}
    longest = now - timedelta(seconds=max(seconds for _, _, seconds in asked.values()))
    sums = {
        f"sent_{key}": Sum(
            "requests",
            filter=Q(started_at__gte=now - timedelta(seconds=seconds))
            & (Q(connection__gate=one.gate_id) if one.gate_id else Q(connection=key)),
            default=0,
        )
        for key, (one, _, seconds) in asked.items()
    }
    sent = _since(longest).aggregate(**sums)
    return {key: Rate(sent[f"sent_{key}"], calls, seconds) for key, (_, calls, seconds) in asked.items()}
