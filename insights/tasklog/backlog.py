"""What to automate first: where time is lost in a process (process mining) × how the work is done (task mining).

score = value × feasibility. Value is the money that the repeats cost in a month, raised by the share of the activity
that is rework. Feasibility is the geometric mean of four shares, each shown with its reason: one of them near nothing
makes the whole near nothing, which is what it means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from insights.mining.answers import kept
from insights.mining.asking import NotReady
from insights.mining.process_map import ProcessMap, process_map
from insights.models import EventLog
from insights.tasklog.access import task_logs
from insights.tasklog.models import ActivityLink, Routine
from insights.tasklog.states import TaskLogState

MOST_ROUTINES = 500
_MONTH = 30 * 86_400.0
_LEAST_SPAN = 7 * 86_400.0
_UNKNOWN_SYSTEM = 0.5


@dataclass(frozen=True)
class Factor:
    """One reason for a score: a share from 0 to 1, and what it rests on."""

    name: str
    share: float
    because: str


@dataclass(frozen=True)
class Where:
    """The activity of a process that a routine belongs to, by somebody's word, and how that activity does."""

    log: EventLog
    activity: str
    count: int = 0
    extra: int = 0
    waiting_seconds: float | None = None
    declared_by: str = ""

    @property
    def rework(self) -> float:
        """Return the share of the activity that is done again within its case."""
        return self.extra / self.count if self.count else 0.0


@dataclass(frozen=True)
class Item:
    """One line of the backlog. ``value``: money a month, at the hourly rate of the settings."""

    routine: Routine
    hours: float
    value: float
    feasibility: float
    factors: tuple[Factor, ...]
    where: Where | None

    @property
    def score(self) -> float:
        """Return what the list is ordered by."""
        return self.value * self.feasibility


def backlog(user: Any, *, log_id: int | None = None) -> list[Item]:
    """Return what ``user`` may see of the backlog, what is worth most first; ties by log and number."""
    logs = task_logs(user).filter(state=TaskLogState.READY)
    if log_id is not None:
        logs = logs.filter(pk=log_id)
    rows = list(_routines(logs)[:MOST_ROUTINES])
    places = _places(user, {row.log_id for row in rows})
    items = [_item(row, places.get(row.log_id, ())) for row in rows]
    return sorted(items, key=lambda item: (-item.score, item.routine.log_id, item.routine.number))


def _routines(logs: "QuerySet[Any]") -> "QuerySet[Routine]":
    rows = Routine.objects.filter(log__in=logs).select_related("log", "playbook")
    return rows.order_by("-total_seconds", "log_id", "number")


def _places(user: Any, log_ids: set[int]) -> dict[int, list[tuple[ActivityLink, Where]]]:
    """Return what has been declared of each task log, over event logs that ``user`` may see."""
    seen = {log.pk: log for log in EventLog.objects.visible_to(user).filter(activitylinks__task_log__in=log_ids)}
    maps = {pk: _map(log) for pk, log in seen.items()}
    found: dict[int, list[tuple[ActivityLink, Where]]] = {}
    for link in ActivityLink.objects.filter(task_log__in=log_ids, event_log__in=seen).order_by("pk"):
        place = _where(link, seen[link.event_log_id], maps[link.event_log_id])
        found.setdefault(link.task_log_id, []).append((link, place))
    return found


def _map(log: EventLog) -> ProcessMap | None:
    try:
        return kept(process_map, log)
    except NotReady:
        return None


def _where(link: ActivityLink, log: EventLog, drawn: ProcessMap | None) -> Where:
    one = next((one for one in drawn.activities if one.name == link.activity), None) if drawn else None
    if one is None:
        return Where(log, link.activity, declared_by=link.declared_by)
    return Where(log, link.activity, one.count, one.extra, one.median_seconds, link.declared_by)


def _item(row: Routine, places: Sequence[tuple[ActivityLink, Where]]) -> Item:
    first, last = row.log.first_at, row.log.last_at
    span = max((last - first).total_seconds() if first and last else 0.0, _LEAST_SPAN)
    hours = row.total_seconds / 3600 * _MONTH / span
    place = _place(row.steps, places)
    value = hours * settings.REWORK_HOURLY_RATE * (1 + (place.rework if place else 0.0))
    factors = _factors(row, span)
    return Item(row, hours, value, prod(one.share for one in factors) ** (1 / len(factors)), factors, place)


def _place(steps: Sequence[Mapping[str, str]], places: Sequence[tuple[ActivityLink, Where]]) -> Where | None:
    """Return the activity that most steps belong to; of equals the one that names its element, then the older."""
    best: tuple[int, bool] = (0, False)
    chosen = None
    for link, place in places:
        fits = sum(step["application"] == link.application and link.element in ("", step["element"]) for step in steps)
        if fits and (fits, bool(link.element)) > best:
            best, chosen = (fits, bool(link.element)), place
    return chosen


def _factors(row: Routine, span: float) -> tuple[Factor, ...]:
    free = sum(step["value"] == "text" for step in row.steps)
    plain = 1 - 0.5 * free / len(row.steps)
    systems = row.log.systems
    applications = sorted({step["application"] for step in row.steps})
    known = [name for name in applications if systems.get(name)]
    reach = sum(1.0 if name in known else _UNKNOWN_SYSTEM for name in applications) / len(applications)
    weeks = max(1, round(span / (7 * 86_400)))
    steady = min(1.0, row.weeks / weeks)
    return (
        Factor("Same way every time", row.share, f"{row.share:.0%} of this task is done exactly so."),
        Factor("Plain input", plain, f"{free} of {len(row.steps)} steps take free text, which a rule cannot fill."),
        Factor("Systems in reach", reach, f"{len(known)} of {len(applications)} applications have a connection."),
        Factor("Steady", steady, f"Seen in {row.weeks} of {weeks} weeks."),
    )
