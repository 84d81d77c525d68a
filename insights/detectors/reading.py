"""A log as it was known at a moment: nothing that happened later can reach a rule through this.

A case's own attributes have no time in a log, so they count as known from its beginning.
"""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from audit.errors import Invalid
from insights.detectors.findings import MOST_EVENTS, MOST_FINDINGS, Finding
from insights.engines import Answer, Value
from insights.mining.asking import ask, names, number
from insights.mining.attributes import column
from insights.mining.filters import Filter, parse
from insights.mining.scoping import scope
from insights.models import EventLog

_ALLOWED = ("attributes", "not_attributes", "minima", "maxima")


def moment(value: Value) -> datetime:
    """Return a time as engines give it, aware. Raises ``TypeError`` for what is no time."""
    if not isinstance(value, datetime):
        raise TypeError(f"a time is told as {value!r}")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def literal(at: datetime) -> str:
    """Return a moment as SQL, in UTC without a zone as the tables hold it."""
    return f"TIMESTAMP '{at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ')}'"


def span(seconds: float) -> str:
    """Return a length of time as SQL."""
    return f"INTERVAL {round(seconds)} SECOND"


def check_filter(log: EventLog, query: str) -> Filter:
    """Read which cases are meant. Raises ``Invalid`` where the filter looks at what only the future of a case tells."""
    found = parse(log, query)
    later = [name for name in found.__dataclass_fields__ if name not in (*_ALLOWED, "time") and getattr(found, name)]
    held = {str(one["name"]): str(one["level"]) for one in log.attributes}
    named = [pair[0] for part in _ALLOWED for pair in getattr(found, part)]
    if later or any(held[name] != "case" for name in named):
        message = "Only attributes of the case may choose cases here: what a case does later is not known in time."
        raise Invalid(message, {"filter": [message]})
    return found


@dataclass(frozen=True)
class LogReader:
    """Asks a log what was known at ``until``."""

    log: EventLog
    until: datetime
    query: str = ""

    def ask(self, sql: str, parameters: Sequence[Value] = (), **named: str) -> Answer:
        """Run a SELECT over ``known`` (events up to ``until``), ``chosen`` (cases: their attributes) and ``named``."""
        known = f"SELECT k.* FROM happened k WHERE k.at <= {literal(self.until)}"
        return ask(self.log, self._scope, sql, parameters, known=known, **named)

    @cached_property
    def _scope(self) -> Any:
        return scope(self.log, check_filter(self.log, self.query))

    @cached_property
    def activities(self) -> dict[str, int]:
        """The number of each activity."""
        return names(self.log).numbers

    @cached_property
    def activity_names(self) -> dict[int, str]:
        """The name of each activity."""
        return dict(names(self.log).by_number)

    def number(self, name: str) -> int:
        """Return the number of an activity; one that never happened has none that occurs."""
        return self.activities.get(name, -1)

    def numbers(self, named: Iterable[str]) -> str:
        """Return activities as a list for ``IN (…)``; never empty."""
        return ", ".join(str(self.number(name)) for name in named) or "-1"

    def column(self, name: str, path: str = "field") -> tuple[str, str, str]:
        """Return column, level and type of an attribute. Raises ``Invalid`` where the log has none such."""
        try:
            return column(self.log, name)
        except KeyError:
            message = f"The log {self.log} has no attribute “{name[:100]}”."
            raise Invalid(message, {path: [message]}) from None

    @cached_property
    def case_columns(self) -> dict[str, str]:
        """The attributes of a case and where each stands."""
        return {str(one["name"]): str(one["column"]) for one in self.log.attributes if one["level"] == "case"}

    def values(self, cases: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the attributes of each case, its own name as ``case``."""
        if not cases:
            return {}
        listed = ", ".join(str(int(one)) for one in cases[:MOST_FINDINGS])
        held = {name: column(self.log, name)[0] for name in self.case_columns}
        rows = self.ask(
            f"SELECT c.case_no, c.case_id{''.join(f', c.{where}' for where in held.values())}"
            f" FROM chosen c WHERE c.case_no IN ({listed})"
        )
        return {
            number(row[0]): {
                **{name: _plain(value) for name, value in zip(held, row[2:], strict=True)},
                "case": str(row[1]),
            }
            for row in rows
        }

    def events(self, case_no: int, at: datetime) -> tuple[dict[str, Any], ...]:
        """Return the last events of a case up to ``at``, as evidence by value."""
        held = [(str(one["name"]), str(one["column"])) for one in self.log.attributes if one["level"] == "event"]
        held = [(name, column(self.log, name)[0]) for name, _ in held]
        rows = self.ask(
            f"SELECT k.position, k.activity, k.at{''.join(f', k.{where}' for _, where in held)} FROM known k"
            f" WHERE k.case_no = {int(case_no)} AND k.at <= {literal(at)} ORDER BY k.position DESC LIMIT {MOST_EVENTS}"
        )
        return tuple(
            {
                "position": number(row[0]),
                "activity": self.activity_names[number(row[1])],
                "at": moment(row[2]).isoformat(),
                **{name: _plain(v) for (name, _), v in zip(held, row[3:], strict=True) if v is not None},
            }
            for row in reversed(rows)
        )

    def with_values(self, found: Sequence[Finding]) -> tuple[Finding, ...]:
        """Give findings about cases the attributes of their cases, and names that outlive another import."""
        told = self.values([one.case_no for one in found if one.case_no is not None])
        return tuple(_about(one, told[one.case_no]) if one.case_no in told else one for one in found)


def _about(found: Finding, values: dict[str, Any]) -> Finding:
    case = str(values["case"])
    key = f"{found.key}:{case}"
    if len(key) > 250:
        key = f"{found.key}:{hashlib.sha256(case.encode()).hexdigest()}"
    return replace(found, key=key, entity=case, values={**values, **found.values})


def _plain(value: Value) -> Any:
    return moment(value).isoformat() if isinstance(value, datetime) else value


def known_until(log: EventLog, now: datetime) -> datetime:
    """Return until when the log tells anything: what it does not say yet may still have happened."""
    return min(now, log.last_at) if log.last_at else now


def days(number_of: float) -> timedelta:
    """Return that many days."""
    return timedelta(days=number_of)
