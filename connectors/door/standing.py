"""How things stand for one use: the time, the gate of its credential, the budgets and what is spent of them.

One statement, written out, at the beginning of the transaction that takes a place: the ORM would ask for each of them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import connection as database

from connectors.door.models import Budget, Gate, Spent
from connectors.models import Connection

# The days that are today somewhere: a budget's day begins in its own time zone.
_DAYS = {
    "sqlite": "s.day BETWEEN DATE('now', '-1 day') AND DATE('now', '+1 day')",
    "postgresql": "s.day BETWEEN (clock_timestamp() AT TIME ZONE 'UTC')::date - 1"
    " AND (clock_timestamp() AT TIME ZONE 'UTC')::date + 1",
}
# The database's time, as Django writes it into a column.
CLOCK = {"sqlite": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f000', 'now')", "postgresql": "clock_timestamp()"}
_STANDING = """
SELECT {clock}, g.id, g.failures, g.opened_at, g.probed_at, g.free_at,
    b.id, b.team, b.calls, b.tokens, b.money, b.currency, b.time_zone, b.spike,
    s.id, s.day, s.calls, s.tokens, s.money, s.unusual, s.warned_at
FROM (SELECT 1 AS one) AS always
LEFT JOIN connectors_gate g ON g.id = %s
LEFT JOIN connectors_budget b ON b.connection_id = %s OR (b.team <> '' AND b.team = %s)
LEFT JOIN connectors_spent s ON s.budget_id = b.id AND {days}
ORDER BY b.id
"""


@dataclass(frozen=True)
class Standing:
    """What a use is held against, as it was at ``now``. ``days`` holds what is spent by budget and day."""

    now: datetime
    gate: Gate | None
    budgets: tuple[Budget, ...]
    days: dict[tuple[int, Any], Spent]


def look(connection: Connection) -> Standing:
    """Return how things stand for a use of ``connection``. Inside the transaction that takes a place."""
    vendor = database.vendor
    with database.cursor() as cursor:
        statement = _STANDING.format(clock=CLOCK[vendor], days=_DAYS[vendor])
        cursor.execute(statement, [connection.gate_id, connection.pk, connection.team])
        rows = cursor.fetchall()
    known = {row[6]: _budget(row[6:14], connection) for row in rows if row[6] is not None}
    spent = [_spent(row[14:], known[row[6]]) for row in rows if row[6] is not None and row[14] is not None]
    days = {(one.budget_id, one.day): one for one in spent}
    return Standing(clock(rows[0][0]), _gate(rows[0][1:6]), tuple(known.values()), days)


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
