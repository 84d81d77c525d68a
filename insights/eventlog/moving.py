"""Brings the tables of a log that is ready to where the settings say, or back; readers see them all the while."""

import secrets
from datetime import timedelta

from django.conf import settings
from django.db.models import Q

from audit.clock import db_now
from insights import storage
from insights.eventlog.importing import LeaseLost, beating
from insights.models import EventLog
from insights.states import LogState


def to_move(*, to_store: bool) -> list[EventLog]:
    """Return the logs whose tables are not yet in the object store, or not yet back in the data folder."""
    rows = EventLog.objects.filter(generation__gt=0).order_by("pk")
    return [log for log in rows if bool(log.tables) != to_store]


def move(log: EventLog, *, to_store: bool) -> EventLog:
    """Move the tables that readers see; the row changes once they are whole at the other place.

    Raises ``LeaseLost`` where somebody imports the log, ``StoreUnavailable``, ``OSError`` for a full disk.
    """
    log = _claim(log)
    try:
        with beating(log) as beat:
            beat.share = log.progress
            here = log.tables
            if to_store:
                storage.send(log, lambda: beat.told(log.progress))
            else:
                storage.bring_back(log)
        held = EventLog.objects.filter(pk=log.pk, lease_token=log.lease_token, generation=log.generation)
        if not held.update(tables=log.tables):
            raise LeaseLost(f"event log {log.pk} was taken over")
        storage.leave(log, here)
    finally:
        EventLog.objects.filter(pk=log.pk, lease_token=log.lease_token).update(lease_token="", lease_until=None)
    log.refresh_from_db()
    return log


def _claim(log: EventLog) -> EventLog:
    token, now = secrets.token_hex(16), db_now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    if (
        not EventLog.objects.exclude(state=LogState.IMPORTING)
        .filter(free, pk=log.pk)
        .update(lease_token=token, lease_until=now + timedelta(seconds=settings.LEASE_SECONDS))
    ):
        raise LeaseLost(f"event log {log.pk} is being imported or added to")
    return EventLog.objects.get(pk=log.pk)
