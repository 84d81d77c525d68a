"""What a process should be: which activity may follow which, where it may begin and end, what must not be left out."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from audit.errors import Invalid

MOST_PATHS = 2000
MOST_STEPS = 500


@dataclass(frozen=True)
class Reference:
    """A reference model, reduced to what a case is checked against.

    ``source`` says where it comes from: ``bpmn``, ``paths``, ``template`` or ``usual`` (the paths of most cases, where
    nobody has given one). ``duties``: pairs of activities that one person must not both do in a case.
    """

    name: str
    source: str
    activities: tuple[str, ...]
    starts: tuple[str, ...]
    ends: tuple[str, ...]
    follows: tuple[tuple[str, str], ...]
    required: tuple[str, ...]
    duties: tuple[tuple[str, str], ...] = ()


def from_paths(
    paths: Sequence[Sequence[str]], *, name: str, source: str = "paths", duties: Iterable[Sequence[str]] = ()
) -> Reference:
    """Return the model that declared paths make together. Raises ``Invalid`` for paths that say nothing."""
    told = [tuple(path) for path in paths if path]
    if not told:
        raise Invalid("No path is declared.", {"paths": ["At least one path with at least one activity is needed."]})
    if len(told) > MOST_PATHS or max(map(len, told)) > MOST_STEPS:
        message = f"At most {MOST_PATHS} paths of {MOST_STEPS} steps."
        raise Invalid(message, {"paths": [message]})
    known = {one for path in told for one in path}
    return Reference(
        name=name,
        source=source,
        activities=tuple(sorted(known)),
        starts=tuple(sorted({path[0] for path in told})),
        ends=tuple(sorted({path[-1] for path in told})),
        follows=tuple(sorted({couple for path in told for couple in itertools.pairwise(path)})),
        required=tuple(sorted(known.intersection(*map(set, told)))),
        duties=check_duties(duties),
    )


def check_duties(duties: Iterable[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    """Return pairs of activities in one order, each once. Raises ``Invalid`` for what is no pair of names."""
    found = set()
    for duty in duties:
        if isinstance(duty, str) or len(duty) != 2 or not all(duty):
            raise Invalid("A duty is a pair of activities.", {"duties": ["Each is a pair of names of activities."]})
        found.add((min(duty), max(duty)))
    return tuple(sorted(found))
