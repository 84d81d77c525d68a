"""Two filters side by side: the same figures and the same map of each, and where they differ."""

from dataclasses import dataclass

from insights.mining.filters import Filter
from insights.mining.process_map import ProcessMap, process_map
from insights.mining.rework import rework
from insights.mining.throughput import throughput
from insights.mining.variants import variants
from insights.models import EventLog


@dataclass(frozen=True)
class Side:
    """One of the two: its filter as a query string, its figures, its map."""

    query: str
    cases: int
    events: int
    variants: int
    median_seconds: float | None
    mean_seconds: float | None
    p90_seconds: float | None
    reworked_share: float | None
    map: ProcessMap


@dataclass(frozen=True)
class Difference:
    """An edge on both sides: how often per case, and its median."""

    source: str
    target: str
    first_per_case: float
    second_per_case: float
    first_median_seconds: float | None
    second_median_seconds: float | None


@dataclass(frozen=True)
class Comparison:
    """Two sides, and their edges by how much they differ per case, most first."""

    first: Side
    second: Side
    differences: tuple[Difference, ...]


def compare(
    log: EventLog, first: Filter, second: Filter, *, activities: int | None = None, paths: int | None = None
) -> Comparison:
    """Return the cases of ``first`` and ``second`` side by side."""
    one, other = _side(log, first, activities, paths), _side(log, second, activities, paths)
    edges = [{(edge.source, edge.target): edge for edge in side.map.edges} for side in (one, other)]
    found = []
    for couple in sorted(set(edges[0]) | set(edges[1])):
        left, right = edges[0].get(couple), edges[1].get(couple)
        found.append(
            Difference(
                *couple,
                first_per_case=left.count / one.cases if left else 0.0,
                second_per_case=right.count / other.cases if right else 0.0,
                first_median_seconds=left.median_seconds if left else None,
                second_median_seconds=right.median_seconds if right else None,
            )
        )
    found.sort(key=lambda edge: (-abs(edge.first_per_case - edge.second_per_case), edge.source, edge.target))
    return Comparison(one, other, tuple(found))


def _side(log: EventLog, filter: Filter, activities: int | None, paths: int | None) -> Side:
    times = throughput(log, filter)
    again = rework(log, filter)
    drawn = process_map(log, filter, activities=activities, paths=paths)
    return Side(
        query=filter.query(),
        cases=times.cases,
        events=drawn.events,
        variants=variants(log, filter, most=0).total,
        median_seconds=times.median_seconds,
        mean_seconds=times.mean_seconds,
        p90_seconds=times.p90_seconds,
        reworked_share=again.reworked / again.cases if again.cases else None,
        map=drawn,
    )
