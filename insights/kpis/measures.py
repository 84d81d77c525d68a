"""Measures as sums of cells: value, n and interval of each, for all of a period or for each part of it."""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.cache import cache

from audit.access import Person, roles_of
from insights.kpis import cells, intervals
from insights.kpis.cells import Cell, Cells, Change
from insights.kpis.definitions import DEFINITIONS, USE, Definition
from insights.kpis.intervals import Interval, Moments
from insights.kpis.periods import Period

FRESH_SECONDS = 15
MODES = ("autonomous", "approved", "manual")


@dataclass(frozen=True)
class Measure:
    """One measure as it stands: ``value`` is ``None`` where there is nothing to measure, ``because`` then says why.

    ``parts`` are measures that it is made of, such as contractual and internal; their definition is its own.
    """

    name: str
    value: float | None
    n: int
    interval: Interval | None = None
    because: str = ""
    parts: tuple["Measure", ...] = ()
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def definition(self) -> Definition:
        """What it means; a part is defined with its whole."""
        name = self.name.partition(".")[0]
        return USE[name] if name in USE else DEFINITIONS[name]

    def part(self, name: str) -> "Measure":
        """Return the part of that name. Raises ``StopIteration`` for none."""
        return next(one for one in self.parts if one.name == f"{self.name}.{name}")


def counted(user: Person, period: Period) -> Cells:
    """Return the cells of what ``user`` may see, at most ``FRESH_SECONDS`` old.

    Where counting takes long they are kept longer, so that it never takes more than a twentieth of a process.
    """
    key = f"kpis:{_reader(user)}:{period.start.isoformat()}:{period.end.isoformat()}"
    found: Cells | None = cache.get(key)
    if found is None:
        begun = time.monotonic()
        found = cells.count(user, period)
        cache.set(key, found, max(FRESH_SECONDS, 20 * (time.monotonic() - begun)))
    return found


def _reader(user: Any) -> str:
    """Return what decides which rows are seen, and the person, who may have been granted single ones."""
    scope = getattr(user, "scope", None)
    places = (sorted(scope.business_units), sorted(scope.regions)) if scope else ()
    told = f"{getattr(user, 'is_superuser', False)} {places} {sorted(roles_of(user))}"
    # Names of units may hold anything; a key may not.
    return f"{user.pk}:{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def process_measures(found: Cells) -> tuple[Measure, ...]:
    """Return the five measures that rest on rows alone."""
    return (
        time_to_mend(found.cells),
        first_contact(found.cells),
        sla(found.cells),
        change_success(found.changes),
        coverage(found.cells),
    )


def grouped(found: Cells, by: str) -> dict[str, Cells]:
    """Return the cells of each kind, domain, unit, region, week or playbook, by its name in order.

    Raises ``KeyError`` for another ``by``.
    """
    if by not in cells.BY:
        raise KeyError(by)
    parts: dict[str, tuple[list[Cell], list[Change]]] = {}
    for cell in found.cells:
        parts.setdefault(getattr(cell, by), ([], []))[0].append(cell)
    for change in found.changes:
        parts.setdefault(getattr(change, by), ([], []))[1].append(change)
    return {name: Cells(tuple(parts[name][0]), tuple(parts[name][1])) for name in sorted(parts)}


def time_to_mend(rows: Iterable[Cell]) -> Measure:
    """Return the mean seconds from opening to the verified close."""
    found = sum((one.seconds for one in rows if one.outcome == "mended"), Moments())
    return Measure("mttr_seconds", found.mean, found.n, intervals.of_mean(found), _nothing(found.n, "mended"))


def first_contact(rows: Iterable[Cell]) -> Measure:
    """Return the share that the first plan mended without an operator."""
    rows = [one for one in rows if one.outcome in ("mended", "rolled_back")]
    return _share("first_contact_resolution", rows, lambda one: one.first_contact, "mended")


def sla(rows: Sequence[Cell]) -> Measure:
    """Return the share of clocks that missed no target, and that of contractual and internal ones."""
    clocks = [one for one in rows if one.sla != "none" and one.outcome in ("mended", "rolled_back", "late")]
    whole = _kept("sla_adherence", clocks)
    parts = (
        _kept("sla_adherence.contractual", [one for one in clocks if one.contractual]),
        _kept("sla_adherence.internal", [one for one in clocks if not one.contractual]),
    )
    return Measure(whole.name, whole.value, whole.n, whole.interval, whole.because, parts)


def _kept(name: str, rows: list[Cell]) -> Measure:
    return _share(name, rows, lambda one: one.sla == "kept", "closed with a service level")


def change_success(rows: Iterable[Change]) -> Measure:
    """Return the share of changes that were right at the first attempt."""
    return _share("change_success_rate", list(rows), lambda one: one.right, "changed")


def coverage(rows: Iterable[Cell]) -> Measure:
    """Return the share that automation handled, and the shares of the three ways."""
    rows = [one for one in rows if one.mode]
    whole = _share("automation_coverage", rows, lambda one: one.mode != "manual", "closed")
    parts = tuple(_share(f"automation_coverage.{mode}", rows, _in(mode), "closed") for mode in MODES)
    return Measure(whole.name, whole.value, whole.n, whole.interval, whole.because, parts)


def _in(mode: str) -> Callable[[Cell], bool]:
    return lambda one: one.mode == mode


def revenue_protected(rows: Iterable[Cell]) -> tuple[Measure, ...]:
    """Return the revenue at risk of verified mends, one measure for each currency."""
    mended = [one for one in rows if one.outcome == "mended" and one.valued]
    return tuple(
        Measure(
            "revenue_protected",
            round(sum(one.worth for one in mended if one.currency == currency), 2),
            sum(one.valued for one in mended if one.currency == currency),
            data={"currency": currency},
        )
        for currency in sorted({one.currency for one in mended})
    )


def _share(name: str, rows: Sequence[Any], hit: Callable[[Any], bool], done: str) -> Measure:
    n = sum(one.n for one in rows)
    hits = sum(one.n for one in rows if hit(one))
    value = hits / n if n else None
    return Measure(name, value, n, intervals.of_share(hits, n), _nothing(n, done), data={"hits": hits})


def _nothing(n: int, done: str) -> str:
    return "" if n else f"Nothing was {done} in this period."
