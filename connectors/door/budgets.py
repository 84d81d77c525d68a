"""Budgets: calls, tokens and money of a connection or a team per day, shared by all workers.

A use takes its place before anything is sent, in one statement that the database lets through only while there is
room. What it will cost at most is taken with it and set right afterwards, so that of many workers one at most passes
the limit, and by one call at most. A worker that dies in between leaves what it took as used.
"""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.db import connection as database
from django.db.models import F

from audit.clock import db_now
from connectors.base import Blocked
from connectors.door import notices
from connectors.door.at_once import NEVER, UNITS, Draw
from connectors.door.models import Budget, Spent
from connectors.door.standing import Standing
from connectors.models import Connection

MILLION = 1_000_000
# A raised budget is noticed after so long at the latest.
LONGEST_WAIT = 900.0
# Below so many of a unit, and with fewer such days known, nothing is called a spike.
_SMALLEST = {"calls": 20, "tokens": 1_000, "money": MILLION}
_WEEKS, _FEWEST = 8, 3


def _refusal(message: str, *, scope: str, unit: str, retry_after: float = LONGEST_WAIT) -> Blocked:
    blocked = Blocked(message, code="budget", retry_after=retry_after)
    blocked.scope, blocked.about = scope, unit
    return blocked


@dataclass(frozen=True)
class Taken:
    """What a use has taken: whose rows, and how much of what was only foreseen."""

    rows: tuple[int, ...] = ()
    tokens: int = 0


def take(connection: Connection, standing: Standing, *, tokens: int, forced: bool, actor: str) -> Taken:
    """Take one call and ``tokens`` from every budget of a connection, whatever is left where ``forced``.

    Raises ``Blocked`` with the code ``budget``; the caller's transaction takes back what was taken before that.
    """
    rows = []
    for budget in standing.budgets:
        day = _today(budget, standing.now)
        row = standing.days.get((budget.pk, day)) or _row(budget, day)
        cost = _cost(budget, connection, calls=1, tokens=tokens)
        limits = {} if forced else _limits(budget)
        if not _added(row, cost, limits):
            raise _spent(budget, row, limits, standing.now)
        _warn(budget, connection, row, cost, actor)
        rows.append(row.pk)
    return Taken(tuple(rows), tokens)


def foresee(connection: Connection, standing: Standing, *, tokens: int, forced: bool) -> tuple[Draw, ...] | None:
    """Return what ``take`` would take; ``None`` where it has more to do: begin a day, tell of a spike, or refuse."""
    draws = []
    for budget in standing.budgets:
        try:
            row = standing.days.get((budget.pk, _today(budget, standing.now)))
            cost = _cost(budget, connection, calls=1, tokens=tokens)
        except Blocked:
            return None
        if row is None or (row.warned_at is None and _unusually_used(row, cost)):
            return None
        limits = {} if forced else _limits(budget)
        below = tuple(limits.get(unit, NEVER) for unit in UNITS)
        draws.append(Draw(row.pk, tuple(cost[unit] for unit in UNITS), below))
    return tuple(draws)


def _added(row: Spent, cost: Mapping[str, int], limits: Mapping[str, int]) -> bool:
    """Add to what is spent, if there is room. Written out: this is on the way of every call."""
    room = "".join(f" AND {unit} < %s" for unit in limits)
    sums = ", ".join(f"{unit} = {unit} + %s" for unit in UNITS)
    statement = f"UPDATE connectors_spent SET {sums} WHERE id = %s{room}"  # noqa: S608 - names of our own columns
    with database.cursor() as cursor:
        cursor.execute(statement, [*(cost[unit] for unit in UNITS), row.pk, *limits.values()])
        return bool(cursor.rowcount)


def settle(taken: Taken, connection: Connection, tokens: int) -> None:
    """Set right what a use took before it was known what it would cost."""
    more = tokens - taken.tokens
    if not taken.rows or not more:
        return
    price = _millionths(connection.price_tokens) * more // 1000
    for key in taken.rows:
        money = price if connection.price_tokens and _counts_money(key, connection) else 0
        Spent.objects.filter(pk=key).update(tokens=F("tokens") + more, money=F("money") + money)


def _counts_money(key: int, connection: Connection) -> bool:
    return Spent.objects.filter(pk=key, budget__currency=connection.price_currency).exists()


def _today(budget: Budget, now: datetime) -> date:
    return now.astimezone(_zone(budget)).date()


def _zone(budget: Budget) -> ZoneInfo:
    try:
        return ZoneInfo(budget.time_zone)
    except (KeyError, ValueError, OSError):
        message = f"The budget of {budget} has the time zone “{budget.time_zone}”, which nobody knows. Correct it."
        raise _refusal(message, scope=str(budget), unit="time_zone") from None


def _row(budget: Budget, day: date) -> Spent:
    row = Spent.objects.filter(budget=budget, day=day).first()
    if row is not None:
        return row
    try:
        with transaction.atomic():
            return Spent.objects.create(budget=budget, day=day, unusual=_unusual(budget, day))
    except IntegrityError:
        # Another worker began the day.
        return Spent.objects.get(budget=budget, day=day)


def _limits(budget: Budget) -> dict[str, int]:
    limits = {"calls": budget.calls, "tokens": budget.tokens, "money": _ceiling(budget)}
    return {unit: limit for unit, limit in limits.items() if limit is not None}


def _ceiling(budget: Budget) -> int | None:
    return None if budget.money is None else _millionths(budget.money)


def _millionths(amount: Decimal | None) -> int:
    return int((amount or Decimal(0)) * MILLION)


def _cost(budget: Budget, connection: Connection, *, calls: int, tokens: int) -> dict[str, int]:
    priced = connection.price_call is not None or connection.price_tokens is not None
    if budget.money is not None and not (priced and connection.price_currency == budget.currency):
        message = (
            f"The budget of {budget} counts money in {budget.currency or 'no currency'}, and {connection.slug} has no"
            " prices in it. Enter the connection's prices, or take the limit on money away."
        )
        raise _refusal(message, scope=str(budget), unit="money")
    money = 0
    if priced and connection.price_currency == budget.currency:
        money = _millionths(connection.price_call) * calls + _millionths(connection.price_tokens) * tokens // 1000
    return {"calls": calls, "tokens": tokens, "money": money}


def _spent(budget: Budget, row: Spent, limits: Mapping[str, int], now: datetime) -> Blocked:
    row.refresh_from_db()
    unit = next((unit for unit in UNITS if unit in limits and getattr(row, unit) >= limits[unit]), next(iter(limits)))
    ends = next_day(budget, now)
    used = of_limit(unit, getattr(row, unit), limits[unit], budget.currency)
    message = (
        f"Today's budget of {budget} is spent: {used}. It begins anew at"
        f" {ends.astimezone(_zone(budget)):%H:%M} ({budget.time_zone}); whoever configures connections can raise it."
    )
    wait = min(max((ends - now).total_seconds(), 1.0), LONGEST_WAIT)
    return _refusal(message, scope=str(budget), unit=unit, retry_after=wait)


def next_day(budget: Budget, now: datetime) -> datetime:
    """Return when the budget's next day begins, in UTC: 23 or 25 hours after the last where clocks change."""
    zone = _zone(budget)
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), zone).astimezone(UTC)


def _unusual(budget: Budget, day: date) -> dict[str, int]:
    """Return, for each unit, from where a day's use is a spike: so many times the middle of the same weekdays."""
    if budget.spike is None:
        return {}
    days = [day - timedelta(days=7 * back) for back in range(1, _WEEKS + 1)]
    before = list(Spent.objects.filter(budget=budget, day__in=days).values(*UNITS))
    if len(before) < _FEWEST:
        return {}
    usual = {unit: statistics.median(row[unit] for row in before) for unit in UNITS}
    return {unit: max(int(usual[unit] * budget.spike), _SMALLEST[unit]) for unit in UNITS if usual[unit]}


def _unusually_used(row: Spent, cost: Mapping[str, int]) -> list[str]:
    return [unit for unit, from_ in row.unusual.items() if getattr(row, unit) + cost[unit] >= from_]


def _warn(budget: Budget, connection: Connection, row: Spent, cost: Mapping[str, int], actor: str) -> None:
    """Tell once a day that use is far above the usual; the calls go on."""
    if row.warned_at is not None:
        return
    over = _unusually_used(row, cost)
    if not over or not Spent.objects.filter(pk=row.pk, warned_at=None).update(warned_at=db_now()):
        return
    unit = over[0]
    now_used = shown(unit, getattr(row, unit) + cost[unit], budget.currency)
    usual = shown(unit, int(row.unusual[unit] / (budget.spike or 1)), budget.currency)
    message = f"{budget} has used {now_used} today; usual on this weekday are {usual}. Look at its calls."
    notices.tell(connection, "spike", unit, message, actor=actor, scope=str(budget), day=row.day, verb="budget.spike")


def shown(unit: str, amount: int, currency: str) -> str:
    """Say an amount of a unit as people read it."""
    if unit == "money":
        return f"{Decimal(amount) / MILLION:,.2f} {currency}".strip()
    return f"{amount:,} {unit}"


def of_limit(unit: str, used: int, limit: int, currency: str) -> str:
    """Say how much of a limit is used, such as “412 of 500 calls”."""
    return f"{shown(unit, used, currency).split(' ')[0]} of {shown(unit, limit, currency)}"


@dataclass(frozen=True)
class Use:
    """How much of one unit of one budget is used today."""

    scope: str
    unit: str
    used: int
    limit: int | None
    text: str  # such as “412 of 500 calls”

    @property
    def share(self) -> int:
        """Percent of the limit, 0 where there is none."""
        return min(100, self.used * 100 // self.limit) if self.limit else 100 if self.limit == 0 else 0

    @property
    def tone(self) -> str:
        """The word that pages colour it by."""
        return (
            "critical" if self.limit is not None and self.used >= self.limit else "medium" if self.share >= 80 else ""
        )


def today(budgets: Iterable[Budget] | None = None, now: datetime | None = None) -> list[Use]:
    """Return what is used of each budget on its present day, in two statements."""
    now = now or db_now()
    wanted = list(Budget.objects.select_related("connection") if budgets is None else budgets)
    days = {row.pk: _today(row, now) for row in wanted if _known_zone(row)}
    found = Spent.objects.filter(budget__in=days, day__in=set(days.values()))
    rows = {row.budget_id: row for row in found if days[row.budget_id] == row.day}
    return [use for budget in wanted for use in _uses(budget, rows.get(budget.pk))]


def _known_zone(budget: Budget) -> bool:
    try:
        _zone(budget)
    except Blocked:
        return False
    return True


def _uses(budget: Budget, row: Spent | None) -> list[Use]:
    uses = []
    limits = _limits(budget)
    for unit in UNITS:
        used: Any = getattr(row, unit) if row else 0
        limit = limits.get(unit)
        if limit is None and not used:
            continue
        text = shown(unit, used, budget.currency) if limit is None else of_limit(unit, used, limit, budget.currency)
        uses.append(Use(str(budget), unit, used, limit, text))
    return uses
