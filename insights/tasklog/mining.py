"""Mines one task log: steps into routines that enough people share, with what they cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from insights.tasklog.chains import Chain, chains
from insights.tasklog.entry import Symbol
from insights.tasklog.patterns import Pattern, patterns
from insights.tasklog.states import RoutineKind

Ints = npt.NDArray[np.int64]
# A longer pause is a meeting, not a step.
PAUSE = 300.0
# After half an hour of nothing a new session begins.
BREAK = 1800.0
ALIKE = 0.6
MOST_CHAINS = 40
_WEEK = 7 * 86_400


@dataclass(frozen=True)
class Found:
    """One routine: its steps, how often, by how many people, in how many weeks, and how long it takes."""

    kind: RoutineKind
    steps: tuple[Symbol, ...]
    repeats: int
    people: int
    weeks: int
    median_seconds: float
    total_seconds: float
    family: int = 0
    share: float = 1.0


@dataclass(frozen=True)
class Mined:
    """What a log says: its routines, those that take most time first, and how many had too few people."""

    routines: tuple[Found, ...]
    withheld: int
    sessions: int


def mine(
    columns: dict[str, Any],
    names: Sequence[Symbol],
    *,
    least_people: int,
    least: int = 0,
    progress: Callable[[float], None] = lambda share: None,
) -> Mined:
    """Return the routines of a log whose steps are sorted by person and time. Deterministic.

    ``least_people``: what fewer people do is counted and not told. ``least``: repeats that make a routine, by default
    five, and more in a log of more than 100,000 steps.
    """
    who, what, when = (columns[name].astype(np.int64) for name in ("who", "what", "when"))
    at = when / 1_000_000.0
    session = _sessions(who, columns["session"].astype(np.int64), at)
    seconds = _durations(session, at)
    least = least or max(5, len(what) // 20_000)
    carried = chains(what, session, at, columns["marks"].astype(np.int64), names)
    progress(0.2)
    repeated = patterns(
        what, _unbroken(session, at), seconds, least=least, progress=lambda share: progress(0.2 + 0.7 * share)
    )
    time = np.r_[0.0, np.cumsum(seconds)]
    found = [_sequence(one, names, who, at, time) for one in repeated]
    for kind, some in ((RoutineKind.COPY_PASTE, carried.pasted), (RoutineKind.RETYPING, carried.typed)):
        often = [_carried(kind, one, who, at) for one in some if len(one.at) >= least]
        found += sorted(often, key=_cost)[:MOST_CHAINS]
    shown = [one for one in found if one.people >= least_people]
    progress(1.0)
    return Mined(_in_families(sorted(shown, key=_cost)), len(found) - len(shown), int(session[-1]) + 1)


def _cost(one: Found) -> tuple[float, str, tuple[Symbol, ...]]:
    return -one.total_seconds, one.kind, one.steps


def _sessions(who: Ints, given: Ints, at: npt.NDArray[np.float64]) -> Ints:
    """Number the sessions: a person's steps without a long pause, within one session of the recorder."""
    new = np.ones(len(who), dtype=bool)
    new[1:] = (who[1:] != who[:-1]) | (given[1:] != given[:-1]) | (np.diff(at) > BREAK)
    return np.cumsum(new) - 1


def _unbroken(session: Ints, at: npt.NDArray[np.float64]) -> Ints:
    """Number the stretches of sessions without a pause: what lies on both sides of one is not one routine."""
    new = np.ones(len(session), dtype=bool)
    new[1:] = (session[1:] != session[:-1]) | (np.diff(at) > PAUSE)
    return np.cumsum(new) - 1


def _durations(session: Ints, at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how long each step took: until the next of its session, and no longer than a pause."""
    seconds = np.zeros(len(at))
    seconds[:-1] = np.where(session[1:] == session[:-1], np.diff(at), 0.0)
    return np.minimum(seconds, PAUSE)


def _sequence(
    one: Pattern, names: Sequence[Symbol], who: Ints, at: npt.NDArray[np.float64], time: npt.NDArray[np.float64]
) -> Found:
    # From the first step to the last: what follows it may be the next task or lunch.
    spent = time[one.ends] - time[one.starts]
    return Found(
        RoutineKind.SEQUENCE,
        tuple(names[symbol] for symbol in one.symbols),
        len(one.starts),
        len(np.unique(who[one.starts])),
        len(np.unique(at[one.starts] // _WEEK)),
        float(np.median(spent)),
        float(spent.sum()),
    )


def _carried(kind: RoutineKind, one: Chain, who: Ints, at: npt.NDArray[np.float64]) -> Found:
    places = np.array(one.at, dtype=np.int64)
    spent = np.minimum(np.array(one.seconds), PAUSE)
    return Found(
        kind,
        (one.source, one.target),
        len(places),
        len(np.unique(who[places])),
        len(np.unique(at[places] // _WEEK)),
        float(np.median(spent)),
        float(spent.sum()),
    )


def _in_families(found: list[Found]) -> tuple[Found, ...]:
    """Put the ways of doing one task together: those that touch mostly the same fields, in whatever order."""
    parent = list(range(len(found)))

    def root(one: int) -> int:
        while parent[one] != one:
            one = parent[one]
        return one

    touched = [{step[:2] for step in one.steps} for one in found]
    for one, routine in enumerate(found):
        for other in range(one):
            same = routine.kind == found[other].kind == RoutineKind.SEQUENCE
            if same and len(touched[one] & touched[other]) >= ALIKE * len(touched[one] | touched[other]):
                parent[max(root(one), root(other))] = min(root(one), root(other))
    repeats: dict[int, int] = {}
    for one, routine in enumerate(found):
        repeats[root(one)] = repeats.get(root(one), 0) + routine.repeats
    return tuple(
        replace(routine, family=root(one) + 1, share=routine.repeats / repeats[root(one)])
        for one, routine in enumerate(found)
    )
