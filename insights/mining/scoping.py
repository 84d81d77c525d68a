"""A filter becomes a condition on cases, in SQL that every engine understands; every value is a parameter."""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from collections.abc import Iterator

from insights.engines import Value
from insights.mining.asking import Scope
from insights.mining.attributes import column, typed
from insights.mining.filters import Filter
from insights.models import EventLog

Part = tuple[str, tuple[Value, ...]]
# The number of an activity; a name that no activity has is nobody's.
_NUMBER = "(SELECT activity FROM activities WHERE name = ?)"
_HAS = "c.case_no IN (SELECT x.case_no FROM events x WHERE "
_SPANS = {
    "started": ("c.first_at >= ?", "c.first_at < ?"),
    "ended": ("c.last_at >= ?", "c.last_at < ?"),
    "within": ("c.first_at >= ?", "c.last_at < ?"),
    "touching": ("c.last_at >= ?", "c.first_at < ?"),
}


def scope(log: EventLog, filter: Filter) -> Scope:
    """Return the cases that ``filter`` leaves of ``log``."""
    parts = [*_of_attributes(log, filter), *_of_time(filter), *_of_cases(filter), *_of_events(filter)]
    condition = " AND ".join(f"({text})" for text, _ in parts)
    return Scope(condition, tuple(value for _, values in parts for value in values))


def _marks(values: tuple[object, ...]) -> str:
    return ", ".join("?" for _ in values)


def _of_attributes(log: EventLog, filter: Filter) -> Iterator[Part]:
    for name, values in filter.attributes:
        yield _filled(log, name, values)
    for name, values in filter.not_attributes:
        text, parameters = _filled(log, name, values)
        yield f"NOT ({text})", parameters
    for bounds, sign in ((filter.minima, ">="), (filter.maxima, "<=")):
        for name, bound in bounds:
            where, level, _ = column(log, name)
            yield _on(level, where, f"{{}} {sign} ?"), (bound,)


def _filled(log: EventLog, name: str, values: tuple[str, ...]) -> Part:
    where, level, kind = column(log, name)
    given = tuple(typed(kind, value) for value in values if value)
    some = "{0} IS NOT NULL AND {0} <> ''" if kind == "text" else "{0} IS NOT NULL"
    parts = [_on(level, where, f"{{0}} IS NOT NULL AND {{0}} IN ({_marks(given)})")] if given else []
    if "" in values:
        # Of an event's attribute, "not filled in" means in no event of the case.
        parts.append("NOT (" + _on(level, where, some) + ")")
    return " OR ".join(f"({part})" for part in parts), given


def _on(level: str, where: str, test: str) -> str:
    """Return ``test`` as a condition on the case, whether the case holds the column or its events do."""
    if level == "case":
        return test.format(f"c.{where}")
    return _HAS + test.format(f"x.{where}") + ")"


def _of_time(filter: Filter) -> Iterator[Part]:
    since, until = _SPANS[filter.time]
    # Tables hold UTC without a zone.
    if filter.begin:
        yield since, (filter.begin.replace(tzinfo=None),)
    if filter.until:
        yield until, (filter.until.replace(tzinfo=None),)


def _of_cases(filter: Filter) -> Iterator[Part]:
    if filter.variants:
        yield f"c.variant IN ({_marks(filter.variants)})", filter.variants
    for where, named in (("first_activity", filter.starts), ("last_activity", filter.ends)):
        if named:
            yield f"c.{where} IN (SELECT activity FROM activities WHERE name IN ({_marks(named)}))", named
    if filter.min_seconds is not None:
        yield "c.seconds >= ?", (filter.min_seconds,)
    if filter.max_seconds is not None:
        yield "c.seconds <= ?", (filter.max_seconds,)


def _of_events(filter: Filter) -> Iterator[Part]:
    for name in filter.including:
        yield _HAS + f"x.activity = {_NUMBER})", (name,)
    for name in filter.excluding:
        yield "NOT (" + _HAS + f"x.activity = {_NUMBER}))", (name,)
    for name in filter.repeats:
        yield _HAS + f"x.activity = {_NUMBER} GROUP BY x.case_no HAVING count(*) > 1)", (name,)
    for couple in filter.edges:
        yield _HAS + f"x.activity = {_NUMBER} AND x.next = {_NUMBER})", couple
    for couple in filter.follows:
        yield _followed(), couple


def _followed() -> str:
    # Somewhere after the first of the one stands the last of the other.
    return (
        "c.case_no IN (SELECT p.case_no FROM (SELECT case_no, min(position) AS first FROM events"
        f" WHERE activity = {_NUMBER} GROUP BY case_no) p JOIN (SELECT case_no, max(position) AS latest FROM events"
        f" WHERE activity = {_NUMBER} GROUP BY case_no) q ON q.case_no = p.case_no WHERE q.latest > p.first)"
    )
