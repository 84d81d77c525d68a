"""Rehearse: what a version would have raised in the past, from what was known then. Nothing here can raise anything."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from audit.shares import wilson
from incidents.models import Incident
from incidents.states import Status
from insights.detectors.definitions import AnomalyRule, Definition
from insights.detectors.findings import Finding, Looked
from insights.detectors.looking import World, look
from insights.detectors.raising import entity_of, names_somebody, sort
from insights.detectors.reading import known_until

DAYS = 90
EXAMPLES = 12
BLOCKS = 13


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval: ``hits`` of ``n``. Without any there is none."""

    hits: int
    n: int

    @property
    def value(self) -> float | None:
        """The share itself."""
        return self.hits / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval, which is right for few and for none."""
        return wilson(self.hits, self.n) if self.n else None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON."""
        low, high = self.interval or (None, None)
        return {"hits": self.hits, "n": self.n, "value": self.value, "low": low, "high": high}


@dataclass(frozen=True)
class Result:
    """What a rehearsal showed; see ``plain`` for its form as JSON."""

    since: datetime
    until: datetime
    found: int
    raised: int
    cooled: int
    held: int
    nameless: int
    judged: int
    per_week: float
    weeks: tuple[tuple[str, int], ...]
    examples: tuple[dict[str, Any], ...]
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    labels: Share = field(default_factory=lambda: Share(0, 0))
    alarms: Share | None = None
    blocks: Share | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "cooled": self.cooled, "held": self.held, "nameless": self.nameless, "judged": self.judged,
            "weeks": [list(week) for week in self.weeks], "examples": list(self.examples),
            "doubts": list(self.doubts), "notes": list(self.notes), "precision": self.labels.plain(),
            "false_alarms": self.alarms.plain() if self.alarms else None,
            "false_alarm_blocks": self.blocks.plain() if self.blocks else None,
        }  # fmt: skip


def rehearse(definition: Definition, world: World, *, visible: QuerySet[Incident], days: int = DAYS) -> Result:
    """Return what ``definition`` would have raised in the ``days`` before the end of what is known.

    ``visible``: the incidents that may be counted as labels. Raises ``Refusal`` where the log or connection cannot be
    asked.
    """
    until = known_until(world.log, world.now) if definition.of_log and world.log is not None else world.now
    since = until - timedelta(days=days)
    looked = look(definition, world, since, replay=True)
    named = [one for one in looked.findings if names_somebody(definition, one)]
    done = sort(definition, named, {})
    wanted = sorted((*done.raised, *done.held), key=lambda one: (one.at, one.key))
    weeks = _weekly(wanted, since, until)
    labels = _labels(definition, wanted, visible)
    rates = _false_alarms(definition, looked)
    return Result(
        since=since, until=until, found=len(looked.findings), raised=len(wanted), cooled=len(done.cooled),
        held=len(done.held), nameless=len(looked.findings) - len(named), judged=looked.judged,
        per_week=round(len(wanted) * 7 / days, 2), weeks=weeks, doubts=looked.doubts,
        notes=(*looked.notes, *_unknowable(definition)),
        examples=tuple(_example(definition, one, labels) for one in reversed(wanted[-EXAMPLES:])),
        labels=Share(sum(labels.values()), len(labels)), alarms=rates[0], blocks=rates[1],
    )  # fmt: skip


def _unknowable(definition: Definition) -> tuple[str, ...]:
    """Say which part of the past a saved query cannot tell: it answers with what stands now."""
    saved = definition.saved
    if saved is None:
        return ()
    said = (
        "The rows are as they stand now. What a row said earlier, rows that were deleted and rows that no longer fit"
        " cannot be known here: in earnest it may have found more, or other ones."
    )
    if saved.time:
        return (f"{said} Each counts as known since its {saved.time}.",)
    return (f"{said} No column with a time is named, so every row counts as known now: the weeks say nothing.",)


def _weekly(wanted: Sequence[Finding], since: datetime, until: datetime) -> tuple[tuple[str, int], ...]:
    """Return how many each week would have brought, the first week first."""
    counted = Counter(int((one.at - since) / timedelta(weeks=1)) for one in wanted)
    weeks = math.ceil((until - since) / timedelta(weeks=1))
    return tuple(((since + timedelta(weeks=at)).date().isoformat(), counted[at]) for at in range(weeks))


def _labels(definition: Definition, found: Iterable[Finding], visible: QuerySet[Incident]) -> dict[str, bool]:
    """Return for each entity whose past incidents people or the loop settled whether the last was a real one."""
    entities = {entity_of(definition, one) for one in found}
    rows = visible.filter(
        entity_type=definition.opens.entity_type,
        entity_key__in=sorted(entities)[:1000],
        status__in=[Status.RESOLVED, Status.DISMISSED],
    )
    told = rows.order_by("closed_at", "pk").values_list("entity_key", "status")
    return {str(key): status == Status.RESOLVED for key, status in told}


def _false_alarms(definition: Definition, looked: Looked) -> tuple[Share | None, Share | None]:
    """Return the share of values that stood out, and of stretches of history in which any did.

    Neighbouring values depend on each other, so the interval that counts is that over whole stretches. Taking history
    for normal makes it an upper bound: an alarm that was real counts as false too.
    """
    if not isinstance(definition.rule, AnomalyRule) or not looked.judgements:
        return None, None
    values = [odd for _, odd in looked.judgements]
    size = max(1, math.ceil(len(values) / BLOCKS))
    stretches = [any(values[at : at + size]) for at in range(0, len(values), size)]
    return Share(sum(values), len(values)), Share(sum(stretches), len(stretches))


def _example(definition: Definition, one: Finding, labels: dict[str, bool]) -> dict[str, Any]:
    entity = entity_of(definition, one)
    label = {True: "resolved", False: "dismissed"}.get(labels[entity]) if entity in labels else ""
    return {
        "entity": entity,
        "at": one.at.strftime("%Y-%m-%d %H:%M"),
        "text": one.text,
        "score": round(one.score, 3),
        "label": label,
    }
