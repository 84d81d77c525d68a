"""Lanes: one running plan per business record, in the order in which plans were approved.

A parked or dead step keeps its place, so that nothing overtakes it; other lanes run on.
"""

from collections.abc import Iterable

from django.db import IntegrityError, transaction

from audit.clock import db_now
from playbooks.models import Execution, LaneTicket


def queue_up(execution: Execution, lanes: Iterable[str]) -> None:
    """Take a place in every lane that the execution will need, all at once and in one order."""
    now = db_now()
    tickets = [LaneTicket(lane=lane, execution=execution, taken_at=now) for lane in sorted(set(lanes))]
    LaneTicket.objects.bulk_create(tickets, ignore_conflicts=True)


def enter(execution: Execution, lane: str) -> bool:
    """Hold the lane if nobody is before us in it; ``False`` while somebody is.

    The unique constraint on the holder, not the order of numbers, is what forbids two at once: a lower
    ticket may commit after a higher one has looked.
    """
    ticket = LaneTicket.objects.get(execution=execution, lane=lane)
    if ticket.holding:
        return True
    if LaneTicket.objects.filter(lane=lane, pk__lt=ticket.pk).exists():
        return False
    try:
        with transaction.atomic():
            return bool(LaneTicket.objects.filter(pk=ticket.pk).update(holding=True))
    except IntegrityError:
        return False


def before_us(execution: Execution, lane: str) -> LaneTicket | None:
    """Return whose turn it is in the lane while it is not ours."""
    rows = LaneTicket.objects.filter(lane=lane).exclude(execution=execution).select_related("execution")
    return rows.order_by("-holding", "pk").first()
