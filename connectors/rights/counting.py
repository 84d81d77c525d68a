"""Adds up which operations were used: by day, so that a page about rights never reads the whole log of calls."""

from datetime import UTC, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Max, Q, QuerySet
from django.db.models.functions import TruncDate

from audit.clock import db_now
from connectors.door import health
from connectors.door.uses import OperationUse, UseMark
from connectors.models import Call

BATCH = 10_000
# Every call with a smaller number has been committed by then.
SETTLED = timedelta(minutes=5)
MARK = "calls"
# So many calls at most are read from the log itself; where more wait to be counted, nothing is said to be unused.
MOST_UNCOUNTED = 60_000
DIRECTIONS = ("read", "model", "write", "tell", "observe")
_LET_OUT = ~Q(outcome="blocked")
_SUMS = {
    "calls": Count("id", filter=_LET_OUT),
    "refused": Count("id", filter=~_LET_OUT),
    "last_at": Max("started_at", filter=_LET_OUT),
}
_KEY = ("connection_id", "operation", "direction")


def count() -> int:
    """Add the calls that have come since the last turn to their days; returns how many. Two at once count each once."""
    settled = health.first_since(db_now() - SETTLED)
    with transaction.atomic():
        UseMark.objects.get_or_create(name=MARK)
        mark = UseMark.objects.select_for_update().get(name=MARK)
        waiting = Call.objects.filter(id__gt=mark.last_id, id__lt=settled).order_by("id")
        numbers = list(waiting.values_list("id", flat=True)[:BATCH])
        if not numbers:
            return 0
        _add(Call.objects.filter(id__gt=mark.last_id, id__lte=numbers[-1]))
        UseMark.objects.filter(name=MARK).update(last_id=numbers[-1])
    return len(numbers)


def _add(calls: "QuerySet[Call]") -> None:
    for row in grouped(calls, "day"):
        sums = {name: row.pop(name) for name in _SUMS}
        known = OperationUse.objects.filter(**row)
        raised = {"calls": F("calls") + sums["calls"], "refused": F("refused") + sums["refused"]}
        # Numbers grow with time: what is counted later happened later.
        later = {"last_at": sums["last_at"]} if sums["last_at"] else {}
        if not known.update(**raised, **later):
            OperationUse.objects.create(**row, **sums)


def grouped(calls: "QuerySet[Call]", *by: str) -> "QuerySet[Call, Any]":
    """Sum calls up by connection, operation and direction, and by ``day`` where that is asked for."""
    rows = calls.filter(direction__in=DIRECTIONS).order_by()
    if by:
        rows = rows.annotate(day=TruncDate("started_at", tzinfo=UTC))
    found: QuerySet[Call, Any] = rows.values(*_KEY, *by).annotate(**_SUMS)
    return found


def uncounted() -> "tuple[QuerySet[Call], bool]":
    """Return the calls that are not counted yet, the newest of them, and whether these are all."""
    counted = UseMark.objects.filter(name=MARK).values_list("last_id", flat=True).first() or 0
    newest = Call.objects.order_by("-id").values_list("id", flat=True).first() or 0
    begin = max(counted, newest - MOST_UNCOUNTED)
    whole = begin == counted or not Call.objects.filter(id__gt=counted, id__lte=begin).exists()
    return Call.objects.filter(id__gt=begin), whole
