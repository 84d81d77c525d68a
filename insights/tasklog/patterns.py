"""Finds what is repeated in a row of steps: every run that occurs often, by Karp, Miller and Rosenberg's naming.

R. M. Karp, R. E. Miller, A. L. Rosenberg, Rapid identification of repeated patterns in strings, trees and arrays (STOC
1972): a window of n + 1 steps is named by the names of its first and its last n, so that equal windows get equal
names, one sort for each length. A window is followed only while both parts are frequent (nothing frequent contains
what is rare), so the work is bounded by steps × longest pattern. Deterministic: no sampling, ties by name.

1. Steps that are rare anywhere are taken out; up to ``MOST_BETWEEN`` of them may lie within a pattern.
2. Windows are named from 2 steps to ``LONGEST``; of each name that is frequent and cannot be widened without losing
   repeats, the time it takes is summed.
3. The pattern that takes most time claims its steps; the next is counted in what is left (lazily, by a heap).
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
SHORTEST = 3
LONGEST = 20
MOST_BETWEEN = 2
MOST_PATTERNS = 60
MOST_LOOKS = 1_500


@dataclass(frozen=True)
class Pattern:
    """A run of symbols and the steps (places in the whole log) at which it begins and ends, none overlapping."""

    symbols: tuple[int, ...]
    starts: Ints
    ends: Ints


@dataclass(frozen=True)
class _Row:
    """The steps that are left to look at: symbols, places, the stretch of each, and the time up to every place."""

    symbols: Ints
    places: Ints
    stretch: Ints
    time: Floats


def patterns(
    symbols: Ints,
    session: Ints,
    seconds: Floats,
    *,
    least: int,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Pattern]:
    """Return the patterns that occur at least ``least`` times within sessions, those that take most time first."""
    row = _row(symbols, session, seconds, least)
    if len(row.symbols) < SHORTEST:
        return []
    levels = _named(row, least, lambda share: progress(share * 0.5))
    return _chosen(row, levels, least, lambda share: progress(0.5 + share * 0.5))


def _row(symbols: Ints, session: Ints, seconds: Floats, least: int) -> _Row:
    """Take out what is rare and what only repeats the step before; begin a new stretch where too much lies between."""
    again = np.zeros(len(symbols), dtype=bool)
    again[1:] = (symbols[1:] == symbols[:-1]) & (session[1:] == session[:-1])
    counts = np.bincount(symbols[~again], minlength=int(symbols.max(initial=0)) + 1)
    places = np.flatnonzero(~again & (counts[symbols] >= least))
    # Repeats of one step are its own time, not something in between.
    ordinal = np.cumsum(~again)
    between = np.diff(ordinal[places], prepend=ordinal[places[0]] if len(places) else 0) - 1
    broken = (between > MOST_BETWEEN) | np.r_[True, session[places][1:] != session[places][:-1]][: len(places)]
    time = np.r_[0.0, np.cumsum(seconds)]
    return _Row(symbols[places], places, np.cumsum(broken), time)


Level = tuple[Ints, Ints, Floats, Flags]


def _named(row: _Row, least: int, progress: Callable[[float], None]) -> dict[int, Level]:
    """Return for each length the name of the window at each place (-1: none), and of each name count, time, closed."""
    found: dict[int, Level] = {}
    names: Ints = np.unique(row.symbols, return_inverse=True)[1].astype(np.int64)
    for length in range(2, LONGEST + 1):
        windows = len(row.symbols) - length + 1
        if windows <= 0:
            break
        valid = (
            (row.stretch[:windows] == row.stretch[length - 1 :])
            & (names[:windows] >= 0)
            & (names[1 : windows + 1] >= 0)
        )
        at = np.flatnonzero(valid)
        if not len(at):
            break
        pairs = names[at] * (int(names.max()) + 1) + names[at + 1]
        _, inverse, counts = np.unique(pairs, return_inverse=True, return_counts=True)
        often = counts >= least
        renumbered = np.where(often, np.cumsum(often) - 1, -1)
        following = np.full(windows, -1, dtype=np.int64)
        following[at] = renumbered[inverse]
        if not often.any():
            break
        if length - 1 in found:
            _close(found[length - 1], names, following, counts[often])
        spent = row.time[row.places[length - 1 :]] - row.time[row.places[:windows]]
        kept = following >= 0
        weighed = np.bincount(following[kept], weights=spent[kept], minlength=int(often.sum()))
        times: Floats = np.asarray(weighed, dtype=np.float64)
        repeats: Ints = counts[often].astype(np.int64)
        closed: Flags = np.ones(len(repeats), dtype=np.bool_)
        found[length] = (following, repeats, times, closed)
        names = following
        progress(length / LONGEST)
    return found


def _close(level: Level, names: Ints, following: Ints, counts: Ints) -> None:
    """Mark the shorter patterns that always go on the same way: the longer one says it all."""
    at = np.flatnonzero(following >= 0)
    for part in (names[at], names[at + 1]):
        widest = np.zeros(len(level[1]), dtype=np.int64)
        np.maximum.at(widest, part, counts[following[at]])
        level[3][widest >= level[1]] = False


def _chosen(row: _Row, levels: dict[int, Level], least: int, progress: Callable[[float], None]) -> list[Pattern]:
    heap: list[tuple[float, int, int]] = []
    for length, (_, _, times, closed) in levels.items():
        if length >= SHORTEST:
            heap += [(-float(times[name]), length, int(name)) for name in np.flatnonzero(closed)]
    heap = heapq.nsmallest(MOST_LOOKS, heap)
    heapq.heapify(heap)
    taken = np.zeros(len(row.symbols) + 1, dtype=np.int64)
    found: list[Pattern] = []
    for look in range(MOST_LOOKS):
        if not heap or len(found) >= MOST_PATTERNS:
            break
        _, length, name = heapq.heappop(heap)
        at = _free(levels[length][0], name, length, taken)
        symbols = tuple(int(one) for one in row.symbols[at[0] : at[0] + length]) if len(at) else ()
        if len(at) < least or _periodic(symbols):
            continue
        spent = float((row.time[row.places[at + length - 1]] - row.time[row.places[at]]).sum())
        if heap and -spent > heap[0][0]:
            heapq.heappush(heap, (-spent, length, name))
            continue
        for offset in range(length):
            taken[at + offset] = 1
        found.append(Pattern(symbols, row.places[at], row.places[at + length - 1]))
        progress(look / MOST_LOOKS)
    return found


def _free(names: Ints, name: int, length: int, taken: Ints) -> Ints:
    """Return where the pattern occurs in steps that none has claimed, from left to right without overlap."""
    at = np.flatnonzero(names == name)
    claimed = np.r_[0, np.cumsum(taken)]
    at = at[claimed[at + length] == claimed[at]]
    free: list[int] = []
    end = -1
    for place in at.tolist():
        if place >= end:
            free.append(place)
            end = place + length
    return np.array(free, dtype=np.int64)


def _periodic(symbols: tuple[Any, ...]) -> bool:
    """Tell whether the pattern only says a shorter one twice or more."""
    return any(symbols[period:] == symbols[:-period] for period in range(1, len(symbols) // 2 + 1))
