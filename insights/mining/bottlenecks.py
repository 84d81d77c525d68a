"""Bottlenecks: where cases wait, weighed by how long, how many and how much money waits with them."""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from dataclasses import dataclass

from insights.engines import Value
from insights.mining.asking import MEDIAN_P90, Names, Scope, ask, names, number, pair, seconds
from insights.mining.filters import EVERYTHING, Filter
from insights.mining.money import Money, money_of
from insights.mining.scoping import scope
from insights.mining.wording import duration, money_text, percent, several
from insights.models import EventLog

DAY = 86400.0


@dataclass(frozen=True)
class Bottleneck:
    """A place where cases wait: before a step (``source`` is empty) or on the way from one step to the next.

    ``score``: days waited, each weighed by the money of its case where money is known (so "money days"); ``share`` of
    all waiting time; ``money``: of the cases that passed, each counted once. ``why`` says it in a sentence.
    """

    source: str
    target: str
    count: int
    cases: int
    median_seconds: float
    p90_seconds: float
    total_seconds: float
    share: float
    money: float | None
    score: float
    why: str


@dataclass(frozen=True)
class Bottlenecks:
    """Edges and steps, the heaviest first. ``note`` says why there is no money, where there is none."""

    edges: tuple[Bottleneck, ...]
    steps: tuple[Bottleneck, ...]
    money_attribute: str
    currency: str
    note: str


def bottlenecks(log: EventLog, filter: Filter = EVERYTHING, *, money: str = "", most: int | None = None) -> Bottlenecks:
    """Return where the cases that ``filter`` leaves wait, by delay × volume × money; ties by name."""
    chosen = scope(log, filter)
    worth = money_of(log, chosen, money)
    known = names(log)
    edges = _places(log, chosen, known, worth, "activity, next")
    steps = _places(log, chosen, known, worth, "next")
    return Bottlenecks(
        edges=tuple(edges[:most]),
        steps=tuple(steps[:most]),
        money_attribute=worth.attribute,
        currency=worth.currency,
        note=worth.note,
    )


def _places(log: EventLog, chosen: Scope, known: Names, worth: Money, by: str) -> list[Bottleneck]:
    rows = ask(
        log,
        chosen,
        f"SELECT {by}, sum(times), count(*), sum(waited), max(spread), sum(money), sum(waited * money)"
        f" FROM (SELECT p.*, s.spread, w.money FROM passed p JOIN spreads s ON {_same(by)}"
        " LEFT JOIN worth w ON w.case_no = p.case_no) AS weighed"
        f" GROUP BY {by}",
        worth=worth.sql,
        passed=(
            f"SELECT {by}, case_no, count(*) AS times, sum(gap) AS waited FROM happened"
            f" WHERE next IS NOT NULL GROUP BY {by}, case_no"
        ),
        spreads=(
            f"SELECT {by}, quantile_cont(gap, {MEDIAN_P90}) AS spread FROM happened"
            f" WHERE next IS NOT NULL GROUP BY {by}"
        ),
    )
    width = len(by.split(","))
    whole = sum(seconds(row[width + 2]) or 0.0 for row in rows)
    found = [_bottleneck(row, width, known, worth, whole) for row in rows]
    return sorted(found, key=lambda one: (-one.score, -one.total_seconds, one.source, one.target))


def _same(by: str) -> str:
    return " AND ".join(f"s.{column.strip()} = p.{column.strip()}" for column in by.split(","))


def _bottleneck(row: tuple[Value, ...], width: int, known: Names, worth: Money, whole: float) -> Bottleneck:
    where, figures = row[:width], row[width:]
    median, p90 = pair(figures[3])
    waited = seconds(figures[2]) or 0.0
    money = (seconds(figures[4]) or 0.0) if worth.known else None
    found = Bottleneck(
        source=known[where[0]] if width == 2 else "",
        target=known[where[-1]],
        count=number(figures[0]),
        cases=number(figures[1]),
        median_seconds=median or 0.0,
        p90_seconds=p90 or 0.0,
        total_seconds=waited,
        share=waited / whole if whole > 0 else 0.0,
        money=money,
        score=((seconds(figures[5]) or 0.0) if worth.known else waited) / DAY,
        why="",
    )
    return Bottleneck(**{**vars(found), "why": _why(found, worth)})


def _why(found: Bottleneck, worth: Money) -> str:
    where = f"between {found.source} and {found.target}" if found.source else f"before {found.target}"
    told = (
        f"{several(found.count, 'time')} a case waited {where}, {duration(found.median_seconds)} in the middle case and"
        f" {duration(found.p90_seconds)} or more in every tenth: {percent(found.share)} of all waiting time."
    )
    if found.money is not None:
        told += f" What passed ({several(found.cases, 'case')}) carries {money_text(found.money, worth.currency)}."
    return told
