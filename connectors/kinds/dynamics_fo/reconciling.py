"""Read back what should have been told: F&O gives an event up after three tries, one second apart.

A line of the setting names a business event, the entity that holds what it tells of, and the field with its time:

    SalesInvoicePostedBusinessEvent: SalesInvoiceHeadersV2 by InvoiceDate, InvoiceId=InvoiceNumber

What is found is told as that event would have told it, once for each record. The time is often a day without an hour,
so that two days are always asked for again. Control numbers have gaps and say nothing of what is missing (Microsoft's
description of business events): they order events and tell repeated ones apart, and no gap is ever an alarm.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from connectors.base import Inbound, Record
from connectors.kinds.dynamics_fo.events import moment_of
from connectors.kinds.dynamics_fo.odata import COMPANY, KEYS

OVERLAP = timedelta(days=2)
# A first poll looks no further back: what is older was there before anybody listened.
FIRST = timedelta(days=1)
MOST_LINES = 20
_NAME = r"[A-Za-z][A-Za-z0-9_]{0,99}"
_LINE = re.compile(rf"(?P<event>{_NAME})\s*:\s*(?P<entity>{_NAME})\s+by\s+(?P<stamp>{_NAME})\s*(?:,(?P<fields>.*))?")
_FIELD = re.compile(rf"({_NAME})\s*=\s*({_NAME})")
Listing = Callable[[str, Mapping[str, str]], list[Record]]


@dataclass(frozen=True)
class Line:
    """One event that is read back: ``fields`` maps its members to the entity's fields."""

    event: str
    entity: str
    stamp: str
    fields: tuple[tuple[str, str], ...]


@lru_cache(maxsize=64)
def lines_of(text: str) -> tuple[Line, ...]:
    """Read the setting. Raises ``ValueError``, which says what is wrong with which line."""
    found = tuple(_line(line.strip()) for line in text.splitlines() if line.strip())
    if len(found) > MOST_LINES:
        raise ValueError(f"at most {MOST_LINES} lines")
    return found


def _line(text: str) -> Line:
    parts = _LINE.fullmatch(text)
    if parts is None:
        raise ValueError(f"“{text[:80]}” is no line: write Event: Entity by TimeField, Member=Field, …")
    if parts["entity"] not in KEYS:
        raise ValueError(f"the key of {parts['entity']} is not known; known are {', '.join(sorted(KEYS))}")
    pairs = [_FIELD.fullmatch(pair.strip()) for pair in (parts["fields"] or "").split(",") if pair.strip()]
    if not all(pairs):
        raise ValueError(f"“{text[:80]}”: write each member of the event as Member=Field")
    return Line(parts["event"], parts["entity"], parts["stamp"], tuple((p[1], p[2]) for p in pairs if p))


def told(lines: Iterable[Line], since: datetime | None, now: datetime, fetch: Listing) -> list[Inbound]:
    """Return what the lines find since then, as the events would have told it. Raises what ``fetch`` raises."""
    begin = (since or now - FIRST) - OVERLAP
    found = []
    for line in lines:
        day = begin.strftime("%Y-%m-%dT%H:%M:%SZ")
        rows = fetch(line.entity, {"$filter": f"{line.stamp} ge {day}", "$orderby": line.stamp})
        found += [_inbound(line, row) for row in rows]
    return found


def _inbound(line: Line, row: Record) -> Inbound:
    payload = {
        **{member: row.fields.get(field) for member, field in line.fields},
        "BusinessEventId": line.event,
        "BusinessEventLegalEntity": row.fields.get(COMPANY),
        "Reconciled": True,
    }
    name = f"reconciled:{line.event}:{row.entity}:{row.key}"
    stamp = row.fields.get(line.stamp)
    return Inbound(
        external_id=name if len(name) <= 200 else f"reconciled:{hashlib.sha256(name.encode()).hexdigest()}",
        event=line.event,
        payload=payload,
        occurred_at=moment_of(stamp) if isinstance(stamp, str) else None,
    )
