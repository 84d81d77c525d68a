"""What connected systems tell of, as event logs: one for each connection, one case for each record."""

import logging
import re
from datetime import timedelta
from typing import Any

from audit.clock import db_now
from connectors.models import Connection, Delivery
from connectors.registry import record_named
from insights.eventlog import sources
from insights.eventlog.continuous import Happening, append, log_of, move_on
from insights.eventlog.importing import LeaseLost
from insights.models import EventLog

logger = logging.getLogger(__name__)
_BATCH = 50_000
# Rows get their number before they are committed: whoever reads up to the newest misses the one that commits late.
_SETTLED = timedelta(seconds=60)
# Fields that name the record, the most telling first; the systems' own words.
_KEYS = (
    re.compile(r"(sales|purch|purchase)?_?(order|invoice|delivery|case|incident)_?(id|no|number|key)", re.IGNORECASE),
    re.compile(r"(sales|purch|invoice)id|vbeln|ebeln|belnr|primaryentityid|casenumber|ticketnumber", re.IGNORECASE),
    re.compile(r"(record|document|entity|object)_?(id|no|number|key)|docnum|id", re.IGNORECASE),
)
_AMOUNT = re.compile(r"(total|net|gross|invoice|order)?_?amount|netwr|wrbtr|totalnetamount", re.IGNORECASE)
_PERSON = re.compile(r"(initiating|modified|created|last_?modified_?by)_?(user|by)?(id)?|ernam|aenam", re.IGNORECASE)


def keep_up() -> int:
    """Add what was delivered since the last turn to each connection's log; return how many events that were."""
    added = 0
    for connection in Connection.objects.filter(deliveries__isnull=False).distinct():
        log = log_of(f"connection:{connection.slug}", f"Changes · {connection.slug}")
        try:
            added += _keep_up(log, connection)
        except LeaseLost as lost:
            logger.info("%s", lost)
    return added


def _keep_up(log: EventLog, connection: Connection) -> int:
    rows = connection.deliveries.filter(
        pk__gt=int(log.mapping.get("cursor") or 0), received_at__lt=db_now() - _SETTLED
    ).order_by("pk")
    found = list(rows[:_BATCH])
    happenings = [each for each in (_happening(one, connection) for one in found) if each is not None]
    if happenings:
        append(log, happenings, cursor=found[-1].pk)
    elif found:
        # Else as many that tell of no record would hold up all that come after them.
        move_on(log, found[-1].pk)
    return len(happenings)


def _happening(delivery: Delivery, connection: Connection) -> Happening | None:
    """Return the change as an event; nothing where it does not say which record changed."""
    fields = _fields(delivery.payload)
    case = next((value for key in _KEYS for name, value in fields.items() if key.fullmatch(name)), "")
    if not case:
        return None
    values = {"resource": _first(fields, _PERSON), "amount": _first(fields, _AMOUNT), "delivery": delivery.external_id}
    if named := record_named(connection, delivery.event, delivery.payload):
        values |= dict(zip((sources.TYPE, sources.KEY), named, strict=True))
    return Happening(case, delivery.event, delivery.occurred_at or delivery.received_at, values)


def _fields(payload: Any) -> dict[str, str]:
    """Return the plain values of a payload and of the objects in it, one level down."""
    if not isinstance(payload, dict):
        return {}
    flat: dict[str, str] = {}
    for part in (payload, *(each for each in payload.values() if isinstance(each, dict))):
        for name, value in part.items():
            if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip():
                flat.setdefault(str(name), str(value)[:200])
    return flat


def _first(fields: dict[str, str], pattern: re.Pattern[str]) -> str | None:
    return next((value for name, value in fields.items() if pattern.fullmatch(name)), None)
