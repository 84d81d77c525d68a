"""Process mining in plain Python, from the words of each measure: loops and lists, no engine and no SQL."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.insights.factories import at

Couple = tuple[str, str]


@dataclass
class Step:
    """One event."""

    name: str
    at: datetime
    who: str | None = None
    started: datetime | None = None


@dataclass
class Run:
    """One case, its steps in order."""

    key: str
    unit: str
    amount: float | None
    steps: list[Step] = field(default_factory=list)

    @property
    def path(self) -> tuple[str, ...]:
        """Its activities."""
        return tuple(one.name for one in self.steps)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.steps[-1].at - self.steps[0].at).total_seconds()

    @property
    def gaps(self) -> list[tuple[str, str, float]]:
        """Each step and the next, with the seconds between."""
        return [(one.name, two.name, (two.at - one.at).total_seconds()) for one, two in pairwise(self.steps)]


def made_up(seed: int, cases: int = 70) -> list[Run]:
    """Cases at random: some of one step, some with steps at the same moment, some without person or amount."""
    dice = random.Random(seed)
    runs = []
    for number in range(cases):
        run = Run(f"case {number}", dice.choice(("EU", "US", "")), dice.choice((None, dice.randrange(9_999) / 100)))
        hour = dice.uniform(0, 2_000)
        for _ in range(dice.choice((1, 2, 3, 4, 4, 5, 6, 9))):
            name = dice.choices(("Order", "Check", "Pay", "Ship", "Call", "Ünbook"), (5, 5, 3, 3, 1, 1))[0]
            started = at(hour - dice.choice((0, 0.25, 3))) if dice.random() < 0.4 else None
            run.steps.append(Step(name, at(hour), dice.choice(("ann", "bob", "cy", "", None)), started))
            hour += dice.choice((0, 0.5, dice.expovariate(0.02)))
        runs.append(run)
    return runs


def rows(runs: Iterable[Run], seed: int) -> list[tuple[Any, ...]]:
    """The events of all cases as a log tells them: mixed, but each case in its order."""
    dice, left = random.Random(seed), [list(run.steps) for run in runs]
    told, named = [], list(runs)
    while any(left):
        index = dice.choice([number for number, steps in enumerate(left) if steps])
        step, run = left[index].pop(0), named[index]
        more = {"who": step.who, "started": step.started, "unit": run.unit, "amount": run.amount}
        told.append((run.key, step.name, step.at, more))
    return told


def quantile(values: Iterable[float], share: float) -> float | None:
    """The value below which so much lies, between neighbours in proportion; nothing of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def without(run: Run, shown: Sequence[str]) -> Run:
    """The case as if only these activities had happened."""
    return Run(run.key, run.unit, run.amount, [one for one in run.steps if one.name in shown])


def edges(runs: Iterable[Run]) -> dict[Couple, dict[str, float | None]]:
    """What directly follows what: how often, in how many cases, how often again, and how long after."""
    spans, cases, again = defaultdict[Couple, list[float]](list), defaultdict[Couple, set[str]](set), Counter[Couple]()
    for run in runs:
        done = set()
        for one, other, gap in run.gaps:
            done.add(one)
            spans[one, other].append(gap)
            cases[one, other].add(run.key)
            again[one, other] += other in done
    return {
        couple: {
            "count": len(found),
            "cases": len(cases[couple]),
            "repeated": again[couple],
            "median_seconds": quantile(found, 0.5),
            "p90_seconds": quantile(found, 0.9),
            "mean_seconds": sum(found) / len(found),
        }
        for couple, found in spans.items()
    }


def loops(runs: Iterable[Run]) -> dict[Couple, tuple[int, int]]:
    """Ways back: from a step to one that has now been done more often than it; how often, in how many cases."""
    times, cases = Counter[Couple](), defaultdict[Couple, set[str]](set)
    for run in runs:
        done = Counter[str]()
        for index, name in enumerate(run.path):
            done[name] += 1
            before = run.path[index - 1] if index else None
            if before is not None and done[name] > done[before] - (before == name):
                times[before, name] += 1
                cases[before, name].add(run.key)
    return {couple: (count, len(cases[couple])) for couple, count in times.items()}


def judged(path: Sequence[str], declared: Sequence[Sequence[str]]) -> tuple[float, Counter[tuple[str, ...]]]:
    """Fitness and ways of leaving what was declared: 1 − deviations ÷ checks."""
    known = {name for one in declared for name in one}
    needed = {name for name in known if all(name in one for one in declared)}
    inside = [name for name in path if name in known]
    wrong = Counter[tuple[str, ...]](("extra", name) for name in path if name not in known)
    checks = len(path) + len(needed)
    for couple in pairwise(inside):
        checks += 1
        if not any(couple in pairwise(one) for one in declared):
            wrong["move", *couple] += 1
    if inside:
        checks += 2
        if all(one[0] != inside[0] for one in declared):
            wrong["start", inside[0]] += 1
        if all(one[-1] != inside[-1] for one in declared):
            wrong["end", inside[-1]] += 1
    for name in needed.difference(path):
        wrong["missing", name] += 1
    return 1 - wrong.total() / checks, wrong


def by_one_person(runs: Iterable[Run], one: str, other: str) -> tuple[int, dict[str, str]]:
    """In how many cases it could be, and in which one person did both (or, of one activity, nobody else did it)."""
    possible, broken = 0, {}
    for run in runs:
        firsts = {step.who for step in run.steps if step.name == one and step.who}
        seconds = {step.who for step in run.steps if step.name == other and step.who}
        possible += bool(firsts and seconds)
        both = firsts if one == other and len(firsts) == 1 else firsts & seconds if one != other else set()
        if both:
            broken[run.key] = min(both)
    return possible, broken
