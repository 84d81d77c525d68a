"""Hot spots: where a problem gathers, as a Pareto by cases or by money."""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from collections import defaultdict
from dataclasses import dataclass

from audit.errors import Invalid
from insights.mining.asking import Scope, ask, names, number, seconds
from insights.mining.attributes import column, held
from insights.mining.filters import EVERYTHING, Filter
from insights.mining.money import Money, money_of
from insights.mining.problems import Problem, problem
from insights.mining.references import Reference
from insights.mining.scoping import scope
from insights.models import EventLog

RANKS = ("cases", "money")
FEW_PLACES = 100


@dataclass(frozen=True)
class HotSpot:
    """One place: its cases, those with the problem, their share of all such cases and the share up to here.

    A case that stands in several places (an activity, an event's attribute) counts in each, and shares are of that sum.
    """

    value: str
    cases: int
    hits: int
    rate: float
    share: float
    cumulative: float
    money: float | None
    money_share: float | None
    cumulative_money: float | None
    query: str


@dataclass(frozen=True)
class HotSpots:
    """Where a problem gathers, the largest first. ``places``: how many there are, shown or not."""

    by: str
    target: str
    words: str
    cases: int
    hits: int
    places: int
    money_attribute: str
    currency: str
    results: tuple[HotSpot, ...]


@dataclass
class _Sum:
    cases: int = 0
    hits: int = 0
    money: float = 0.0


def hotspots(
    log: EventLog,
    filter: Filter = EVERYTHING,
    *,
    by: str = "",
    target: str = "slow",
    rank: str = "cases",
    slow_seconds: float | None = None,
    reference: Reference | None = None,
    money: str = "",
    most: int = 50,
) -> HotSpots:
    """Return where ``target`` gathers, by ``activity``, ``variant`` or ``attribute.NAME`` (default: a telling text)."""
    chosen = scope(log, filter)
    place = by or _usual(log, chosen)
    worth = money_of(log, chosen, money)
    asked = problem(log, chosen, filter, target, slow_seconds=slow_seconds, reference=reference)
    sums = _sums(log, chosen, place, asked, worth)
    totals = _sums(log, chosen, "", asked, worth).get("", _Sum())
    by_money = rank == "money"
    ranked = sorted(sums.items(), key=lambda item: (-item[1].money if by_money else 0, -item[1].hits, item[0]))
    whole = _Sum(totals.cases, sum(one.hits for one in sums.values()), sum(one.money for one in sums.values()))
    results = _results(ranked[:most], whole, worth, filter, place)
    return HotSpots(
        by=place,
        target=target,
        words=asked.words,
        cases=totals.cases,
        hits=totals.hits,
        places=len(sums),
        money_attribute=worth.attribute,
        currency=worth.currency,
        results=results,
    )


def _results(
    ranked: list[tuple[str, _Sum]], totals: _Sum, worth: Money, filter: Filter, place: str
) -> tuple[HotSpot, ...]:
    results: list[HotSpot] = []
    hits, carried = 0, 0.0
    for value, one in ranked:
        hits, carried = hits + one.hits, carried + one.money
        has_money = worth.known and totals.money > 0
        results.append(
            HotSpot(
                value=value,
                cases=one.cases,
                hits=one.hits,
                rate=one.hits / one.cases,
                share=one.hits / totals.hits if totals.hits else 0.0,
                cumulative=hits / totals.hits if totals.hits else 0.0,
                money=one.money if worth.known else None,
                money_share=one.money / totals.money if has_money else None,
                cumulative_money=carried / totals.money if has_money else None,
                query=_narrowed(filter, place, value).query(),
            )
        )
    return tuple(results)


def _usual(log: EventLog, chosen: Scope) -> str:
    """Return where a person looks first: by the first text of cases that has a few values, not one or thousands."""
    named = held(log, "case", "text")
    if not named:
        return "activity"
    counts = ", ".join(f"count(DISTINCT {one.column})" for one in named)
    values = [number(one) for one in ask(log, chosen, f"SELECT {counts} FROM chosen")[0]]
    telling = [one for one, different in zip(named, values, strict=True) if 1 < different <= FEW_PLACES]
    return f"attribute.{telling[0].name}" if telling else "activity"


def _narrowed(filter: Filter, place: str, value: str) -> Filter:
    if place == "activity":
        return filter.also(including=(value,))
    if place == "variant":
        return filter.also(variants=(int(value),))
    return filter.also(attributes=((place.removeprefix("attribute."), (value,)),))


def _placed(log: EventLog, place: str) -> str:
    """Return case_no and place of every case, as SQL."""
    if place in ("", "variant"):
        return f"SELECT case_no, {'variant' if place else chr(39) * 2} AS place FROM chosen"
    if place == "activity":
        return "SELECT DISTINCT case_no, activity AS place FROM happened"
    name = place.removeprefix("attribute.")
    try:
        where, level, kind = column(log, name)
    except KeyError:
        kind = ""
    if not place.startswith("attribute.") or kind not in ("text", "flag"):
        message = "One of activity, variant, or attribute.NAME of a text or flag of this log."
        raise Invalid(message, {"by": [message]})
    told = f"coalesce(CAST({where} AS VARCHAR), '')"
    return f"SELECT DISTINCT case_no, {told} AS place FROM {'chosen' if level == 'case' else 'happened'}"


def _sums(log: EventLog, chosen: Scope, place: str, asked: Problem, worth: Money) -> dict[str, _Sum]:
    slow = asked.threshold is not None
    rows = ask(
        log,
        chosen,
        f"SELECT p.place, {'0' if slow else 'c.variant'}, count(*), count(*) FILTER (WHERE c.seconds > ?),"
        " sum(w.money), sum(w.money) FILTER (WHERE c.seconds > ?) FROM placed p JOIN chosen c ON c.case_no = p.case_no"
        f" LEFT JOIN worth w ON w.case_no = c.case_no GROUP BY p.place{'' if slow else ', c.variant'}",
        (asked.threshold or 0.0, asked.threshold or 0.0),
        placed=_placed(log, place),
        worth=worth.sql,
    )
    known = names(log) if place == "activity" else None
    sums: defaultdict[str, _Sum] = defaultdict(_Sum)
    for value, variant, cases, late, money, late_money in rows:
        one = sums[known[value] if known else str(value)]
        one.cases += number(cases)
        if slow:
            one.hits += number(late)
            one.money += seconds(late_money) or 0.0
        elif asked.has(0.0, number(variant)):
            one.hits += number(cases)
            one.money += seconds(money) or 0.0
    return dict(sums)
