"""Conformance: how far cases keep to a reference model, and where they leave it."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from audit.errors import Invalid
from insights.mining.asking import names
from insights.mining.filters import EVERYTHING, Filter
from insights.mining.models import ReferenceModel
from insights.mining.references import Reference, from_paths
from insights.mining.templating import of_template
from insights.mining.variants import every_path, variants
from insights.models import EventLog

USUAL_SHARE = 0.8
_USUAL_MOST = 200
_READ = TypeAdapter(Reference)


@dataclass(frozen=True)
class Deviation:
    """One way of leaving the model.

    ``kind``: ``start``, ``end``, ``move`` (from ``activity`` to ``target``), ``missing`` or ``extra``.
    """

    kind: str
    activity: str
    target: str = ""

    @property
    def words(self) -> str:
        """Say it in words."""
        return {
            "start": f"begins with {self.activity}",
            "end": f"ends with {self.activity}",
            "move": f"{self.activity} is followed by {self.target}",
            "missing": f"{self.activity} is missing",
            "extra": f"{self.activity} is not in the model",
        }[self.kind]


@dataclass(frozen=True)
class Counted:
    """A deviation with how often it happens and in how many cases."""

    deviation: Deviation
    words: str
    count: int
    cases: int


@dataclass(frozen=True)
class Checked:
    """One variant held against the model; ``fitness`` 1 is without deviation."""

    variant: int
    activities: tuple[str, ...]
    cases: int
    fitness: float
    deviations: tuple[Deviation, ...]


@dataclass(frozen=True)
class Conformance:
    """How far the cases keep to the model. ``fitness``: the mean of the cases'; ``variants``: all that deviate."""

    reference: str
    source: str
    cases: int
    fitting: int
    fitness: float | None
    deviations: tuple[Counted, ...]
    variants: tuple[Checked, ...]
    deviating_variants: int


def reference_for(log: EventLog, number: int | None = None) -> Reference:
    """Return the model that ``log`` is held against.

    That with this ``number``, else the newest given, else its template's, else what most of its cases do.
    Raises ``Invalid`` where the log has no such model.
    """
    rows = ReferenceModel.objects.filter(log=log)
    found = rows.filter(pk=number).first() if number is not None else rows.first()
    if found is not None:
        return _READ.validate_python(found.content)
    if number is not None:
        message = "This log has no reference model of that number."
        raise Invalid(message, {"model": [message]})
    return of_template(log) or usual(log)


def usual(log: EventLog) -> Reference:
    """Return what most cases do: the most frequent variants that together are four fifths of them."""
    found = variants(log, most=_USUAL_MOST)
    paths: list[Sequence[str]] = []
    share = 0.0
    for one in found.results:
        paths.append(one.activities)
        share += one.share
        if share >= USUAL_SHARE:
            break
    if not paths:
        return Reference("nothing yet", "usual", (), (), (), (), ())
    return from_paths(paths, name=f"what {share:.0%} of the cases do", source="usual")


def check(path: Sequence[str], reference: Reference) -> tuple[float, tuple[Deviation, ...]]:
    """Return fitness and deviations of one path.

    Fitness = 1 - deviations / checks; checked are each event (is it in the model), each move between events that are,
    the start, the end, and each activity that must not be left out. An extra event does not break the move around it.
    """
    return _Check(reference).of(path)


class _Check:
    """A model made ready to check many paths."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.known, self.follows = frozenset(reference.activities), frozenset(reference.follows)
        self.starts, self.ends = frozenset(reference.starts), frozenset(reference.ends)

    def of(self, path: Sequence[str]) -> tuple[float, tuple[Deviation, ...]]:
        inside = [one for one in path if one in self.known]
        found = [Deviation("extra", one) for one in path if one not in self.known]
        if inside and inside[0] not in self.starts:
            found.append(Deviation("start", inside[0]))
        moves = list(itertools.pairwise(inside))
        found += [Deviation("move", one, other) for one, other in moves if (one, other) not in self.follows]
        if inside and inside[-1] not in self.ends:
            found.append(Deviation("end", inside[-1]))
        done = set(inside)
        found += [Deviation("missing", one) for one in self.reference.required if one not in done]
        checks = len(path) + len(moves) + (2 if inside else 0) + len(self.reference.required)
        return (1 - len(found) / checks if checks else 1.0), tuple(found)


def conformance(
    log: EventLog, filter: Filter = EVERYTHING, *, reference: Reference | None = None, most: int = 100
) -> Conformance:
    """Hold the cases that ``filter`` leaves against ``reference``; of the deviating variants list ``most``."""
    model = reference or reference_for(log)
    ready = _Check(model)
    times, within = Counter[Deviation](), Counter[Deviation]()
    checked: list[Checked] = []
    cases = fitting = 0
    fitness = 0.0
    for number, count, path in every_path(log, filter, names(log)):
        fit, found = ready.of(path)
        cases += count
        fitness += fit * count
        if not found:
            fitting += count
            continue
        for one, often in Counter(found).items():
            times[one] += often * count
            within[one] += count
        checked.append(Checked(number, path, count, fit, found))
    checked.sort(key=lambda one: (-one.cases, one.variant))
    counted = [Counted(one, one.words, times[one], within[one]) for one in times]
    counted.sort(key=lambda one: (-one.cases, -one.count, one.words))
    return Conformance(
        reference=model.name,
        source=model.source,
        cases=cases,
        fitting=fitting,
        fitness=fitness / cases if cases else None,
        deviations=tuple(counted),
        variants=tuple(checked[:most]),
        deviating_variants=len(checked),
    )


def deviating(log: EventLog, filter: Filter, reference: Reference) -> set[int]:
    """Return the numbers of the variants that leave the model."""
    ready = _Check(reference)
    return {number for number, _, path in every_path(log, filter, names(log)) if ready.of(path)[1]}
