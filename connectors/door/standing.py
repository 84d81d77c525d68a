"""How things stand for one use: the connection, the time, its credential's gate, its budgets, what is spent of them.

One statement, written out, at the beginning of every use: the ORM would ask for each of them, and takes longer to put
a statement together than the database to answer it. PostgreSQL plans it once (``audit.prepared``).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db import connection as database

from audit.prepared import fetch_all
from connectors.door.models import Budget, Gate, Spent
from connectors.models import Connection

# The days that are today somewhere: a budget's day begins in its own time zone.
_DAYS = {
    "sqlite": "s.day BETWEEN DATE('now', '-1 day') AND DATE('now', '+1 day')",
    "postgresql": "s.day BETWEEN (clock_timestamp() AT TIME ZONE 'UTC')::date - 1"
    " AND (clock_timestamp() AT TIME ZONE 'UTC')::date + 1",
}
# The database's time, as Django writes it into a column, and in microseconds since 1970.
CLOCK = {"sqlite": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f000', 'now')", "postgresql": "clock_timestamp()"}
MICROSECONDS = {
    "sqlite": "(CAST(STRFTIME('%%s', 'now') AS INTEGER) * 1000000"
    " + CAST(SUBSTR(STRFTIME('%%f', 'now'), 4) AS INTEGER) * 1000)",
    "postgresql": "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint",
}
_STANDING = """
SELECT {clock},
    EXISTS (SELECT 1 FROM connectors_emergencystop e
        WHERE e.ended_at IS NULL AND (e.connection_id IS NULL OR e.connection_id = c.id)),
    g.id, g.failures, g.opened_at, g.probed_at, g.free_at,
    b.id, b.team, b.calls, b.tokens, b.money, b.currency, b.time_zone, b.spike,
    s.id, s.day, s.calls, s.tokens, s.money, s.unusual, s.warned_at,
    {columns}
FROM connectors_connection c
LEFT JOIN connectors_gate g ON g.id = c.gate_id
LEFT JOIN connectors_budget b ON b.connection_id = c.id OR (b.team <> '' AND b.team = c.team)
LEFT JOIN connectors_spent s ON s.budget_id = b.id AND {days}
WHERE c.id = %s
ORDER BY b.id
"""
_KEPT = "_standing"


@dataclass(frozen=True)
class Standing:
    """What a use is held against, as it was at ``now``. ``days`` holds what is spent by budget and day."""

    now: datetime
    stopped: bool  # an emergency stop is thrown that may concern it
    gate: Gate | None
    budgets: tuple[Budget, ...]
    days: dict[tuple[int, Any], Spent]

    @property
    def unwell(self) -> bool:
        """Tell whether the last call of the credential failed, or its breaker is open."""
        return self.gate is not None and (self.gate.failures > 0 or self.gate.opened_at is not None)


def fresh(key: int) -> Connection | None:
    """Return the connection as it is now, and with it how things stand for a use of it; ``None`` where it is gone."""
    rows = fetch_all(_statement(database.vendor), [key])
    if not rows:
        return None
    values = list(rows[0][22:])
    for place, column, ways in _conversions(database.vendor):
        for way in ways:
            values[place] = way(values[place], column, database)
    found = Connection.from_db(DEFAULT_DB_ALIAS, _names(), values)
    known = {row[7]: _budget(row[7:15], found) for row in rows if row[7] is not None}
    spent = [_spent(row[15:22], known[row[7]]) for row in rows if row[15] is not None]
    days = {(one.budget_id, one.day): one for one in spent}
    gate = _gate(rows[0][2:7])
    if gate is not None:
        found.gate = gate
    vars(found)[_KEPT] = Standing(clock(rows[0][0]), bool(rows[0][1]), gate, tuple(known.values()), days)
    return found


def look(connection: Connection) -> Standing:
    """Return how things stood when ``connection`` was read; of one that came another way, how they stand now."""
    known: Standing | None = vars(connection).get(_KEPT)
    return look_again(connection) if known is None else known


def look_again(connection: Connection) -> Standing:
    """Return how things stand now, inside the transaction that takes a place. The connection stays as it was read."""
    now = fresh(connection.pk)
    if now is None:
        raise Connection.DoesNotExist(f"There is no connection {connection.pk} any more.")
    found: Standing = vars(now)[_KEPT]
    vars(connection)[_KEPT] = found
    if found.gate is not None:
        connection.gate = found.gate
    return found


@cache
def _statement(vendor: str) -> str:
    columns = ", ".join(f'c."{field.column}"' for field in Connection._meta.concrete_fields)
    return _STANDING.format(clock=CLOCK[vendor], days=_DAYS[vendor], columns=columns)


@cache
def _names() -> list[str]:
    return [field.attname for field in Connection._meta.concrete_fields]


@cache
def _conversions(vendor: str) -> list[tuple[int, Any, list[Callable[..., Any]]]]:
    """Return what makes a value of what a column gave: the place of each that needs it, and Django's own ways."""
    columns = [field.get_col("c") for field in Connection._meta.concrete_fields]
    ways = [[*database.ops.get_db_converters(one), *one.get_db_converters(database)] for one in columns]
    return [(place, columns[place], found) for place, found in enumerate(ways) if found]


def clock(value: Any) -> datetime:
    """Return the database's time as it came, aware and in UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _gate(row: Sequence[Any]) -> Gate | None:
    key, failures, opened_at, probed_at, free_at = row
    if key is None:
        return None
    opened, probed = (None if value is None else clock(value) for value in (opened_at, probed_at))
    return Gate(id=key, failures=failures, opened_at=opened, probed_at=probed, free_at=free_at)


def _budget(row: Sequence[Any], connection: Connection) -> Budget:
    key, team, calls, tokens, money, currency, zone, spike = row
    found = Budget(id=key, team=team, calls=calls, tokens=tokens, currency=currency, time_zone=zone, spike=spike)
    # SQLite keeps decimals as numbers; two places is what the column has.
    found.money = None if money is None else Decimal(str(money)).quantize(Decimal("0.01"))
    if not team:
        found.connection = connection
    return found


def _spent(row: Sequence[Any], budget: Budget) -> Spent:
    key, day, calls, tokens, money, unusual, warned_at = row
    told = json.loads(unusual) if isinstance(unusual, str) else unusual
    warned = None if warned_at is None else clock(warned_at)
    found = Spent(id=key, day=day, calls=calls, tokens=tokens, money=money, unusual=told, warned_at=warned)
    found.budget = budget
    return found
