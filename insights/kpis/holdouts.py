"""Held out against handled: what a playbook brings, from lots that were drawn at the same time for the same sort.

Everybody counts as drawn (intention to treat): who was taken out of the comparison group is held out still, and what
the playbook was given and could not mend is handled. Of each business record the first incident of a trial counts;
later ones of the same record are no further evidence, they are what *came back*. Incidents that are still open count
with the time that they have been open, in both groups, so that nobody is left out for being slow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, QuerySet

from audit.access import Person, may_look
from audit.clock import db_now
from incidents.models import Incident
from insights.kpis import intervals
from insights.kpis.feedback import touched
from insights.kpis.intervals import FEWEST, Difference
from insights.models import EventLog
from playbooks.holdout_models import HoldOut, HoldOutDraw
from playbooks.models import Execution, PlaybookVersion
from playbooks.states import ExecutionState

LABEL = (
    "Held out by lot: the stronger evidence. Both groups were drawn at the same time from what the playbook could mend "
    "alone, so that season and mix of cases weigh on both alike. Everybody counts as drawn, also who left the group."
)
MOST = 20_000  # lots of a trial, the first of them
SPAN = timedelta(days=30)  # nothing is looked at for longer after an incident was opened
_DAY = 86_400.0


class Drawn(NamedTuple):
    """One business record of a trial, by its first incident: its lot, and what became of it."""

    held_out: bool
    left: bool
    entity_key: str
    seconds: float  # from opened to closed, or open so far; at most ``SPAN``
    still_open: bool
    came_back: bool
    exposed: float | None  # revenue at risk × days open
    currency: str


@dataclass(frozen=True)
class Contrast:
    """One measure of both groups; ``found`` is handled minus held out, so that ``before`` is the held-out group."""

    name: str  # time_open, came_back, exposure, throughput, rework, leakage
    unit: str  # time, share, money_days, count
    found: Difference
    currency: str = ""

    @property
    def more_needed(self) -> tuple[int, int]:
        """How many more records each group needs before anything is said: held out, handled."""
        return max(0, FEWEST - self.found.n_before), max(0, FEWEST - self.found.n_after)


@dataclass(frozen=True)
class Trial:
    """What one hold-out says of one playbook version, as far as the reader sees its incidents."""

    hold_out: HoldOut
    version: PlaybookVersion
    held_out: int
    handled: int
    left: int  # of the held out: taken out of the group by somebody
    still_open: int
    contrasts: tuple[Contrast, ...]

    @property
    def over(self) -> bool:
        """Whether it draws nobody any more."""
        return self.hold_out.ended_at is not None


def trials(user: Person) -> list[Trial]:
    """Return every hold-out that has drawn an incident which ``user`` may see, the newest first."""
    return [_trial(hold_out, version, rows) for hold_out, version, rows in _groups(user)]


def by_log(log: EventLog, user: Person) -> list[Trial]:
    """Return the same hold-outs, told by the cases of ``log`` that their incidents are about; without any: none."""
    found = []
    for hold_out, version, rows in _groups(user):
        cases = {case.case_id: case for case in touched(log, [row.entity_key for row in rows])}
        kept = [row for row in rows if row.entity_key in cases]
        if kept:
            sides = [[cases[row.entity_key] for row in kept if row.held_out is out] for out in (True, False)]
            # The target is the comparison group's own median: what people keep to.
            ordered = sorted(one.seconds for one in sides[0])
            target = ordered[len(ordered) // 2] if ordered else 0.0
            told: list[tuple[str, str, Callable[[Any], float]]] = [
                ("throughput", "time", lambda one: one.seconds),
                ("rework", "count", lambda one: float(one.repeats)),
                ("leakage", "time", lambda one, most=target: max(0.0, one.seconds - most)),  # type: ignore[misc]
            ]
            contrasts = [Contrast(name, unit, _means(*([get(one) for one in side] for side in sides)))
                         for name, unit, get in told]  # fmt: skip
            found.append(_told(hold_out, version, kept, contrasts))
    return found


def _groups(user: Person) -> list[tuple[HoldOut, PlaybookVersion, list[Drawn]]]:
    if not may_look(user, "plans"):
        return []
    visible = HoldOutDraw.objects.filter(Exists(Incident.objects.visible_to(user).filter(pk=OuterRef("incident"))))
    found = []
    for hold_out in HoldOut.objects.filter(pk__in=visible.values("hold_out")).select_related("playbook"):
        by_version = _records(visible.filter(hold_out=hold_out), user)
        versions = PlaybookVersion.objects.select_related("playbook").filter(pk__in=by_version)
        found += [(hold_out, version, by_version[version.pk]) for version in versions.order_by("number")]
    return found


def _records(draws: "QuerySet[HoldOutDraw]", user: Person) -> dict[int, list[Drawn]]:
    """Return the first lot of each record with what became of its incident, by playbook version."""
    again = Incident.objects.visible_to(user).filter(
        code=OuterRef("incident__code"),
        entity_type=OuterRef("incident__entity_type"),
        entity_key=OuterRef("incident__entity_key"),
        business_unit=OuterRef("incident__business_unit"),
        pk__gt=OuterRef("incident"),
        merged_into=None,
    )
    undone = Execution.objects.filter(
        incident=OuterRef("incident"), direction=Execution.Direction.BACKWARD, state=ExecutionState.VERIFIED
    )
    rows = draws.annotate(again=Exists(again), undone=Exists(undone)).order_by("pk")
    names = ("playbook_version", "record", "held_out", "left_at", "again", "undone", *_OF_INCIDENT)
    now, seen, found = db_now(), set(), dict[int, list[Drawn]]()
    for row in rows.values(*names)[:MOST]:
        about = (row["record"], row["incident__business_unit"])
        if about not in seen:
            seen.add(about)
            found.setdefault(row["playbook_version"], []).append(_drawn(row, now))
    return found


_OF_INCIDENT = tuple(
    f"incident__{name}"
    for name in (
        *("business_unit", "entity_key", "opened_at", "closed_at", "revenue_at_risk", "currency"),
        *("merged_into", "merged_into__closed_at"),
    )
)


def _drawn(row: dict[str, Any], now: datetime) -> Drawn:
    opened = row["incident__opened_at"]
    # What was folded into another incident is over when that one is.
    folded = row["incident__merged_into"] is not None
    closed = row["incident__merged_into__closed_at"] if folded else row["incident__closed_at"]
    seconds = min(max((closed or now) - opened, timedelta(0)), SPAN).total_seconds()
    worth = row["incident__revenue_at_risk"]
    return Drawn(
        held_out=row["held_out"],
        left=row["left_at"] is not None,
        entity_key=row["incident__entity_key"],
        seconds=seconds,
        still_open=closed is None,
        came_back=row["again"] or row["undone"],
        exposed=None if worth is None else float(worth) * seconds / _DAY,
        currency=row["incident__currency"],
    )


def _trial(hold_out: HoldOut, version: PlaybookVersion, rows: list[Drawn]) -> Trial:
    sides = [[row for row in rows if row.held_out is out] for out in (True, False)]
    back = [(sum(row.came_back for row in side), len(side)) for side in sides]
    contrasts = [
        Contrast("time_open", "time", _means(*([row.seconds for row in side] for side in sides))),
        Contrast("came_back", "share", intervals.of_shares(back[0], back[1])),
    ]
    # Amounts of two currencies are never added: each is a measure of its own.
    for currency in sorted({row.currency for row in rows if row.exposed is not None}):
        exposed = ([row.exposed for row in side if row.exposed is not None and row.currency == currency]
                   for side in sides)  # fmt: skip
        contrasts.append(Contrast("exposure", "money_days", _means(*exposed), currency))
    return _told(hold_out, version, rows, contrasts)


def _told(hold_out: HoldOut, version: PlaybookVersion, rows: Sequence[Drawn], contrasts: Sequence[Contrast]) -> Trial:
    out = [row for row in rows if row.held_out]
    return Trial(
        hold_out=hold_out,
        version=version,
        held_out=len(out),
        handled=len(rows) - len(out),
        left=sum(row.left for row in out),
        still_open=sum(row.still_open for row in rows),
        contrasts=tuple(contrasts),
    )


def _means(held_out: Sequence[float], handled: Sequence[float]) -> Difference:
    return intervals.of_means(intervals.moments(held_out), intervals.moments(handled))
