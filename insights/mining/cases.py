"""Cases: the list behind every figure, and one case with its events as they were told."""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from audit.errors import Invalid
from insights.engines import Value
from insights.eventlog.sources import SourceRecord, Sources
from insights.mining.asking import Names, ask, names, number, seconds
from insights.mining.attributes import Attribute, held
from insights.mining.filters import EVERYTHING, Filter
from insights.mining.scoping import scope
from insights.models import EventLog

ORDERS = {
    "case": "case_id",
    "-case": "case_id DESC",
    "seconds": "seconds, case_no",
    "-seconds": "seconds DESC, case_no",
    "started": "first_at, case_no",
    "-started": "first_at DESC, case_no",
    "events": "events, case_no",
    "-events": "events DESC, case_no",
}
MOST_EVENTS = 10_000


@dataclass(frozen=True)
class Case:
    """One case in a list."""

    case: str
    variant: int
    events: int
    first_at: datetime
    last_at: datetime
    seconds: float
    first_activity: str
    last_activity: str


@dataclass(frozen=True)
class Cases:
    """A page of the cases that a filter leaves."""

    results: tuple[Case, ...]
    total: int


@dataclass(frozen=True)
class Event:
    """One event of a case: what, when, how long until the next, and everything that the source told of it.

    ``record`` is the one that the event names, where it is not just that of its case.
    """

    position: int
    activity: str
    at: datetime
    started_at: datetime | None
    gap_seconds: float | None
    attributes: dict[str, Any]
    record: SourceRecord | None = None


@dataclass(frozen=True)
class CaseDetail:
    """One case whole, and the record in a connected system that it is, where that is known.

    ``hidden_events`` of a very long one are left out, from the end.
    """

    case: Case
    attributes: dict[str, Any]
    events: tuple[Event, ...]
    hidden_events: int = 0
    record: SourceRecord | None = None


def cases(
    log: EventLog, filter: Filter = EVERYTHING, *, start: int = 0, most: int = 50, order: str = "-seconds"
) -> Cases:
    """Return ``most`` cases from the ``start``-th on. Raises ``Invalid`` for an unknown order."""
    if order not in ORDERS:
        message = f"Order by one of {', '.join(ORDERS)}."
        raise Invalid(message, {"ordering": [message]})
    chosen, known = scope(log, filter), names(log)
    total = number(ask(log, chosen, "SELECT count(*) FROM chosen")[0][0])
    rows = ask(
        log,
        chosen,
        "SELECT case_id, variant, events, first_at, last_at, seconds, first_activity, last_activity FROM chosen"
        f" ORDER BY {ORDERS[order]} LIMIT {int(most)} OFFSET {int(start)}",
    )
    return Cases(tuple(_case(row, known) for row in rows), total)


def one_case(log: EventLog, case: str) -> CaseDetail | None:
    """Return the case of that name with its events, or ``None`` where the log has no such case."""
    everything, known = scope(log, EVERYTHING), names(log)
    told = held(log, "case")
    rows = ask(
        log,
        everything,
        "SELECT case_id, variant, events, first_at, last_at, seconds, first_activity, last_activity, case_no"
        f"{''.join(f', {one.column}' for one in told)} FROM cases WHERE case_id = ?",
        (case,),
    )
    if not rows:
        return None
    found = _case(rows[0], known)
    values, sources = _told(told, rows[0][9:]), Sources(log)
    events = [
        replace(one, record=sources.of_event(one.attributes, values)) for one in _events(log, number(rows[0][8]), known)
    ]
    hidden = max(0, found.events - len(events))
    return CaseDetail(found, values, tuple(events), hidden, sources.of_case(found.case, values))


def _events(log: EventLog, case_no: int, known: Names) -> list[Event]:
    told = held(log, "event")
    rows = ask(
        log,
        scope(log, EVERYTHING),
        f"SELECT e.position, e.activity, e.at, e.started_at, e.gap{''.join(f', e.{one.column}' for one in told)}"
        f" FROM events e WHERE e.case_no = ? ORDER BY e.position LIMIT {MOST_EVENTS}",
        (case_no,),
    )
    return [
        Event(
            position=number(row[0]),
            activity=known[row[1]],
            at=_moment(row[2]),
            started_at=_moment(row[3]) if row[3] is not None else None,
            gap_seconds=seconds(row[4]),
            attributes=_told(told, row[5:]),
        )
        for row in rows
    ]


def _told(told: Sequence[Attribute], values: Sequence[Value]) -> dict[str, Any]:
    return {
        one.name: _moment(value) if isinstance(value, datetime) else value
        for one, value in zip(told, values, strict=True)
        if value is not None
    }


def _moment(value: Value) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"a time of an event is told as {value!r}")
    return value.replace(tzinfo=UTC)


def _case(row: tuple[Value, ...], known: Names) -> Case:
    return Case(
        case=str(row[0]),
        variant=number(row[1]),
        events=number(row[2]),
        first_at=_moment(row[3]),
        last_at=_moment(row[4]),
        seconds=seconds(row[5]) or 0.0,
        first_activity=known[row[6]],
        last_activity=known[row[7]],
    )
