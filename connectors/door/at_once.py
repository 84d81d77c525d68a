"""What belongs to a call's row and changes with it: in the same statement, where the database can.

PostgreSQL waits for the disk at each commit and for the network at each statement, so there all that a use takes is
taken with the row that opens it, and its gate is told with the row that closes it: one statement each, one commit each.
SQLite knows no such statement, and loses nothing by several.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import connection as database
from django.db import transaction

from audit.prepared import fetch_one
from connectors.door.standing import MICROSECONDS

NEVER = 2**63 - 1
UNITS = ("calls", "tokens", "money")


@dataclass(frozen=True)
class Draw:
    """What a use takes from one day of one budget: its row, how much of each unit, and below which sums."""

    row: int
    cost: tuple[int, ...]
    below: tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """The place that a use takes in its rate: one step on, where the next free one lies not behind the limit."""

    gate: int
    moment: int
    step: int
    limit: int


@dataclass(frozen=True)
class Taking:
    """All that a use takes on its way in."""

    draws: tuple[Draw, ...] = ()
    place: Place | None = None

    @property
    def possible(self) -> bool:
        """Tell whether the database can take it and write a row in one statement."""
        return database.vendor == "postgresql" or not (self.draws or self.place)


@dataclass(frozen=True)
class Leaving:
    """What a use tells its gate on its way out: so much more of the rate is used, and the system has answered."""

    gate: int
    more: int = 0  # microseconds
    answered: bool = False


def enter(taking: Taking, columns: Sequence[str], kinds: Sequence[str], given: Sequence[Any]) -> Any:
    """Take all of it and insert a call's row, committed; or take nothing, insert nothing and return ``None``.

    ``columns`` are filled with ``given``, but where a column's kind is a text in brackets: that is an expression.
    Returns the row's id and when it began.
    """
    taken: list[Any] = []
    for draw in taking.draws:
        taken += [draw.row, *draw.below]
    if taking.place:
        taken += [taking.place.gate, taking.place.limit]
    for draw in taking.draws:
        taken += [*draw.cost, draw.row]
    if taking.place:
        taken += [taking.place.moment, taking.place.step, taking.place.gate]
    statement = _entering(len(taking.draws), taking.place is not None, tuple(columns), tuple(kinds))
    return fetch_one(statement, [*taken, *given])


@cache
def _entering(budgets: int, paced: bool, columns: tuple[str, ...], kinds: tuple[str, ...]) -> str:
    """Return the statement: look that there is room, holding each row from there on; then change all of them.

    Each look waits for the one before it, so that all workers hold the rows in the same order, which is that of
    ``rules.admit``. Without room somewhere the last finds nothing, and nothing is changed.
    """
    insert = f"INSERT INTO connectors_call ({', '.join(columns)})"
    values = [kind if kind.startswith("(") else f"%s::{kind}" for kind in kinds]
    room = " AND ".join(f"{unit} < %s" for unit in UNITS)
    looks = [f"connectors_spent WHERE id = %s AND {room}"] * budgets
    looks += ["connectors_gate WHERE id = %s AND free_at <= %s AND opened_at IS NULL"] * paced
    if not looks:
        values = [kind if kind.startswith("(") else "%s" for kind in kinds]
        return f"{insert} VALUES ({', '.join(values)}) RETURNING id, started_at"
    parts, behind = [], ""
    for number, look in enumerate(looks):
        parts.append(f"room{number} AS (SELECT id FROM {look}{behind} FOR NO KEY UPDATE)")  # noqa: S608 - names of our own
        behind = f" AND EXISTS (SELECT FROM room{number})"
    sums = ", ".join(f"{unit} = {unit} + %s" for unit in UNITS)
    changes = [f"UPDATE connectors_spent SET {sums} WHERE id = %s"] * budgets  # noqa: S608 - names of our own
    changes += ["UPDATE connectors_gate SET free_at = GREATEST(free_at, %s) + %s WHERE id = %s"] * paced
    parts += [f"taken{number} AS ({change}{behind})" for number, change in enumerate(changes)]
    last = f"room{len(looks) - 1}"
    return f"WITH {', '.join(parts)} {insert} SELECT {', '.join(values)} FROM {last} RETURNING id, started_at"  # noqa: S608


def leave(leaving: Leaving | None, closing: str, given: Sequence[Any]) -> tuple[Any, bool]:
    """Close a call's row by ``closing`` and tell its gate, in one commit.

    Returns what ``closing`` gives back, and whether the gate is open: then it was only told of the rate.
    """
    if leaving is None:
        return _first(fetch_one(closing, given)), False
    values: list[Any] = [*([leaving.more] if leaving.more else []), leaving.gate]
    told = _told(database.vendor, bool(leaving.more), leaving.answered)
    if database.vendor == "postgresql":
        found = fetch_one(
            f"WITH gate AS ({told}) {closing}, EXISTS (SELECT FROM gate WHERE was_open)", [*values, *given]
        )
        return _first(found), bool(found and found[1])
    with transaction.atomic():
        is_open = _first(fetch_one(told, values))
        return _first(fetch_one(closing, given)), bool(is_open)


def _first(row: tuple[Any, ...] | None) -> Any:
    return row[0] if row else None


@cache
def _told(vendor: str, more: bool, answered: bool) -> str:
    now = MICROSECONDS[vendor]
    sets = [f"free_at = CASE WHEN free_at > {now} THEN free_at ELSE {now} END + %s"] * more
    sets += ["failures = CASE WHEN opened_at IS NULL THEN 0 ELSE failures END"] * answered
    return f"UPDATE connectors_gate SET {', '.join(sets)} WHERE id = %s RETURNING opened_at IS NOT NULL AS was_open"  # noqa: S608
