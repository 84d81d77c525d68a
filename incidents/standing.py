"""How clocks stand, as parts of a list that each lie together in an index: no list by service level reads them all."""

from collections.abc import Iterable

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from incidents.models import Incident, SlaClock
from incidents.orders import KEPT, MISSED, PAUSED, RUNNING, STANDING

_LATE, _LATE_PAUSED, _LATE_STOPPED = MISSED
_PAUSED_WARNED, _PAUSED_FINE = PAUSED
_WARNED, _FINE = RUNNING
# What no sweep has noticed yet: running, and past a target by now.
_OVERDUE = tuple(Q(_standing=code, sla__resolve_due__lte=Now()) for code in RUNNING)
_UNTAKEN = Q(
    sla__acknowledge_due__lte=Now(), sla__acknowledged_at=None, sla__stopped_at=None, sla__paused_at=None,
    sla__breached_at=None,
)  # fmt: skip
_TO_WARN = Q(
    sla__warn_at__lte=Now(), sla__warned_at=None, sla__stopped_at=None, sla__paused_at=None, sla__breached_at=None
)


def _standing(*codes: int) -> tuple[Q, ...]:
    return tuple(Q(_standing=code) for code in codes)


_PARTS: dict[str, tuple[Q, ...]] = {
    "breached": (*_standing(*MISSED), *_OVERDUE, _UNTAKEN),
    "warning": (*_standing(_PAUSED_WARNED, _WARNED), _TO_WARN),
    "ok": _standing(*KEPT, _PAUSED_FINE, _FINE),
    "running": _standing(_LATE, *RUNNING),
    "paused": _standing(_LATE_PAUSED, *PAUSED),
    "met": _standing(*KEPT),
}


def parts_of(names: Iterable[str]) -> list[Q] | None:
    """Return parts that hold, together, every incident whose clock stands in one of these ways; ``None``: no parts.

    They only say where to look: what the names mean is still asked of each row. Incidents without a clock lie nowhere.
    """
    wanted = [_PARTS.get(name) for name in names]
    if not wanted or None in wanted:
        return None
    parts = [part for several in wanted if several is not None for part in several]
    return [part for number, part in enumerate(parts) if part not in parts[:number]]


def lying_in(rows: "QuerySet[Incident]", part: Q) -> "QuerySet[Incident]":
    """Keep the rows of one part."""
    return rows.alias(_standing=STANDING).filter(part, sla__isnull=False)


def due(**resolve_due: object) -> Q:
    """Return the condition on incidents whose clocks run to a target within these bounds: ``lt=now`` and the like."""
    bounds = {f"resolve_due__{name}": value for name, value in resolve_due.items()}
    clocks = SlaClock.objects.alias(_standing=STANDING).filter(_standing__in=(_LATE, *RUNNING), **bounds)
    return Q(pk__in=clocks.values("incident"))
