"""All measures of one period for one reader: what the page shows, the API answers and the feed hands out."""

from dataclasses import dataclass

from audit.access import Person
from insights.kpis import measures, roi, usage, worth
from insights.kpis.assumptions import Stated, stated
from insights.kpis.cells import Cell, Cells
from insights.kpis.measures import Measure
from insights.kpis.periods import Period


class _Six:
    """Whatever has the six measures of the contract."""

    first: tuple[Measure, ...]

    def measure(self, name: str) -> Measure:
        """Return one of the six. Raises ``StopIteration`` for another name."""
        return next(one for one in self.first if one.name == name)


@dataclass(frozen=True)
class Group(_Six):
    """The measures of one kind, week, playbook …; ``key`` is its name, "" for those that have none."""

    key: str
    first: tuple[Measure, ...]


@dataclass(frozen=True)
class Answer(_Six):
    """``first``: the six measures of the contract, in their order; ``money``: what it is worth, by currency."""

    period: Period
    by: str
    first: tuple[Measure, ...]
    money: tuple[Measure, ...]
    groups: tuple[Group, ...] = ()


def answer(user: Person, period: Period, by: str = "") -> Answer:
    """Measure what ``user`` may see of ``period``, and each part of it where ``by`` names a way to part it.

    Raises ``KeyError`` for a ``by`` that is none of ``insights.kpis.cells.BY``.
    """
    found, known, tokens = measures.counted(user, period), stated(), usage.tokens_of(user, period)
    first = _first(found, tokens, known)
    money = (
        *measures.revenue_protected(found.cells),
        *worth.leak_measures(worth.leaks(user, period)),
        *worth.working_capital(found.cells, period, known),
        roi.cost_to_serve(first[-1]),
    )
    groups = _groups(found, by, tokens, known) if by else ()
    return Answer(period, by, first, money, groups)


def _first(found: Cells, tokens: list[tuple[str, int]], known: Stated) -> tuple[Measure, ...]:
    return (*measures.process_measures(found), roi.saved(found.cells, tokens, known))


def _groups(found: Cells, by: str, tokens: list[tuple[str, int]], known: Stated) -> tuple[Group, ...]:
    whole = _handled(found.cells)
    made = []
    for key, part in measures.grouped(found, by).items():
        # No row says which kind or playbook a token was spent on: each incident bears the same.
        share = _handled(part.cells) / whole if whole else 0.0
        made.append(Group(key, _first(part, [(slug, round(count * share)) for slug, count in tokens], known)))
    return tuple(made)


def _handled(rows: tuple[Cell, ...]) -> int:
    return sum(one.n for one in rows if one.mode)
