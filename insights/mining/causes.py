"""Root causes: which attributes of a case go with its being slow, reworked or off the model; a small tree, in words."""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from audit.shares import wilson
from insights.engines import Value
from insights.mining.asking import Scope, ask, number, seconds
from insights.mining.attributes import Attribute, held
from insights.mining.filters import EVERYTHING, Filter
from insights.mining.problems import problem
from insights.mining.references import Reference
from insights.mining.scoping import scope
from insights.mining.wording import percent, several
from insights.models import EventLog

MOST_CASES = 200_000
DEPTH = 3
# Of a text attribute only its most frequent values can be a cause: rare ones would explain single cases.
MOST_VALUES = 15
LEAST_SUPPORT = 10
# A tree looks at many branches, so each has to clear a stricter bar than one look would: 99.9 %.
Z_CAUSE = 3.29
# Below this a cause is of no use to anybody, however sure.
LEAST_LIFT = 1.1


@dataclass(frozen=True)
class Cause:
    """One branch of the tree: ``cases`` with these attributes, ``hits`` with the problem, ``lift`` over all cases.

    ``query`` is the filter that shows these cases; empty where no filter can say it exactly.
    """

    words: str
    cases: int
    hits: int
    rate: float
    lift: float
    query: str


@dataclass(frozen=True)
class Causes:
    """What goes with a problem, the highest lift first. It shows what coincides, not what brings it about.

    ``sampled``: every so many-th case was looked at (1: all).
    """

    target: str
    words: str
    cases: int
    hits: int
    rate: float
    causes: tuple[Cause, ...]
    min_support: int
    sampled: int
    note: str = ""


@dataclass(frozen=True)
class _Feature:
    """One column that the tree may split on: a value of a text, or a number by the rank of its value."""

    name: str
    kind: str  # is, filled, rank
    value: str = ""
    ranks: tuple[float, ...] = ()
    gaps: bool = False


@dataclass
class _Branch:
    """What a case on this branch is known to have."""

    has: dict[str, str] = field(default_factory=dict)
    lacks: list[tuple[str, str]] = field(default_factory=list)
    low: dict[str, int] = field(default_factory=dict)
    high: dict[str, int] = field(default_factory=dict)
    filled: dict[str, bool] = field(default_factory=dict)


def causes(
    log: EventLog,
    filter: Filter = EVERYTHING,
    *,
    target: str = "slow",
    slow_seconds: float | None = None,
    reference: Reference | None = None,
    min_support: int | None = None,
) -> Causes:
    """Return what goes with ``target`` (slow, rework, deviates) among the cases that ``filter`` leaves."""
    chosen = scope(log, filter)
    asked = problem(log, chosen, filter, target, slow_seconds=slow_seconds, reference=reference)
    told = held(log, "case", "text", "flag", "number")
    every, rows = _rows(log, chosen, told)
    hits = [asked.has(seconds(row[0]) or 0.0, number(row[1])) for row in rows]
    support = max(LEAST_SUPPORT, len(rows) // 100) if min_support is None else max(1, min_support)
    found = Causes(
        target=target,
        words=asked.words,
        cases=len(rows),
        hits=sum(hits),
        rate=sum(hits) / len(rows) if rows else 0.0,
        causes=(),
        min_support=support,
        sampled=every,
    )
    note = _too_thin(found, told)
    return replace(found, note=note) if note else replace(found, causes=_grown(told, rows, hits, found, filter))


def _too_thin(found: Causes, told: Sequence[Attribute]) -> str:
    if not told:
        return "The cases of this log have no attributes that could explain anything."
    if found.cases < 2 * found.min_support:
        return f"{several(found.cases, 'case')} are too few: a cause needs at least {found.min_support} on either side."
    if found.hits in (0, found.cases):
        return "No case has the problem." if not found.hits else "Every case has the problem; nothing sets any apart."
    return ""


def _rows(log: EventLog, chosen: Scope, told: Sequence[Attribute]) -> tuple[int, list[tuple[Value, ...]]]:
    cases = number(ask(log, chosen, "SELECT count(*) FROM chosen")[0][0])
    every = max(1, -(-cases // MOST_CASES))
    columns = "".join(f", c.{one.column}" for one in told)
    rows = ask(
        log,
        chosen,
        f"SELECT c.seconds, c.variant{columns} FROM chosen c WHERE c.case_no % {every} = 0 ORDER BY c.case_no",
    )
    return every, rows


def _grown(
    told: Sequence[Attribute], rows: list[tuple[Value, ...]], hits: list[bool], found: Causes, filter: Filter
) -> tuple[Cause, ...]:
    import numpy as np
    from sklearn.tree import DecisionTreeClassifier

    features, columns = _features(told, rows, found.min_support)
    if not features:
        return ()
    tree = DecisionTreeClassifier(max_depth=DEPTH, min_samples_leaf=found.min_support, random_state=0)
    tree.fit(np.column_stack(columns), np.asarray(hits))
    # The class that is the problem, by position: classes are sorted, so it is the last.
    inner = tree.tree_
    branches: list[Cause] = []

    def walk(node: int, conditions: list[tuple[int, float, bool]]) -> None:
        if inner.children_left[node] == inner.children_right[node]:
            cases = int(inner.n_node_samples[node])
            rate = float(inner.value[node][0][-1])
            branches.append(_cause(features, conditions, cases=cases, rate=rate, found=found, filter=filter))
            return
        at, cut = int(inner.feature[node]), float(inner.threshold[node])
        walk(int(inner.children_left[node]), [*conditions, (at, cut, False)])
        walk(int(inner.children_right[node]), [*conditions, (at, cut, True)])

    walk(0, [])
    found_out = [one for one in branches if one.words and _stands_out(one, found)]
    return tuple(sorted(found_out, key=lambda one: (-one.lift, -one.cases, one.words)))


def _stands_out(one: Cause, found: Causes) -> bool:
    """Tell whether chance and a trifle are both ruled out: the cautious end of its share lies above that of all."""
    return one.lift >= LEAST_LIFT and wilson(one.hits, one.cases, Z_CAUSE)[0] > found.rate


def _features(
    told: Sequence[Attribute], rows: list[tuple[Value, ...]], support: int
) -> tuple[list[_Feature], list[list[float]]]:
    features: list[_Feature] = []
    columns: list[list[float]] = []
    for place, one in enumerate(told, 2):
        values = [row[place] for row in rows]
        made = _ranked(one.name, values) if one.type == "number" else _listed(one.name, values, support)
        for feature, column_values in made:
            features.append(feature)
            columns.append(column_values)
    return features, columns


def _listed(name: str, values: list[Value], support: int) -> list[tuple[_Feature, list[float]]]:
    told = [str(value).lower() if isinstance(value, bool) else "" if value is None else str(value) for value in values]
    counts = Counter(told)
    often = sorted((value for value in counts if counts[value] >= support), key=lambda value: (-counts[value], value))
    if len(counts) < 2:
        return []
    return [(_Feature(name, "is", value), [float(one == value) for one in told]) for value in often[:MOST_VALUES]]


def _ranked(name: str, values: list[Value]) -> list[tuple[_Feature, list[float]]]:
    numbers = [seconds(value) for value in values]
    ranks = tuple(sorted({value for value in numbers if value is not None}))
    rank = {value: float(index) for index, value in enumerate(ranks)}
    gaps = None in numbers
    made = []
    if len(ranks) > 1:
        column_values = [-1.0 if value is None else rank[value] for value in numbers]
        made.append((_Feature(name, "rank", ranks=ranks, gaps=gaps), column_values))
    if gaps and ranks:
        made.append((_Feature(name, "filled"), [float(value is not None) for value in numbers]))
    return made


def _cause(
    features: list[_Feature],
    conditions: list[tuple[int, float, bool]],
    *,
    cases: int,
    rate: float,
    found: Causes,
    filter: Filter,
) -> Cause:
    branch = _Branch()
    for at, cut, above in conditions:
        _note(branch, features[at], cut, above)
    ranks = {one.name: one for one in features if one.kind == "rank"}
    lift = rate / found.rate if found.rate else 0.0
    hits = round(rate * cases)
    words = _words(branch, ranks)
    return Cause(
        words=words
        and f"{words}: {hits:,} of {several(cases, 'case')} ({percent(rate)}), {lift:.1f} × the share of all.",
        cases=cases,
        hits=hits,
        rate=rate,
        lift=lift,
        query=_query(branch, ranks, filter),
    )


def _note(branch: _Branch, feature: _Feature, cut: float, above: bool) -> None:
    if feature.kind == "is" and above:
        branch.has[feature.name] = feature.value
    elif feature.kind == "is":
        branch.lacks.append((feature.name, feature.value))
    elif feature.kind == "filled":
        branch.filled[feature.name] = above
    elif above:
        # Ranks are whole numbers: above the cut means from the next rank on.
        branch.low[feature.name] = max(branch.low.get(feature.name, 0), int(cut // 1) + 1)
    else:
        branch.high[feature.name] = min(branch.high.get(feature.name, len(feature.ranks)), int(cut // 1))


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.6g}"


def _words(branch: _Branch, ranks: dict[str, _Feature]) -> str:
    told = [f"{name} is {value or 'not filled in'}" for name, value in branch.has.items()]
    told += [f"{name} is not {value or 'empty'}" for name, value in branch.lacks if name not in branch.has]
    for name, filled in branch.filled.items():
        if name not in branch.low and (not filled or name not in branch.high):
            told.append(f"{name} is {'' if filled else 'not '}filled in")
    for name, rank in branch.low.items():
        least = _amount(ranks[name].ranks[rank])
        if name in branch.high:
            told.append(f"{name} is from {least} to {_amount(ranks[name].ranks[branch.high[name]])}")
        else:
            told.append(f"{name} is at least {least}")
    for name, rank in branch.high.items():
        if name in branch.low:
            continue
        if rank < 0:
            told += [] if branch.filled.get(name) is False else [f"{name} is not filled in"]
        elif branch.filled.get(name) is not False:
            told.append(f"{name} is at most {_amount(ranks[name].ranks[rank])}{_or_empty(branch, ranks, name)}")
    return " and ".join(told)


def _or_empty(branch: _Branch, ranks: dict[str, _Feature], name: str) -> str:
    return " or not filled in" if _vague(branch, ranks, name) else ""


def _vague(branch: _Branch, ranks: dict[str, _Feature], name: str) -> bool:
    """Tell whether "at most" leaves in the cases in which the number is missing, which no filter can say."""
    return ranks[name].gaps and name not in branch.low and branch.filled.get(name) is not True


def _query(branch: _Branch, ranks: dict[str, _Feature], filter: Filter) -> str:
    empty = {name for name, rank in branch.high.items() if rank < 0}
    empty |= {name for name, filled in branch.filled.items() if not filled}
    if any(_vague(branch, ranks, name) for name in set(branch.high) - empty):
        return ""
    lacks = [(name, (value,)) for name, value in branch.lacks if name not in branch.has]
    lacks += [(name, ("",)) for name, filled in branch.filled.items() if filled]
    return filter.also(
        attributes=(*((name, (value,)) for name, value in branch.has.items()), *((name, ("",)) for name in empty)),
        not_attributes=tuple(lacks),
        minima=tuple((name, ranks[name].ranks[rank]) for name, rank in branch.low.items()),
        maxima=tuple((name, ranks[name].ranks[rank]) for name, rank in branch.high.items() if name not in empty),
    ).query()
