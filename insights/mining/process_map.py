"""The process map: which activity directly follows which, how often, and how long that takes."""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from insights.engines import Answer
from insights.mining.asking import MEDIAN_P90, Names, Scope, ask, names, number, pair, seconds
from insights.mining.filters import EVERYTHING, Filter
from insights.mining.scoping import scope
from insights.mining.sliders import connected, most_frequent, shares
from insights.models import EventLog

COLOURS = ("frequency", "time", "rework")
# One case stands for each variant: whatever only counts is counted on these and multiplied.
STAND_INS = "SELECT variant, min(case_no) AS case_no, count(*) AS n FROM chosen GROUP BY variant"
STEPS = (
    "SELECT s.variant, s.n, e.position, e.activity, e.next FROM happened e JOIN stand_ins s ON s.case_no = e.case_no"
)


@dataclass(frozen=True)
class Activity:
    """One activity: how often it happened, in how many cases, and how often beyond the first time in its case.

    ``median_seconds``: what a case usually waits before it, from the step before. ``value``: the colour, 0 to 1.
    """

    name: str
    count: int
    cases: int
    extra: int
    median_seconds: float | None = None
    value: float = 0.0


@dataclass(frozen=True)
class Edge:
    """One activity directly after another. ``repeated``: how often to an activity that the case had done before."""

    source: str
    target: str
    count: int
    cases: int
    repeated: int
    median_seconds: float | None
    p90_seconds: float | None
    mean_seconds: float | None
    value: float = 0.0


@dataclass(frozen=True)
class ProcessMap:
    """A process as it was done. ``start`` and ``end``: in how many cases an activity comes first or last."""

    cases: int
    events: int
    activities: tuple[Activity, ...]
    edges: tuple[Edge, ...]
    start: Mapping[str, int]
    end: Mapping[str, int]
    hidden_activities: int = 0
    hidden_edges: int = 0


def process_map(
    log: EventLog,
    filter: Filter = EVERYTHING,
    *,
    activities: int | None = None,
    paths: int | None = None,
    colour: str = "frequency",
) -> ProcessMap:
    """Return the map of the cases that ``filter`` leaves.

    ``activities`` and ``paths`` show so many of the most frequent; where an activity is hidden, what came before it is
    followed by what came after, in counts and times. Every activity shown stays on a way from a start to an end.
    """
    chosen = scope(log, filter)
    known = names(log)
    drawn = _activities(log, chosen, known)
    shown = most_frequent({one.name: one.count for one in drawn}, activities)
    whole, visible_names = len(shown) == len(drawn), set(shown)
    numbers = known.numbers
    kept = None if whole else sorted(numbers[name] for name in shown)
    edges, start, end = _edges(log, chosen, known, kept)
    total = ask(log, chosen, "SELECT count(*), sum(events) FROM chosen")[0]
    visible = connected({(edge.source, edge.target): edge.count for edge in edges}, start, end, shown, paths)
    left = tuple(edge for edge in edges if (edge.source, edge.target) in visible)
    found = ProcessMap(
        cases=number(total[0]),
        events=number(total[1]),
        activities=tuple(one for one in drawn if one.name in visible_names),
        edges=left,
        start=start,
        end=end,
        hidden_activities=len(drawn) - len(shown),
        hidden_edges=len(edges) - len(left),
    )
    return coloured(_with_times(log, chosen, known, found), colour)


def coloured(drawn: ProcessMap, colour: str) -> ProcessMap:
    """Return the map with ``value`` of activities and edges set by frequency, time or rework."""
    by_activity: dict[str, list[float | None]] = {
        "frequency": [float(one.count) for one in drawn.activities],
        "time": [one.median_seconds for one in drawn.activities],
        "rework": [float(one.extra) for one in drawn.activities],
    }
    by_edge: dict[str, list[float | None]] = {
        "frequency": [float(one.count) for one in drawn.edges],
        "time": [one.median_seconds for one in drawn.edges],
        "rework": [float(one.repeated) for one in drawn.edges],
    }
    return replace(
        drawn,
        activities=tuple(
            replace(one, value=value) for one, value in zip(drawn.activities, shares(by_activity[colour]), strict=True)
        ),
        edges=tuple(replace(one, value=value) for one, value in zip(drawn.edges, shares(by_edge[colour]), strict=True)),
    )


def _activities(log: EventLog, chosen: Scope, known: Names) -> tuple[Activity, ...]:
    rows = ask(
        log,
        chosen,
        "SELECT activity, sum(times * n), sum(n), sum((times - 1) * n) FROM in_variant GROUP BY activity",
        stand_ins=STAND_INS,
        steps=STEPS,
        in_variant="SELECT variant, activity, n, count(*) AS times FROM steps GROUP BY variant, activity, n",
    )
    found = [Activity(known[one], number(count), number(cases), number(extra)) for one, count, cases, extra in rows]
    return tuple(sorted(found, key=lambda one: (-one.count, one.name)))


def _edges(
    log: EventLog, chosen: Scope, known: Names, kept: list[int] | None
) -> tuple[list[Edge], dict[str, int], dict[str, int]]:
    """Return edges, starts and ends; where only ``kept`` activities are shown, as if the others had not happened."""
    if kept is not None and not kept:
        return [], {}, {}
    if kept is None:
        times = "SELECT activity, next, gap FROM happened WHERE next IS NOT NULL"
        steps = STEPS
    else:
        # Numbers of our own tables, not text from outside.
        listed = ", ".join(str(one) for one in kept)
        times = (
            "SELECT * FROM (SELECT activity, lead(activity) OVER w AS next,"
            " epoch(lead(h.at) OVER w) - epoch(h.at) AS gap"
            f" FROM happened h WHERE activity IN ({listed}) WINDOW w AS (PARTITION BY case_no ORDER BY position))"
            " AS seen WHERE next IS NOT NULL"
        )
        steps = (
            "SELECT variant, n, row_number() OVER w AS position, activity, lead(activity) OVER w AS next"
            f" FROM ({STEPS}) AS every_step WHERE activity IN ({listed})"
            " WINDOW w AS (PARTITION BY variant ORDER BY position)"
        )
    counted = _counted(log, chosen, steps)
    measured = ask(
        log,
        chosen,
        f"SELECT activity, next, avg(gap), quantile_cont(gap, {MEDIAN_P90}) FROM times GROUP BY activity, next",
        times=times,
    )
    start = _places(log, chosen, known, steps, "first")
    end = _places(log, chosen, known, steps, "latest")
    return _joined(known, counted, measured), start, end


def _counted(log: EventLog, chosen: Scope, steps: str) -> Answer:
    """Return count, cases and repeats of every edge, counted on one case for each variant."""
    return ask(
        log,
        chosen,
        "SELECT activity, next, sum(times * n), sum(n), sum(again * n) FROM in_variant GROUP BY activity, next",
        stand_ins=STAND_INS,
        steps=steps,
        firsts="SELECT variant, activity, min(position) AS first FROM steps GROUP BY variant, activity",
        in_variant=(
            "SELECT t.variant, t.activity, t.next, t.n, count(*) AS times,"
            " count(*) FILTER (WHERE f.first <= t.position) AS again"
            " FROM steps t JOIN firsts f ON f.variant = t.variant AND f.activity = t.next"
            " WHERE t.next IS NOT NULL GROUP BY t.variant, t.activity, t.next, t.n"
        ),
    )


def _places(log: EventLog, chosen: Scope, known: Names, steps: str, which: str) -> dict[str, int]:
    rows = ask(
        log,
        chosen,
        f"SELECT t.activity, sum(t.n) FROM steps t JOIN bounds b ON b.variant = t.variant AND b.{which} = t.position"
        " GROUP BY t.activity",
        stand_ins=STAND_INS,
        steps=steps,
        bounds="SELECT variant, min(position) AS first, max(position) AS latest FROM steps GROUP BY variant",
    )
    found = {known[one]: number(cases) for one, cases in rows}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _joined(known: Names, counted: Answer, measured: Answer) -> list[Edge]:
    times = {(row[0], row[1]): row for row in measured}
    edges = []
    for one, other, count, cases, again in counted:
        row = times[one, other]
        median, p90 = pair(row[3])
        edges.append(
            Edge(known[one], known[other], number(count), number(cases), number(again), median, p90, seconds(row[2]))
        )
    return sorted(edges, key=lambda edge: (-edge.count, edge.source, edge.target))


def _with_times(log: EventLog, chosen: Scope, known: Names, drawn: ProcessMap) -> ProcessMap:
    """Add to each activity what a case usually waits before it."""
    rows = ask(
        log,
        chosen,
        "SELECT next, median(gap) FROM happened WHERE next IS NOT NULL GROUP BY next",
    )
    waits = {known[one]: seconds(wait) for one, wait in rows}
    told: Iterable[Activity] = (replace(one, median_seconds=waits.get(one.name)) for one in drawn.activities)
    return replace(drawn, activities=tuple(told))
