"""Which activities and paths a map shows: the most frequent, and what keeps every step on a way from start to end."""

from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush

Edge = tuple[str, str]


def most_frequent(counts: Mapping[str, int], most: int | None) -> list[str]:
    """Return the names of the ``most`` frequent activities (all for ``None``), most frequent first, ties by name."""
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    return ranked if most is None else ranked[:most]


def connected(
    edges: Mapping[Edge, int], starts: Iterable[str], ends: Iterable[str], nodes: Iterable[str], most: int | None
) -> set[Edge]:
    """Return the ``most`` frequent edges and as few others as keep every node reachable from a start and able to end.

    The others are the strongest that do it, found one after the other, so that the answer is the same every time.
    """
    ranked = sorted(edges, key=lambda edge: (-edges[edge], edge))
    if most is None or most >= len(ranked):
        return set(ranked)
    shown = set(ranked[:most])
    wanted = set(nodes)
    shown |= _reaching(edges, shown, set(starts), wanted, forward=True)
    shown |= _reaching(edges, shown, set(ends), wanted, forward=False)
    return shown


def _reaching(
    edges: Mapping[Edge, int], shown: set[Edge], roots: set[str], wanted: set[str], *, forward: bool
) -> set[Edge]:
    """Return the edges to add to ``shown`` so that ``roots`` reach all of ``wanted`` (or, backward, are reached)."""
    outward: dict[str, list[Edge]] = {}
    for edge in edges:
        outward.setdefault(edge[0] if forward else edge[1], []).append(edge)
    added: set[Edge] = set()
    seen: set[str] = set()
    # What is shown anyway costs nothing; after that the strongest edge first.
    waiting: list[tuple[int, int, Edge]] = []

    def visit(name: str) -> None:
        seen.add(name)
        for edge in outward.get(name, ()):
            heappush(waiting, (0 if edge in shown else 1, -edges[edge], edge))

    for root in sorted(roots & wanted):
        visit(root)
    while waiting and not wanted <= seen:
        _, _, edge = heappop(waiting)
        target = edge[1] if forward else edge[0]
        if target not in seen:
            if edge not in shown:
                added.add(edge)
            visit(target)
    return added


def shares(values: Sequence[float | None]) -> list[float]:
    """Return each value as its share of the largest, 0 where there is none: how strongly it is coloured."""
    largest = max((value for value in values if value is not None), default=0.0)
    return [0.0 if value is None or largest <= 0 else value / largest for value in values]
