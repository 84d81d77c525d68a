"""Variants: the ways that cases went, the most frequent first, with what each takes and what it carries."""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from dataclasses import dataclass

from insights.engines import Value
from insights.mining.asking import Names, ask, names, number, seconds
from insights.mining.filters import EVERYTHING, Filter
from insights.mining.money import Money, money_of
from insights.mining.scoping import scope
from insights.models import EventLog


@dataclass(frozen=True)
class Variant:
    """One way through the process. ``number`` holds within one generation of the log; 1 is the most frequent of all."""

    number: int
    activities: tuple[str, ...]
    cases: int
    share: float
    median_seconds: float | None
    mean_seconds: float | None
    money: float | None


@dataclass(frozen=True)
class Variants:
    """A page of the variants that a filter leaves. ``total``: how many there are; ``cases``: in how many cases."""

    results: tuple[Variant, ...]
    total: int
    cases: int
    currency: str = ""


def variants(
    log: EventLog, filter: Filter = EVERYTHING, *, start: int = 0, most: int = 50, money: str = ""
) -> Variants:
    """Return ``most`` variants from the ``start``-th on, most cases first, ties in the order of the whole log."""
    chosen = scope(log, filter)
    worth = money_of(log, chosen, money)
    counted = ask(log, chosen, "SELECT count(DISTINCT variant), count(*) FROM chosen")[0]
    total, cases = number(counted[0]), number(counted[1])
    rows = ask(
        log,
        chosen,
        "SELECT c.variant, count(*), median(c.seconds), avg(c.seconds), sum(w.money)"
        " FROM chosen c LEFT JOIN worth w ON w.case_no = c.case_no"
        f" GROUP BY c.variant ORDER BY count(*) DESC, c.variant LIMIT {int(most)} OFFSET {int(start)}",
        worth=worth.sql,
    )
    paths = paths_of(log, [number(row[0]) for row in rows], names(log))
    return Variants(tuple(_variant(row, paths, cases, worth) for row in rows), total, cases, worth.currency)


def paths_of(log: EventLog, numbers: list[int], known: Names) -> dict[int, tuple[str, ...]]:
    """Return the activities of each of these variants, in order."""
    if not numbers:
        return {}
    listed = ", ".join(str(int(one)) for one in numbers)
    rows = ask(log, scope(log, EVERYTHING), f"SELECT variant, path FROM variants WHERE variant IN ({listed})")
    return {number(one): _named(path, known) for one, path in rows}


def every_path(log: EventLog, filter: Filter, known: Names) -> list[tuple[int, int, tuple[str, ...]]]:
    """Return number, cases and activities of every variant that ``filter`` leaves, in the order of their numbers."""
    rows = ask(
        log,
        scope(log, filter),
        "SELECT v.variant, k.n, v.path FROM variants v JOIN counted k ON k.variant = v.variant ORDER BY v.variant",
        counted="SELECT variant, count(*) AS n FROM chosen GROUP BY variant",
    )
    return [(number(one), number(cases), _named(path, known)) for one, cases, path in rows]


def _named(path: Value, known: Names) -> tuple[str, ...]:
    return tuple(known[one] for one in path) if isinstance(path, list) else ()


def _variant(row: tuple[Value, ...], paths: dict[int, tuple[str, ...]], cases: int, worth: Money) -> Variant:
    one, count, median, mean, money = row
    return Variant(
        number=number(one),
        activities=paths[number(one)],
        cases=number(count),
        share=number(count) / cases if cases else 0.0,
        median_seconds=seconds(median),
        mean_seconds=seconds(mean),
        money=seconds(money) if worth.known else None,
    )
