"""Asks an event log: its tables, the cases that a filter leaves, its names."""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from audit.errors import Refusal
from insights import storage
from insights.engines import Answer, TableGone, Value, engine_for
from insights.models import EventLog
from insights.states import LogState

# The lower of the two shares that every duration is told with; the higher is the slow tail.
MEDIAN_P90 = "[0.5, 0.9]"
_WHOLE = "SELECT * FROM cases"
_EVERYTHING = "SELECT * FROM events"


class NotReady(Refusal):
    """The log has no events to ask yet; the message says what to do."""

    code = "not_ready"


@dataclass(frozen=True)
class Scope:
    """The cases that a filter leaves: a condition on ``c``, a row of the table of cases, and its parameters."""

    condition: str = ""
    parameters: tuple[Value, ...] = ()

    def ctes(self) -> dict[str, str]:
        """Return ``chosen`` (its cases) and ``happened`` (their events) as named queries."""
        if not self.condition:
            return {"chosen": _WHOLE, "happened": _EVERYTHING}
        return {
            "chosen": "SELECT c.* FROM cases c WHERE " + self.condition,
            "happened": "SELECT e.* FROM events e WHERE e.case_no IN (SELECT case_no FROM chosen)",
        }


EVERYTHING = Scope()


def require_ready(log: EventLog) -> None:
    """Raise ``NotReady`` where nothing has been imported yet; lines being added to a log leave the old to be read."""
    if log.generation and log.state != LogState.MAPPING:
        return
    told = {
        LogState.MAPPING: "Its columns are still to be named: open the log and say which hold case, activity and time.",
        LogState.IMPORTING: f"It is being imported ({log.progress:.0%}). Ask again in a moment.",
        LogState.FAILED: f"Its import failed: {log.error or 'no reason was kept'}. Mend the file and import it again.",
    }
    raise NotReady(told.get(LogState(log.state), "It holds no events yet. Import it again."))


def ask(
    log: EventLog,
    scope: Scope,
    sql: str,
    parameters: Sequence[Value] = (),
    **more: str,
) -> Answer:
    """Run a SELECT over ``chosen``, ``happened`` and the named queries ``more``, parameters in their order."""
    require_ready(log)
    named = {**scope.ctes(), **more}
    used = _needed(named, sql)
    text = ("WITH " + ", ".join(f"{name} AS ({named[name]})" for name in used) + " " + sql) if used else sql
    given = (*scope.parameters, *parameters) if "chosen" in used else tuple(parameters)
    return of_tables(log, text, given)


def of_tables(log: EventLog, sql: str, parameters: Sequence[Value] = ()) -> Answer:
    """Run a SELECT over the four tables of a log as they are, wherever they lie."""
    try:
        return engine_for().ask(_tables(log), sql, parameters)
    except TableGone:
        if not log.tables:
            raise
    # This machine made room for another log's tables at that very moment; they come again.
    return engine_for().ask(_tables(log), sql, parameters)


def _tables(log: EventLog) -> dict[str, Path]:
    return {name: storage.table(log, name) for name in storage.TABLES}


def _needed(named: Mapping[str, str], sql: str) -> list[str]:
    """Return the named queries that the question leans on, in their order: an unused one would cost all the same."""
    used: set[str] = set()
    texts = [sql]
    while texts:
        text = texts.pop()
        found = {name for name in named if name not in used and _speaks_of(text, name)}
        used |= found
        texts += [named[name] for name in found]
    return [name for name in named if name in used]


def _speaks_of(text: str, name: str) -> bool:
    words = text.replace("(", " ").replace(")", " ").replace(",", " ").split()
    return name in words


@dataclass(frozen=True)
class Names:
    """The names of a log's activities, by number and back."""

    by_number: Mapping[int, str]

    def __getitem__(self, number: object) -> str:
        return self.by_number[int(str(number))]

    @property
    def numbers(self) -> dict[str, int]:
        """Return the number of each name."""
        return {name: number for number, name in self.by_number.items()}


def names(log: EventLog) -> Names:
    """Return the names of the log's activities."""
    require_ready(log)
    return _names(str(storage.table(log, "activities")))


@lru_cache(maxsize=32)
def _names(path: str) -> Names:
    # A generation's folder never changes, so its path is enough of a key.
    rows = engine_for().ask({"activities": Path(path)}, "SELECT activity, name FROM activities ORDER BY activity")
    return Names({int(str(number)): str(name) for number, name in rows})


def number(value: Value) -> int:
    """Return a count as engines give it as an integer; nothing counted is 0."""
    return 0 if value is None else int(value)  # type: ignore[arg-type] # counts are numbers in every engine


def seconds(value: Value) -> float | None:
    """Return a duration or amount as engines give it as a float."""
    return None if value is None else float(value)  # type: ignore[arg-type] # as above


def pair(value: Value) -> tuple[float | None, float | None]:
    """Return median and 90th percentile that were asked for with ``MEDIAN_P90``."""
    if not isinstance(value, list) or len(value) != 2:
        return None, None
    return seconds(value[0]), seconds(value[1])
