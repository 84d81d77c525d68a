"""Forget what came in and what was asked long ago, in batches; the ledger keeps how much that was.

A delivery's row stays, so that the same told again adds nothing: what was told goes. A call goes whole, unless
something still refers to it. Each batch is one transaction with its mark: whoever is killed goes on there, and of two
sweeps one waits for the other. A sweep looks at all old rows in turn, since what is needed today may not be tomorrow.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from audit.actions import record
from audit.clock import db_now
from connectors.door.uses import UseMark
from connectors.models import Call, Connection, Delivery, EarlierMail, SweepMark
from connectors.rights import counting

ACTOR = "system:forgetting"
BATCH = 1_000  # rows looked at in one transaction
BATCHES = 200  # in one turn
# What was done in another system, or tried, stands there for good: these are kept whatever refers to them.
_DONE = ("write", "find")

# Of calls and the incidents that they were made for, which are still needed; and the same of deliveries.
NeededCalls = Callable[[Mapping[int, int | None]], Iterable[int]]
NeededDeliveries = Callable[[Iterable[int]], Iterable[int]]
_of_calls: dict[str, NeededCalls] = {}
_of_deliveries: dict[str, NeededDeliveries] = {}


def keep_calls(name: str, needed: NeededCalls) -> None:
    """Let a floor above say which of some old calls must stay: ``needed({call: incident})`` returns their numbers."""
    _of_calls[name] = needed


def keep_deliveries(name: str, needed: NeededDeliveries) -> None:
    """Let a floor above say of which old deliveries the words must stay: ``needed(numbers)`` returns them."""
    _of_deliveries[name] = needed


def forget_calls() -> int:
    """Forget the calls older than ``CALL_KEEP_DAYS`` (0: none ever) that nothing refers to; return how many."""
    if settings.CALL_KEEP_DAYS <= 0:
        return 0
    before = db_now() - timedelta(days=settings.CALL_KEEP_DAYS)
    latest = _latest_told()
    return _in_batches(lambda: _call_batch(before, latest))


def forget_deliveries() -> int:
    """Forget what was told longer ago than ``DELIVERY_KEEP_DAYS`` (0: nothing ever); return of how many deliveries."""
    if settings.DELIVERY_KEEP_DAYS <= 0:
        return 0
    before = db_now() - timedelta(days=settings.DELIVERY_KEEP_DAYS)
    return _in_batches(lambda: _delivery_batch(before))


def forget_mails() -> int:
    """Forget what was kept of mails that are too old for anybody to look for; return of how many."""
    return _in_batches(_mail_batch)


@dataclass(frozen=True)
class _Batch:
    """How many rows were forgotten, and whether older ones than the setting says are left to look at."""

    forgotten: int
    more: bool


def _in_batches(batch: Callable[[], _Batch]) -> int:
    forgotten = 0
    for _ in range(BATCHES):
        done = batch()
        forgotten += done.forgotten
        if not done.more:
            break
    return forgotten


def _next(name: str, rows: Any, time: str, before: datetime) -> tuple[list[dict[str, Any]], bool]:
    """Return the next old rows behind the mark and move it; from the last one on it begins anew.

    Numbers grow with time: at the first row that is young the old ones end.
    """
    SweepMark.objects.get_or_create(name=name)
    mark = SweepMark.objects.select_for_update().get(name=name)
    looked_at = list(rows.filter(pk__gt=mark.last_id).order_by("pk")[:BATCH])
    old = [row for row in looked_at if row[time] < before]
    more = len(old) == BATCH
    SweepMark.objects.filter(name=name).update(last_id=old[-1]["pk"] if more else 0)
    return old, more


# --- Calls ---------------------------------------------------------------------------------------


@transaction.atomic
def _call_batch(before: datetime, latest: frozenset[int]) -> _Batch:
    rows, more = _next("calls", Call.objects.values("pk", "started_at", "incident_id"), "started_at", before)
    asked = {row["pk"]: row["incident_id"] for row in rows}
    needed = {number for ask in (_uncounted, *_of_calls.values()) for number in ask(asked)} if asked else set()
    free = [number for number in asked if number not in needed and number not in latest]
    done = Q(direction__in=_DONE) & ~Q(effect_key="")
    forgotten, _ = Call.objects.filter(pk__in=free, started_at__lt=before).exclude(done).delete() if free else (0, {})
    if forgotten:
        record("call.forgotten", actor=ACTOR, data={"calls": forgotten, "begun_before": before.isoformat()})
    return _Batch(forgotten, more)


def _uncounted(asked: Mapping[int, int | None]) -> Iterable[int]:
    """Return the calls that the report of rights has not counted yet."""
    counted = UseMark.objects.filter(name=counting.MARK).values_list("last_id", flat=True).first() or 0
    return [number for number in asked if number > counted]


def _latest_told() -> frozenset[int]:
    """Return the last message of each connection: by it the report of rights knows when an address was last used."""
    found = set()
    for key in Connection.objects.values_list("pk", flat=True):
        sent = Call.objects.filter(connection=key, direction="tell", requests__gt=0).order_by("-id")
        found |= set(sent.values_list("pk", flat=True)[:1])
    return frozenset(found)


# --- Deliveries ----------------------------------------------------------------------------------


@transaction.atomic
def _delivery_batch(before: datetime) -> _Batch:
    columns = ("pk", "received_at", "processed_at", "forgotten_at")
    rows, more = _next("deliveries", Delivery.objects.values(*columns), "received_at", before)
    whole = [row["pk"] for row in rows if row["processed_at"] is not None and row["forgotten_at"] is None]
    needed = {number for ask in _of_deliveries.values() for number in ask(whole)} if whole else set()
    # Judged again since, its days count anew; and whoever replays it at this moment finds it whole, or not at all.
    free = Delivery.objects.filter(pk__in=[number for number in whole if number not in needed])
    judged = free.filter(processed_at__lt=before, forgotten_at=None)
    forgotten = judged.update(payload={}, message="", forgotten_at=db_now()) if whole else 0
    if forgotten:
        data = {"deliveries": forgotten, "received_before": before.isoformat()}
        record("delivery.forgotten", actor=ACTOR, data=data)
    return _Batch(forgotten, more)


@transaction.atomic
def _mail_batch() -> _Batch:
    before = db_now() - timedelta(days=EarlierMail.DAYS)
    rows = EarlierMail.objects.order_by("pk").values_list("pk", "received_at")[:BATCH]
    old = [number for number, received_at in rows if received_at < before]
    if old:
        EarlierMail.objects.filter(pk__in=old).delete()
    return _Batch(len(old), len(old) == BATCH)
