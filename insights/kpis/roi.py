"""What it costs to serve an incident, against doing all by hand: on stated assumptions, with an interval, or not."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from insights.kpis import intervals
from insights.kpis.assumptions import Name, Stated, told
from insights.kpis.cells import Cell
from insights.kpis.intervals import FEWEST
from insights.kpis.measures import Measure
from insights.kpis.models import Assumption


@dataclass(frozen=True)
class Path:
    """So many incidents of one kind, unit and way of handling: what each cost, and would have cost by hand."""

    n: int
    cost: float
    by_hand: float


@dataclass(frozen=True)
class Prices:
    """The paths of a period in one currency, with what they rest on; ``refused`` says why there are none."""

    paths: tuple[Path, ...] = ()
    tokens: float = 0.0  # what the model calls of the period cost in all
    currency: str = ""
    used: tuple[Assumption, ...] = ()
    left_out: int = 0
    refused: str = ""


def saved(rows: Iterable[Cell], tokens: Sequence[tuple[str, int]], stated: Stated) -> Measure:
    """Return by how much the cost to serve is lower than by hand. ``tokens``: how many each connection used."""
    priced = price(rows, tokens, stated)
    n = sum(path.n for path in priced.paths)
    if priced.refused or n < FEWEST:
        thin = f"Not enough data: {n} closed incidents with stated assumptions, at least {FEWEST} are needed."
        because = priced.refused or thin
        return Measure("roi", None, n, because=because, data={"assumptions": told(priced.used)})
    paths, each = priced.paths, priced.tokens / n

    def share(counts: Sequence[float]) -> float:
        by_hand = sum(path.by_hand * count for path, count in zip(paths, counts, strict=True))
        cost = sum((path.cost + each) * count for path, count in zip(paths, counts, strict=True))
        return 1 - cost / by_hand if by_hand else 0.0

    interval = intervals.of_cells([path.n for path in paths], share)
    none = interval is not None and interval[0] <= 0 <= interval[1]
    return Measure(
        "roi",
        share([float(path.n) for path in paths]),
        n,
        interval,
        "No effect is shown: the interval holds 0." if none else "",
        data={**_amounts(priced, n), "assumptions": told(priced.used), "left_out": priced.left_out},
    )


def cost_to_serve(saving: Measure) -> Measure:
    """Return what an incident cost on average, on the same assumptions as the saving."""
    each = saving.data.get("cost_each")
    data = {"currency": saving.data.get("currency", ""), "by_hand_each": saving.data.get("by_hand_each")}
    return Measure("cost_to_serve", each, saving.n, because="" if each is not None else saving.because, data=data)


def price(rows: Iterable[Cell], tokens: Sequence[tuple[str, int]], stated: Stated) -> Prices:
    """Return what each way of handling costs, or why that cannot be said."""
    counted = Counter[tuple[str, str, str]]()
    for one in rows:
        if one.mode:
            counted[(one.kind, one.business_unit, one.mode)] += one.n
    paths, used, left_out, currencies = [], set[Assumption](), 0, set[str]()
    for (kind, unit, mode), n in sorted(counted.items()):
        hand, approve = stated.of(Name.MINUTES_BY_HAND, kind), stated.of(Name.MINUTES_TO_APPROVE, kind)
        rate = stated.of(Name.HOURLY_RATE, unit)
        needed = (hand, rate, approve) if mode == "approved" else (hand, rate)
        if hand is None or rate is None or None in needed:
            left_out += n
            continue
        used |= {one for one in needed if one is not None}
        currencies.add(rate.currency)
        minutes = {"manual": hand, "approved": approve}.get(mode)
        an_hour = float(rate.value) / 60
        paths.append(Path(n, float(minutes.value) * an_hour if minutes else 0.0, float(hand.value) * an_hour))
    return _with_tokens(Prices(tuple(paths), 0.0, "", tuple(used), left_out), currencies, tokens, stated)


def _with_tokens(priced: Prices, currencies: set[str], tokens: Sequence[tuple[str, int]], stated: Stated) -> Prices:
    used, cost = set(priced.used), 0.0
    for connection, count in tokens:
        if not count:
            continue
        rate = stated.of(Name.TOKEN_PRICE, connection)
        if rate is None:
            return _refuse(priced, f"No price of a million tokens is stated for the connection {connection}.")
        used.add(rate)
        currencies.add(rate.currency)
        cost += count / 1e6 * float(rate.value)
    if not priced.paths:
        missing = "Minutes by hand, minutes to approve and an hourly rate are needed; state them as assumptions."
        return _refuse(priced, missing if priced.left_out else "Nothing was closed in this period.")
    if len(currencies) > 1:
        return _refuse(priced, f"The assumptions are in {' and '.join(sorted(currencies))}; nothing is converted.")
    return Prices(priced.paths, cost, currencies.pop(), tuple(used), priced.left_out)


def _refuse(priced: Prices, why: str) -> Prices:
    return Prices((), 0.0, "", priced.used, priced.left_out, why)


def _amounts(priced: Prices, n: int) -> dict[str, str | float]:
    cost = sum(path.cost * path.n for path in priced.paths) + priced.tokens
    by_hand = sum(path.by_hand * path.n for path in priced.paths)
    return {
        "currency": priced.currency,
        "saved": round(by_hand - cost, 2),
        "cost": round(cost, 2),
        "by_hand": round(by_hand, 2),
        "tokens": round(priced.tokens, 2),
        "cost_each": round(cost / n, 4),
        "by_hand_each": round(by_hand / n, 4),
    }
