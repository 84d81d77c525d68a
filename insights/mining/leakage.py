"""KPI leakage: what cases over their target cost in time and money, per variant and per step, on stated assumptions."""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from dataclasses import dataclass

from insights.engines import Value
from insights.mining.asking import Scope, ask, names, number, seconds
from insights.mining.filters import EVERYTHING, Filter
from insights.mining.money import Money, money_of
from insights.mining.scoping import scope
from insights.mining.templating import template_of
from insights.mining.variants import paths_of
from insights.models import EventLog

YEAR = 365 * 86400.0
# What money that is tied up costs a year where nobody has said another rate.
USUAL_RATE = 0.08


@dataclass(frozen=True)
class Leak:
    """What is lost in one variant or step: cases (or passes) over target, seconds over it, and what that costs."""

    variant: int
    activities: tuple[str, ...]
    count: int
    over: int
    seconds: float
    money: float | None


@dataclass(frozen=True)
class Leakage:
    """KPI leakage with what it assumes: the target per case and the yearly cost of tied-up money.

    A step's target is its own median. ``money`` = seconds over target × the case's money × rate / a year.
    """

    target_seconds: float | None
    target_from: str
    rate: float
    money_attribute: str
    currency: str
    note: str
    seconds: float
    money: float | None
    variants: tuple[Leak, ...]
    steps: tuple[Leak, ...]


def leakage(
    log: EventLog,
    filter: Filter = EVERYTHING,
    *,
    target_seconds: float | None = None,
    rate: float = USUAL_RATE,
    money: str = "",
    most: int = 50,
) -> Leakage:
    """Return what the cases that ``filter`` leaves lose against a target.

    It is ``target_seconds``, else that of the log's template, else the median of these cases.
    """
    chosen = scope(log, filter)
    worth = money_of(log, chosen, money)
    target, told = target_seconds, "given"
    template = template_of(log) if target is None else None
    if template is not None:
        target, told = template.targets.throughput_hours * 3600, template.label
    if target is None:
        target, told = (
            seconds(ask(log, chosen, "SELECT median(seconds) FROM chosen")[0][0]),
            "the median of these cases",
        )
    total, variants = _by_variant(log, chosen, worth, target=target or 0.0, rate=rate, most=most)
    return Leakage(
        target_seconds=target,
        target_from=told,
        rate=rate,
        money_attribute=worth.attribute,
        currency=worth.currency,
        note=worth.note,
        seconds=seconds(total[0]) or 0.0,
        money=_cost(total[1], rate, worth),
        variants=variants,
        steps=_by_step(log, chosen, worth, rate, most),
    )


def _cost(weighed: Value, rate: float, worth: Money) -> float | None:
    return (seconds(weighed) or 0.0) * rate / YEAR if worth.known else None


def _by_variant(
    log: EventLog, chosen: Scope, worth: Money, *, target: float, rate: float, most: int
) -> tuple[tuple[Value, ...], tuple[Leak, ...]]:
    late = (
        "SELECT c.variant, greatest(c.seconds - goal.target, 0) AS late, w.money"
        " FROM chosen c CROSS JOIN goal LEFT JOIN worth w ON w.case_no = c.case_no"
    )
    # A number of ours, told exactly: repr gives every digit.
    goal = f"SELECT CAST('{float(target)!r}' AS DOUBLE) AS target"
    total = ask(log, chosen, "SELECT sum(late), sum(late * money) FROM late", goal=goal, worth=worth.sql, late=late)[0]
    rows = ask(
        log,
        chosen,
        "SELECT variant, count(*), count(*) FILTER (WHERE late > 0), sum(late), sum(late * money) FROM late"
        " GROUP BY variant HAVING sum(late) > 0"
        f" ORDER BY {'coalesce(sum(late * money), 0) DESC, ' if worth.known else ''}sum(late) DESC, variant"
        f" LIMIT {int(most)}",
        goal=goal,
        worth=worth.sql,
        late=late,
    )
    paths = paths_of(log, [number(row[0]) for row in rows], names(log))
    return total, tuple(
        Leak(
            number(one), paths[number(one)], number(count), number(over), seconds(lost) or 0.0, _cost(cost, rate, worth)
        )
        for one, count, over, lost, cost in rows
    )


def _by_step(log: EventLog, chosen: Scope, worth: Money, rate: float, most: int) -> tuple[Leak, ...]:
    known = names(log)
    rows = ask(
        log,
        chosen,
        "SELECT h.activity, h.next, count(*), count(*) FILTER (WHERE h.gap > u.usual),"
        " sum(greatest(h.gap - u.usual, 0)), sum(greatest(h.gap - u.usual, 0) * w.money)"
        " FROM happened h JOIN usual u ON u.activity = h.activity AND u.next = h.next"
        " LEFT JOIN worth w ON w.case_no = h.case_no GROUP BY h.activity, h.next",
        worth=worth.sql,
        usual=(
            "SELECT activity, next, median(gap) AS usual FROM happened WHERE next IS NOT NULL GROUP BY activity, next"
        ),
    )
    found = [
        Leak(0, (known[one], known[other]), number(count), number(over), seconds(lost) or 0.0, _cost(cost, rate, worth))
        for one, other, count, over, lost, cost in rows
    ]
    found = [one for one in found if one.seconds > 0]
    return tuple(sorted(found, key=lambda one: (-(one.money or 0.0), -one.seconds, one.activities))[:most])
