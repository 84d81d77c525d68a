"""Throughput: how long cases take from their first event to their last, and how much of it is work."""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from dataclasses import dataclass

from insights.engines import Answer
from insights.mining.asking import MEDIAN_P90, Names, Scope, ask, names, number, pair, seconds
from insights.mining.filters import EVERYTHING, Filter
from insights.mining.scoping import scope
from insights.models import EventLog

BARS = 20


@dataclass(frozen=True)
class Bar:
    """How many cases took from ``low`` to under ``high`` seconds; the last bar includes its end."""

    low: float
    high: float
    cases: int


@dataclass(frozen=True)
class Worked:
    """How long one activity was worked on and how long cases waited for it to begin, where its start is known."""

    activity: str
    count: int
    median_working_seconds: float | None
    median_waiting_seconds: float | None


@dataclass(frozen=True)
class Throughput:
    """How long cases take, in seconds.

    ``median_working_seconds`` and ``median_waiting_seconds`` are of cases in which some event tells when it started;
    ``started_share`` says how many of all events do.
    """

    cases: int
    median_seconds: float | None
    mean_seconds: float | None
    p90_seconds: float | None
    min_seconds: float | None
    max_seconds: float | None
    histogram: tuple[Bar, ...]
    started_share: float
    median_working_seconds: float | None
    median_waiting_seconds: float | None
    activities: tuple[Worked, ...]


# Work before its own start or waiting before the event before cannot be negative: clocks of two systems differ.
_SPANS = (
    "SELECT case_no, activity, started_at,"
    " CASE WHEN worked > 0 THEN worked WHEN worked IS NOT NULL THEN 0 END AS working,"
    " CASE WHEN waited > 0 THEN waited WHEN waited IS NOT NULL THEN 0 END AS waiting FROM"
    " (SELECT case_no, activity, started_at, epoch(h.at) - epoch(started_at) AS worked,"
    " epoch(started_at) - lag(epoch(h.at)) OVER (PARTITION BY case_no ORDER BY position) AS waited"
    " FROM happened h) AS spans_of_events"
)


def throughput(log: EventLog, filter: Filter = EVERYTHING) -> Throughput:
    """Return how long the cases that ``filter`` leaves take."""
    chosen = scope(log, filter)
    row = ask(
        log,
        chosen,
        f"SELECT count(*), avg(seconds), min(seconds), max(seconds), quantile_cont(seconds, {MEDIAN_P90}) FROM chosen",
    )[0]
    median, p90 = pair(row[4])
    low, high = seconds(row[2]), seconds(row[3])
    share = _started(log, chosen)
    by_case = _by_case(log, chosen) if share else (None, None)
    return Throughput(
        cases=number(row[0]),
        median_seconds=median,
        mean_seconds=seconds(row[1]),
        p90_seconds=p90,
        min_seconds=low,
        max_seconds=high,
        histogram=() if low is None or high is None else _histogram(log, chosen, low, high),
        started_share=share,
        median_working_seconds=by_case[0],
        median_waiting_seconds=by_case[1],
        activities=_by_activity(log, chosen, names(log)) if share else (),
    )


def _histogram(log: EventLog, chosen: Scope, low: float, high: float) -> tuple[Bar, ...]:
    width = (high - low) / BARS
    if width <= 0:
        rows: Answer = ask(log, chosen, "SELECT 0, count(*) FROM chosen")
        return (Bar(low, high, number(rows[0][1])),)
    rows = ask(
        log,
        chosen,
        "SELECT bar, count(*) FROM (SELECT least(floor((seconds - ?) / ?), ?) AS bar FROM chosen) AS barred"
        " GROUP BY bar",
        (low, width, BARS - 1),
    )
    counts = {number(bar): number(cases) for bar, cases in rows}
    return tuple(Bar(low + width * at, low + width * (at + 1), counts.get(at, 0)) for at in range(BARS))


def _started(log: EventLog, chosen: Scope) -> float:
    known, all_of_them = ask(log, chosen, "SELECT count(started_at), count(*) FROM happened")[0]
    return number(known) / number(all_of_them) if number(all_of_them) else 0.0


def _by_case(log: EventLog, chosen: Scope) -> tuple[float | None, float | None]:
    row = ask(
        log,
        chosen,
        "SELECT median(working), median(waiting) FROM (SELECT case_no, sum(working) AS working,"
        " coalesce(sum(waiting), 0) AS waiting FROM spans GROUP BY case_no HAVING count(started_at) > 0) AS summed",
        spans=_SPANS,
    )[0]
    return seconds(row[0]), seconds(row[1])


def _by_activity(log: EventLog, chosen: Scope, known: Names) -> tuple[Worked, ...]:
    rows = ask(
        log,
        chosen,
        "SELECT activity, count(*), median(working), median(waiting) FROM spans WHERE started_at IS NOT NULL"
        " GROUP BY activity",
        spans=_SPANS,
    )
    found = [Worked(known[one], number(count), seconds(work), seconds(wait)) for one, count, work, wait in rows]
    return tuple(sorted(found, key=lambda one: (-one.count, one.activity)))
