"""Which of a connection's rights are used: what is allowed, what was used and when, what names it, what could go.

Uses come from ``OperationUse`` and the few calls that are not counted yet, in statements whose number does not depend
on how many calls, operations or connections there are.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db.models import Max, Q, Sum

from audit.clock import db_now
from connectors import registry
from connectors.base import Operation, Read, Tell
from connectors.door.uses import OperationUse
from connectors.kit.needs import Needs, Told
from connectors.models import Call, Connection
from connectors.rights import counting, naming
from connectors.rights.naming import Named

DAYS, MOST_DAYS = 90, 730
CHOICES = (30, 90, 180, 365)
# What counts as using a right. To look at the record of a write changes nothing and is no use of the write.
_USES = {"read": ("read", "model"), "write": ("write",), "tell": ("tell",)}


class State(StrEnum):
    """What is to be thought of one right."""

    UNUSED = "unused"  # allowed all that time, never used, named by nothing: it can go
    UNNAMED = "unnamed"  # used, but nothing in use names it any more: the next to go
    MISSING = "missing"  # something in use names it and it is not allowed: it will be refused
    LEFT = "left"  # used of late, and no longer allowed or no longer there
    IDLE = "idle"  # named, or the undo of what is, and not used
    NEW = "new"  # allowed for a shorter time than is looked at, or not all calls are counted yet
    IN_USE = "in_use"


# The order in which they are shown.
ORDER = tuple(State)
# What may be taken away with one click.
CAN_GO = frozenset({State.UNUSED, State.UNNAMED})


@dataclass
class Used:
    """How an operation was used: since the day that is looked at, and when at all."""

    calls: int = 0
    refused: int = 0
    last_at: datetime | None = None


@dataclass(frozen=True)
class Right:
    """One operation of a connection."""

    name: str
    label: str
    use: str  # read, write or tell
    allowed: bool
    used: Used
    looked_at: datetime | None  # when the record of a write was last looked at for it
    rights: tuple[str, ...]  # in the source system
    named: tuple[Named, ...] = ()
    undo_of: tuple[str, ...] = ()
    allowed_since: datetime | None = None  # None: not allowed, or nobody knows
    state: State = State.IN_USE

    @property
    def can_go(self) -> bool:
        """Whether one click takes it away."""
        return self.allowed and self.state in CAN_GO


@dataclass(frozen=True)
class Report:
    """The rights of one connection over so many days. ``whole``: every call is counted, so that “never” is true."""

    connection: Connection
    days: int
    since: datetime
    log_since: datetime | None
    whole: bool
    rights: tuple[Right, ...] = ()
    told: Told = field(default_factory=Told)

    @property
    def removable(self) -> tuple[Right, ...]:
        """What was never used and can go."""
        return tuple(one for one in self.rights if one.can_go and one.state is State.UNUSED)

    @property
    def counts(self) -> dict[State, int]:
        """How many rights are in each state that has any."""
        found = {state: sum(one.state is state for one in self.rights) for state in ORDER}
        return {state: count for state, count in found.items() if count}

    @property
    def grants(self) -> dict[str, list[str]]:
        """What has to be granted in the source system, and for which of the allowed operations."""
        found: dict[str, list[str]] = defaultdict(list)
        for one in self.rights:
            for right in one.rights if one.allowed else ():
                found[right].append(one.name)
        return dict(sorted(found.items()))


def reports(connections: Iterable[Connection], days: int = DAYS, now: datetime | None = None) -> list[Report]:
    """Return the report of each connection, in the order given."""
    now, wanted = now or db_now(), list(connections)
    since = now - timedelta(days=days)
    used, whole = _used(wanted, since)
    names = naming.names()
    first = Call.objects.order_by("id").values_list("started_at", flat=True).first()
    found = [_report(one, used[one.pk], names, Report(one, days, since, first, whole)) for one in wanted]
    return _with_ages(found)


def report(connection: Connection, days: int = DAYS, now: datetime | None = None) -> Report:
    """Return the report of one connection."""
    return reports([connection], days, now)[0]


_Uses = dict[tuple[str, str], Used]


def _used(connections: Sequence[Connection], since: datetime) -> tuple[dict[int, _Uses], bool]:
    """Return for each connection how each operation was used in each direction."""
    found: dict[int, _Uses] = defaultdict(lambda: defaultdict(Used))
    recent = Q(day__gte=since.date())
    days: Any = OperationUse.objects.filter(connection__in=connections).order_by()
    summed = days.values_list("connection_id", "operation", "direction").annotate(
        used=Sum("calls", filter=recent, default=0), barred=Sum("refused", filter=recent, default=0),
        latest=Max("last_at"),
    )  # fmt: skip
    for key, operation, direction, calls, refused, last_at in summed:
        found[key][(operation, direction)] = Used(calls, refused, last_at)
    rest, whole = counting.uncounted()
    fresh = counting.grouped(rest.filter(connection__in=connections, started_at__gte=since))
    for row in fresh:
        one = found[row["connection_id"]][(row["operation"], row["direction"])]
        one.calls, one.refused = one.calls + row["calls"], one.refused + row["refused"]
        one.last_at = max(filter(None, (one.last_at, row["last_at"])), default=None)
    return found, whole


def _report(
    connection: Connection, used: _Uses, names: Mapping[tuple[str, str], tuple[Named, ...]], blank: Report
) -> Report:
    operations = {one.name: one for one in registry.operations_of(connection)}
    told = registry.needs_of(connection)
    mine = {operation: named for (slug, operation), named in names.items() if slug == connection.slug}
    busy = {name for (name, direction), use in used.items() if direction in ("write", "tell") and use.calls}
    undo_of = _undo_of(operations, told, set(mine) | busy)
    rights = []
    for name in {*operations, *mine, *(name for name, _ in used)}:
        one = _right(connection, name, operations.get(name), used, told)
        one = replace(one, named=mine.get(name, ()), undo_of=undo_of.get(name, ()))
        state = _state(one, blank)
        if state is not None:
            rights.append(replace(one, state=state))
    return replace(blank, rights=tuple(rights), told=told)


def _undo_of(operations: Mapping[str, Operation], told: Told, needed: set[str]) -> dict[str, tuple[str, ...]]:
    """Return which operations take back what is named or was done of late: without them nothing could be undone."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in sorted(needed):
        if told.operations is None and not isinstance(operations.get(name), Read | Tell | None):
            # The kind does not say: any of its writes may be the one.
            backs: Iterable[str] = [one for one in operations if not isinstance(operations[one], Read | Tell)]
        else:
            backs = (told.operations or {}).get(name, Needs()).undone_by
        for back in backs:
            if back != name:
                found[back].append(name)
    return {name: tuple(several) for name, several in found.items()}


def _right(connection: Connection, name: str, operation: Operation | None, used: _Uses, told: Told) -> Right:
    use = _use_of(name, operation, used)
    mine = [used[(name, direction)] for direction in _USES[use] if (name, direction) in used]
    last = max((one.last_at for one in mine if one.last_at), default=None)
    looked = used.get((name, "observe"))
    return Right(
        name=name,
        label=operation.label or name if operation else name,
        use=use,
        allowed=operation is not None and allowed(connection, operation),
        used=Used(sum(one.calls for one in mine), sum(one.refused for one in mine), last),
        looked_at=looked.last_at if looked else None,
        rights=(told.operations or {}).get(name, Needs()).rights,
    )


def _use_of(name: str, operation: Operation | None, used: _Uses) -> str:
    if operation is not None:
        return "read" if isinstance(operation, Read) else "tell" if isinstance(operation, Tell) else "write"
    return next((use for use in ("write", "tell") if (name, use) in used), "read")


def allowed(connection: Connection, operation: Operation) -> bool:
    """Tell whether the connection's own lists let an operation be used; stops, budgets and the like aside.

    An empty list of reads names every read.
    """
    if isinstance(operation, Read):
        return not connection.reads or operation.name in connection.reads
    return operation.name in connection.operations


def _state(one: Right, report: Report) -> State | None:
    """Return what is to be thought of a right; ``None``: nothing, for it is neither allowed nor asked for."""
    recent = one.used.calls > 0
    if not one.allowed:
        if one.named:
            return State.MISSING
        return State.LEFT if recent else None
    if one.named or one.undo_of:
        return State.IN_USE if recent else State.IDLE
    if recent:
        return State.UNNAMED
    return State.UNUSED if report.whole else State.NEW


def _with_ages(found: list[Report]) -> list[Report]:
    """Say since when each right is allowed, and call none unused that has not been allowed for the whole time."""
    asked = {report.connection.pk: report for report in found if report.rights}
    ages = _ages([report.connection for report in asked.values()])
    return [
        replace(report, rights=_sorted(_aged(one, ages.get(report.connection.pk, {}), report) for one in report.rights))
        for report in found
    ]


def _sorted(rights: Iterable[Right]) -> tuple[Right, ...]:
    return tuple(sorted(rights, key=lambda one: (ORDER.index(one.state), one.use != "write", one.name)))


def _aged(one: Right, ages: Mapping[str, datetime], report: Report) -> Right:
    since = ages.get(one.name) if one.allowed else None
    young = since is not None and since > report.since
    state = State.NEW if young and one.state is State.UNUSED else one.state
    return replace(one, allowed_since=since, state=state)


def _ages(connections: Sequence[Connection]) -> dict[int, dict[str, datetime]]:
    """Return since when without a break each operation is allowed, as the connections' history tells."""
    history: Any = Connection.history.model
    rows = history.objects.filter(id__in=[one.pk for one in connections]).order_by("-history_date", "-history_id")
    known = {one.pk: {item.name: item for item in registry.operations_of(one)} for one in connections}
    since: dict[int, dict[str, datetime]] = defaultdict(dict)
    going: dict[int, set[str]] = {key: set(operations) for key, operations in known.items()}
    for key, at, operations, reads in rows.values_list("id", "history_date", "operations", "reads").iterator():
        for name in tuple(going[key]):
            listed = not reads or name in reads if isinstance(known[key][name], Read) else name in operations
            if listed:
                since[key][name] = at
            else:
                going[key].discard(name)
    return since
