"""Outcomes fed back to the process: what a playbook changed in the cases that it touched, and what became slow since.

A case is touched where an incident is about the entity that is the case: the incident's key is the case's id. Compared
are cases with the same kind of exception: those whose incident was opened before the version first mended anything,
and those that the version mended. Nobody drew lots for it, so that every difference may also come from the season or
the mix of cases; ``LABEL`` says so wherever it is shown. Where a hold-out ran, ``insights.kpis.holdouts`` knows better.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Min, QuerySet

from audit.access import Person
from audit.clock import db_now
from incidents.models import Incident
from incidents.states import Status
from insights.engines import Answer, Value
from insights.kpis import cells, intervals
from insights.kpis.intervals import FEWEST, Difference, Moments
from insights.kpis.models import Finding
from insights.kpis.periods import Period
from insights.mining.asking import of_tables
from insights.models import EventLog
from insights.states import LogState
from playbooks.models import Execution, PlaybookVersion
from playbooks.states import ExecutionState

LABEL = (
    "Before and after, without a hold-out: weaker than a trial, because the season or the mix of cases may have "
    "changed as well."
)
MOST = 20_000  # of the latest incidents on either side
_CHUNK = 1_000
# A way between two steps must have become at least this much slower, on the geometric mean.
SLOWER = 1.5
_MOST_FINDINGS = 5


@dataclass(frozen=True)
class Touched:
    """One case as the log tells it: seconds from first to last event, and how many events repeat an activity."""

    case_id: str
    variant: int
    seconds: float
    repeats: int


@dataclass(frozen=True)
class Feedback:
    """What one playbook version changed in one process. Leakage is seconds over ``target``, the median before."""

    version: PlaybookVersion
    begun: datetime
    target: float | None
    throughput: Difference
    rework: Difference
    leakage: Difference
    label: str = LABEL

    @property
    def enough(self) -> bool:
        """Whether there are cases enough on both sides to say anything."""
        return self.throughput.verdict != "too_thin"


@dataclass(frozen=True)
class Slower:
    """A way between two steps that has become slow: its count and mean seconds before and after, and the difference."""

    source: str
    target: str
    n_before: int
    n_after: int
    before: float
    after: float
    times: float


@dataclass(frozen=True)
class VariantCoverage:
    """How the incidents of one variant's cases were handled."""

    variant: int
    path: tuple[str, ...]
    cases: int
    counts: dict[str, int]


def versions_at_work(user: Person | None = None) -> list[tuple[PlaybookVersion, datetime]]:
    """Return the versions that have mended something ``user`` may see (``None``: anything), and since when."""
    runs = _mends()
    if user is not None:
        runs = runs.filter(incident__in=Incident.objects.visible_to(user).values("pk"))
    begun = runs.order_by().values_list("plan__playbook_version").annotate(Min("finished_at"))
    first: dict[int, datetime] = dict(begun)
    found = PlaybookVersion.objects.select_related("playbook").filter(pk__in=first)
    return [(one, first[one.pk]) for one in found.order_by("playbook__slug", "number")]


def comparisons(log: EventLog, user: Person) -> list["Feedback"]:
    """Return what each version that has mended a case of ``log`` changed in it, as far as ``user`` may see it."""
    compared = [compare(log, version, begun, user) for version, begun in versions_at_work(user)]
    return [one for one in compared if one.throughput.n_after]


def compare(log: EventLog, version: PlaybookVersion, begun: datetime, user: Person | None = None) -> Feedback:
    """Return what a version changed in the cases of ``log`` that it touched, with intervals."""
    incidents = Incident.objects.visible_to(user) if user is not None else Incident.objects.all()
    alike = incidents.filter(code=version.playbook.kind_code, merged_into=None)
    before = alike.filter(opened_at__lt=begun).exclude(status=Status.DISMISSED)
    mended = _mends().filter(plan__playbook_version=version).values("incident")
    after = alike.filter(opened_at__gte=begun, status=Status.RESOLVED, pk__in=mended)
    # Who was held out first has waited for it: that is no effect of the playbook.
    after = after.exclude(hold_out_draws__held_out=True)
    keys = [list(rows.order_by("-id").values_list("entity_key", flat=True)[:MOST]) for rows in (before, after)]
    # A case with an incident on both sides would be compared with itself.
    earlier, later = ({one.case_id: one for one in touched(log, part)} for part in keys)
    both = earlier.keys() & later.keys()
    sides = [[one for one in side.values() if one.case_id not in both] for side in (earlier, later)]
    ordered = sorted(one.seconds for one in sides[0])
    target = ordered[len(ordered) // 2] if ordered else None
    return Feedback(
        version=version,
        begun=begun,
        target=target,
        throughput=_compared([[one.seconds for one in side] for side in sides]),
        rework=_compared([[float(one.repeats) for one in side] for side in sides]),
        leakage=_compared([[max(0.0, one.seconds - (target or 0.0)) for one in side] for side in sides]),
    )


def touched(log: EventLog, keys: Sequence[str]) -> list[Touched]:
    """Return the cases of ``log`` with these ids."""
    found = []
    for part in _chunks(sorted(set(keys))):
        rows = _ask(
            log,
            "SELECT c.case_id, c.variant, c.seconds, count(*) - count(DISTINCT e.activity) AS repeats"  # noqa: S608 - only marks
            " FROM cases c JOIN events e ON e.case_no = c.case_no"
            f" WHERE c.case_id IN ({', '.join('?' * len(part))})"
            " GROUP BY c.case_id, c.variant, c.seconds ORDER BY c.case_id",
            part,
        )
        found += [Touched(str(row[0]), _whole(row[1]), _number(row[2]), _whole(row[3])) for row in rows]
    return found


def coverage_by_variant(log: EventLog, user: Person, period: Period, most: int = 20) -> list[VariantCoverage]:
    """Return how incidents were handled, by the variant of their case, the commonest first."""
    handled = cells.closed(user, period).exclude(mode="").order_by("-id")
    modes = dict(handled.values_list("entity_key", "mode")[:MOST])
    counts: dict[int, dict[str, int]] = {}
    for case in touched(log, list(modes)):
        by_mode = counts.setdefault(case.variant, {"autonomous": 0, "approved": 0, "manual": 0})
        by_mode[modes[case.case_id]] += 1
    first = sorted(counts, key=lambda variant: (-sum(counts[variant].values()), variant))[:most]
    paths = _paths(log, first)
    return [VariantCoverage(one, *paths[one], counts[one]) for one in first if one in paths]


def _paths(log: EventLog, variants: Sequence[int]) -> dict[int, tuple[tuple[str, ...], int]]:
    if not variants:
        return {}
    names = {_whole(row[0]): str(row[1]) for row in _ask(log, "SELECT activity, name FROM activities")}
    marks = ", ".join("?" * len(variants))
    rows = _ask(log, f"SELECT variant, path, cases FROM variants WHERE variant IN ({marks})", list(variants))  # noqa: S608
    return {_whole(row[0]): (tuple(names[_whole(one)] for one in _list(row[1])), _whole(row[2])) for row in rows}


# --- What became slow ----------------------------------------------------------------------------


def emergent(log: EventLog, since: datetime) -> list[Slower]:
    """Return the ways that have become a bottleneck since: slower by far and by more than chance, the costliest first.

    Seconds are compared on the logarithm, where a few endless cases do not decide; the level is shared out among
    all the ways that are looked at.
    """
    rows = _ask(
        log,
        "WITH passed AS (SELECT e.activity, e.next, e.at >= ? AS later, e.gap, ln(e.gap + 1) AS slow FROM events e"
        " WHERE e.next IS NOT NULL AND e.gap IS NOT NULL)"
        " SELECT s.name, t.name, p.later, count(*), sum(p.slow), sum(p.slow * p.slow), sum(p.gap) FROM passed p"
        " JOIN activities s ON s.activity = p.activity JOIN activities t ON t.activity = p.next"
        " GROUP BY s.name, t.name, p.later ORDER BY s.name, t.name, p.later",
        [_naive(since)],
    )
    sides: dict[tuple[str, str], dict[bool, tuple[Moments, float]]] = {}
    for source, target, later, n, total, squares, seconds in rows:
        found = (Moments(_whole(n), _number(total), _number(squares)), _number(seconds))
        sides.setdefault((str(source), str(target)), {})[bool(later)] = found
    known = {way: (side[False], side[True]) for way, side in sides.items() if len(side) == 2}
    slow = []
    for (source, target), ((before, spent), (after, spent_later)) in known.items():
        difference = intervals.of_means(before, after, alpha=intervals.CLAIM / len(known))
        times = _times(difference)
        if difference.verdict == "more" and times >= SLOWER:
            slow.append(Slower(source, target, before.n, after.n, spent / before.n, spent_later / after.n, times))
    return sorted(slow, key=lambda one: (-(one.after - one.before) * one.n_after, one.source, one.target))


def look_for_bottlenecks() -> int:
    """Hold every log against the first mends of every version that touched its cases; returns how many are new."""
    found = 0
    for log in EventLog.objects.filter(state=LogState.READY).order_by("pk"):
        for version, begun in versions_at_work():
            mended = _mends().filter(plan__playbook_version=version).order_by("-id")
            keys = mended.values_list("incident__entity_key", flat=True)[:MOST]
            if len(touched(log, list(keys))) < FEWEST:
                continue
            found += sum(_found(log, version, begun, one) for one in emergent(log, begun)[:_MOST_FINDINGS])
    return found


def _found(log: EventLog, version: PlaybookVersion, begun: datetime, slow: Slower) -> bool:
    _, fresh = Finding.objects.get_or_create(
        key=f"{log.pk}:{version.pk}:{slow.source}:{slow.target}"[:200],
        defaults={
            "kind": Finding.Kind.NEW_BOTTLENECK,
            "title": f"{slow.source} → {slow.target} has become a bottleneck"[:300],
            "text": (
                f"In “{log.name}” it takes {slow.times:.1f} times as long since {version} began to mend "
                f"({begun:%Y-%m-%d}): {slow.n_before:,} passages before, {slow.n_after:,} after. It may come from it, "
                "or from anything else that changed then."
            ),
            "data": {
                "log": log.pk, "source": slow.source, "target": slow.target, "times": round(slow.times, 2),
                "seconds_before": round(slow.before), "seconds_after": round(slow.after),
                "n_before": slow.n_before, "n_after": slow.n_after, "playbook": version.playbook.slug,
                "version": version.number,
            },
            "log": log,
            "business_unit": log.business_unit,
            "region": log.region,
            "found_at": db_now(),
        },
    )  # fmt: skip
    return fresh


# --- Asking --------------------------------------------------------------------------------------


def _mends() -> "QuerySet[Execution]":
    return Execution.objects.filter(direction=Execution.Direction.FORWARD, state=ExecutionState.VERIFIED)


def _compared(sides: Sequence[Sequence[float]]) -> Difference:
    return intervals.of_means(intervals.moments(sides[0]), intervals.moments(sides[1]))


def _times(found: Difference) -> float:
    return math.exp(found.value) if found.value is not None else 1.0


def _ask(log: EventLog, sql: str, parameters: Sequence[Value] = ()) -> Answer:
    return of_tables(log, sql, parameters)


def _chunks(keys: Sequence[str]) -> Iterator[list[Value]]:
    for start in range(0, len(keys), _CHUNK):
        yield list(keys[start : start + _CHUNK])


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _whole(value: Value) -> int:
    return int(value) if isinstance(value, int | float | str) else 0


def _number(value: Value) -> float:
    return float(value) if isinstance(value, int | float | str) else 0.0


def _list(value: Value) -> Iterable[int | str]:
    return value if isinstance(value, list) else []
