"""Rework: what is done more than once in a case, and which step sends cases back."""

from collections import Counter
from dataclasses import dataclass

from insights.mining.asking import Names, Scope, ask, names, number, seconds
from insights.mining.filters import EVERYTHING, Filter
from insights.mining.process_map import STAND_INS, STEPS
from insights.mining.scoping import scope
from insights.models import EventLog

# The variants in which some activity comes twice.
REWORKED = (
    "SELECT DISTINCT variant FROM"
    " (SELECT variant, activity FROM steps GROUP BY variant, activity HAVING count(*) > 1) AS twice"
)
# Each step with its number among those of the same activity in its case: a loop begins where that number rises.
_NUMBERED = "SELECT *, row_number() OVER (PARTITION BY variant, activity ORDER BY position) AS nth FROM steps"
_MOVES = (
    "SELECT variant, n, activity, nth, lead(activity) OVER w AS target, lead(nth) OVER w AS target_nth"
    " FROM numbered WINDOW w AS (PARTITION BY variant ORDER BY position)"
)


@dataclass(frozen=True)
class Repeated:
    """One activity that is done again.

    ``cases``: in how many cases; ``extra``: how often beyond the first time; ``self_loops``: how often directly after
    itself. ``loops_started``: how often a case went back from here to something that it had done as often before;
    ``loops_received``: how often a case came back to here. ``net_loop_gain`` is the difference: above zero it sends
    back, below zero it is sent back to.
    """

    activity: str
    cases: int
    extra: int
    self_loops: int
    loops_started: int
    loops_received: int

    @property
    def net_loop_gain(self) -> int:
        """Return loops started less loops received."""
        return self.loops_started - self.loops_received


@dataclass(frozen=True)
class Loop:
    """A way back: from the step that began it to the step that was done again."""

    source: str
    target: str
    count: int
    cases: int


@dataclass(frozen=True)
class Rework:
    """Rework of a process; ``seconds`` are medians of cases with and without any."""

    cases: int
    reworked: int
    median_seconds_with: float | None
    median_seconds_without: float | None
    activities: tuple[Repeated, ...]
    starters: tuple[Repeated, ...]
    loops: tuple[Loop, ...]


def rework(log: EventLog, filter: Filter = EVERYTHING) -> Rework:
    """Return what the cases that ``filter`` leaves do again; activities that nobody repeats are left out."""
    chosen = scope(log, filter)
    known = names(log)
    loops = _loops(log, chosen, known)
    every = _repeated(log, chosen, known, loops)
    summed = {
        bool(again): (number(cases), seconds(median))
        for again, cases, median in ask(
            log,
            chosen,
            "SELECT r.variant IS NOT NULL, count(*), median(c.seconds)"
            " FROM chosen c LEFT JOIN reworked r ON r.variant = c.variant GROUP BY r.variant IS NOT NULL",
            stand_ins=STAND_INS,
            steps=STEPS,
            reworked=REWORKED,
        )
    }
    with_it, without = summed.get(True, (0, None)), summed.get(False, (0, None))
    return Rework(
        cases=with_it[0] + without[0],
        reworked=with_it[0],
        median_seconds_with=with_it[1],
        median_seconds_without=without[1],
        activities=tuple(one for one in every if one.extra),
        starters=tuple(
            sorted(
                (one for one in every if one.net_loop_gain > 0),
                key=lambda one: (-one.net_loop_gain, -one.loops_started, one.activity),
            )
        ),
        loops=tuple(loops),
    )


def _loops(log: EventLog, chosen: Scope, known: Names) -> list[Loop]:
    rows = ask(
        log,
        chosen,
        "SELECT activity, target, sum(times * n), sum(n) FROM"
        " (SELECT variant, activity, target, n, count(*) AS times FROM moves WHERE target_nth > nth"
        " GROUP BY variant, activity, target, n) AS returned GROUP BY activity, target",
        stand_ins=STAND_INS,
        steps=STEPS,
        numbered=_NUMBERED,
        moves=_MOVES,
    )
    found = [Loop(known[one], known[other], number(count), number(cases)) for one, other, count, cases in rows]
    return sorted(found, key=lambda one: (-one.count, one.source, one.target))


def _repeated(log: EventLog, chosen: Scope, known: Names, loops: list[Loop]) -> list[Repeated]:
    rows = ask(
        log,
        chosen,
        "SELECT activity, coalesce(sum(n) FILTER (WHERE times > 1), 0), sum((times - 1) * n), sum(directly * n) FROM"
        " (SELECT variant, activity, n, count(*) AS times, count(*) FILTER (WHERE next = activity) AS directly"
        " FROM steps GROUP BY variant, activity, n) AS counted GROUP BY activity",
        stand_ins=STAND_INS,
        steps=STEPS,
    )
    started, received = Counter[str](), Counter[str]()
    for loop in loops:
        started[loop.source] += loop.count
        received[loop.target] += loop.count
    found = [
        Repeated(name, number(cases), number(extra), number(directly), started[name], received[name])
        for one, cases, extra, directly in rows
        for name in (known[one],)
    ]
    return sorted(found, key=lambda one: (-one.extra, one.activity))
