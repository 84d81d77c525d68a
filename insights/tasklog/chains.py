"""Finds values that are carried from one window to another: copied and pasted, or typed again."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from insights.tasklog.entry import Symbol

Ints = npt.NDArray[np.int64]
PASTED_WITHIN = 600.0
TYPED_WITHIN = 1800.0
_COPY = ("copy", "cut", "ctrl+c", "ctrl+x")
_PASTE = ("paste", "ctrl+v")
_TYPE = ("input", "type", "edit", "change", "enter", "key", "fill", "write", "set")


@dataclass
class Chain:
    """Values that go from one place to another: which steps, and the seconds between each two."""

    source: Symbol
    target: Symbol
    at: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass
class Chains:
    """What was carried, by pasting and by typing."""

    pasted: list[Chain]
    typed: list[Chain]


def chains(
    what: Ints, session: Ints, seconds_at: npt.NDArray[np.float64], marks: Ints, names: Sequence[Symbol]
) -> Chains:
    """Return what was carried from window to window, in the order in which it was first seen."""
    acts = np.array([_act(symbol[2]) for symbol in names], dtype=np.int64)
    carried = _Carried(names)
    # Only steps that copy, paste, type or show a value matter; the rest are passed over without a look.
    for at in np.flatnonzero((acts[what] > 0) | (marks != 0)).tolist():
        step = int(what[at])
        carried.see(at, step, float(seconds_at[at]), session=int(session[at]), mark=int(marks[at]), act=int(acts[step]))
    return Chains(list(carried.pasted.values()), list(carried.typed.values()))


def _act(action: str) -> int:
    """Return 1 for a copy, 2 for a paste, 3 for typing, 0 for the rest."""
    for number, words in ((2, _PASTE), (1, _COPY), (3, _TYPE)):
        if any(word in action for word in words):
            return number
    return 0


@dataclass
class _Carried:
    """What the present session has copied and shown so far."""

    names: Sequence[Symbol]
    pasted: dict[tuple[Symbol, Symbol], Chain] = field(default_factory=dict)
    typed: dict[tuple[Symbol, Symbol], Chain] = field(default_factory=dict)
    session: int = -1
    copies: dict[int, tuple[int, float]] = field(default_factory=dict)
    last: tuple[int, float, int] | None = None
    shown: dict[int, dict[str, tuple[int, float]]] = field(default_factory=lambda: defaultdict(dict))

    def see(self, at: int, what: int, when: float, *, session: int, mark: int, act: int) -> None:
        if session != self.session:
            self.session, self.last = session, None
            self.copies.clear()
            self.shown.clear()
        if act == 1:
            self.last = (what, when, mark)
            if mark:
                self.copies[mark] = (what, when)
        elif act == 2:
            self._paste(at, what, when, mark)
        elif act == 3 and mark:
            self._type(at, what, when, mark)
        if mark:
            self.shown[mark][self.names[what][0]] = (what, when)

    def _paste(self, at: int, what: int, when: float, mark: int) -> None:
        found = self.copies.get(mark) if mark else None
        if found is None and self.last is not None and not (mark and self.last[2]):
            found = self.last[:2]
        if found is not None and when - found[1] <= PASTED_WITHIN:
            self._note(self.pasted, found, what, at, when)

    def _type(self, at: int, what: int, when: float, mark: int) -> None:
        here = self.names[what][0]
        others = [place for name, place in self.shown.get(mark, {}).items() if name != here]
        if not others:
            return
        found = max(others, key=lambda place: (place[1], place[0]))
        if when - found[1] <= TYPED_WITHIN:
            self._note(self.typed, found, what, at, when)

    def _note(
        self, kept: dict[tuple[Symbol, Symbol], Chain], found: tuple[int, float], what: int, at: int, when: float
    ) -> None:
        source, target = self.names[found[0]], self.names[what]
        chain = kept.setdefault((source, target), Chain(source, target))
        chain.at.append(at)
        chain.seconds.append(when - found[1])
