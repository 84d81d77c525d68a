"""The entity sets that are mined from event logs when they are asked for: the process map's edges, and the variants."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from insights.feed.edm import DOUBLE, INT, STRING
from insights.feed.sets import EntitySet, Property, Row
from insights.mining.answers import kept
from insights.mining.asking import NotReady
from insights.mining.process_map import process_map
from insights.mining.variants import variants
from insights.models import EventLog
from insights.states import LogState

MOST_LOGS = 200
MOST_VARIANTS = 1_000
MOST_EDGES = 5_000


def _logs(user: Any, fixed: Mapping[str, Any]) -> Iterator[EventLog]:
    """Yield the newest logs that ``user`` may see, in the order of their numbers; only the one that was asked for."""
    rows = EventLog.objects.visible_to(user).filter(state=LogState.READY)
    if "log" in fixed:
        rows = rows.filter(pk=fixed["log"]) if isinstance(fixed["log"], int) else rows.none()
    yield from sorted(rows.order_by("-pk")[:MOST_LOGS], key=lambda log: log.pk)


def _by_log(find: Callable[[EventLog], list[dict[str, Any]]]) -> Callable[[Any, Mapping[str, Any]], Iterator[Row]]:
    def made(user: Any, fixed: Mapping[str, Any]) -> Iterator[Row]:
        for log in _logs(user, fixed):
            try:
                rows = find(log)
            except NotReady:
                continue  # it was taken away or is imported anew just now
            yield from ({"log": log.pk, **row} for row in rows)

    return made


def _edges(log: EventLog) -> list[dict[str, Any]]:
    drawn = kept(process_map, log)
    largest = sorted(drawn.edges, key=lambda edge: (-edge.count, edge.source, edge.target))[:MOST_EDGES]
    rows = [
        {
            "source": edge.source,
            "target": edge.target,
            "count": edge.count,
            "cases": edge.cases,
            "repeated": edge.repeated,
            "median_seconds": edge.median_seconds,
            "p90_seconds": edge.p90_seconds,
            "mean_seconds": edge.mean_seconds,
        }
        for edge in largest
    ]
    return sorted(rows, key=lambda row: (str(row["source"]), str(row["target"])))


def _variants(log: EventLog) -> list[dict[str, Any]]:
    found = kept(variants, log, most=MOST_VARIANTS)
    rows = [
        {
            "number": one.number,
            "path": " → ".join(one.activities),
            "steps": len(one.activities),
            "cases": one.cases,
            "share": one.share,
            "median_seconds": one.median_seconds,
            "mean_seconds": one.mean_seconds,
        }
        for one in found.results
    ]
    return sorted(rows, key=lambda row: int(str(row["number"])))


_LOG = Property("log", INT, "The number of the event log. Pin it with eq: the answer is quicker.")
PROCESS_EDGES = EntitySet(
    "ProcessEdges",
    "ProcessEdge",
    "Which activity directly follows which in an event log, how often, and how long that takes.",
    ("log", "source", "target"),
    (
        _LOG,
        Property("source", STRING),
        Property("target", STRING),
        Property("count", INT),
        Property("cases", INT),
        Property("repeated", INT, "How often to an activity that the case had done before."),
        Property("median_seconds", DOUBLE, nullable=True),
        Property("p90_seconds", DOUBLE, nullable=True),
        Property("mean_seconds", DOUBLE, nullable=True),
    ),
    made=_by_log(_edges),
)
VARIANTS = EntitySet(
    "Variants",
    "Variant",
    "The paths that cases of an event log took, the thousand most frequent.",
    ("log", "number"),
    (
        _LOG,
        Property("number", INT, "1 is the most frequent."),
        Property("path", STRING),
        Property("steps", INT),
        Property("cases", INT),
        Property("share", DOUBLE, "Of the log's cases, 0 to 1."),
        Property("median_seconds", DOUBLE, nullable=True),
        Property("mean_seconds", DOUBLE, nullable=True),
    ),
    made=_by_log(_variants),
)
