"""Polling by change stamp: oldest first, a bounded part at a time, and no record left out between two parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from connectors.base import Inbound, Record
from connectors.inbound.bookmarks import LEFT_OFF
from connectors.kinds.salesforce import soql, told
from connectors.kinds.salesforce.changes import POLLED, RESYNC
from connectors.kinds.salesforce.settings import FIELDS

if TYPE_CHECKING:
    from connectors.kinds.salesforce.connector import Salesforce

# Rows become visible in the order of their commits, not of their stamps: looking back a little finds the late ones.
OVERLAP = timedelta(minutes=2)
MOST_ROWS = 10_000


def changes(sf: Salesforce, since: datetime | None) -> list[Inbound]:
    """Give each case in each version it had; the overlap is harmless, because the version is in the id.

    What is more than one part is left off behind a record, by its stamp and its id: a load job stamps more records
    with one moment than any part holds. A gap that Salesforce told of is asked for from where it began; one that it
    tells of while older news are still being fetched waits until those are.
    """
    left_off = sf.bookmarks.get(LEFT_OFF)
    gaps = {} if left_off else {name: value for name, value in sf.bookmarks.items() if name.startswith(RESYNC)}
    start = _start(sf, since, [soql.moment_of(value) for value in gaps.values()])
    most = min(MOST_ROWS, sf.MOST_PAGES * sf.settings.batch_size)
    rows, done = sf.part(f"{_query(start, left_off)} LIMIT {most}", POLLED)
    kept = {name: value for name, value in sf.bookmarks.items() if name != LEFT_OFF and name not in gaps}
    whole = not rows or (done and len(rows) < most)
    sf.bookmarks = kept if whole else {**kept, LEFT_OFF: [rows[-1].version, rows[-1].key]}
    return [_inbound(row) for row in rows]


def _inbound(row: Record) -> Inbound:
    return Inbound(
        told.identity(row.fields) or row.key, f"record:{POLLED}", dict(row.fields), soql.moment_of(row.version)
    )


def _start(sf: Salesforce, since: datetime | None, gaps: list[datetime | None]) -> datetime:
    earliest = datetime.now(UTC) - timedelta(days=sf.settings.lookback_days)
    # What a message says may be ever so old: nothing is asked for from before the first poll.
    begun = [max(gap, earliest) for gap in gaps if gap is not None]
    if since is not None:
        begun.append(since)
    return min(begun) - OVERLAP if begun else earliest


def _query(start: datetime, left_off: Any) -> str:
    """Ask for what is younger than where the last part ended, or for everything since ``start``."""
    condition = f"SystemModstamp >= {soql.literal(start)}"
    if isinstance(left_off, list) and len(left_off) == 2:
        stamp, key = soql.moment_of(left_off[0]), left_off[1]
        if stamp is not None and isinstance(key, str) and told.ID.match(key):
            at = soql.literal(stamp)
            condition = f"(SystemModstamp > {at} OR (SystemModstamp = {at} AND Id > {soql.literal(key)}))"
    names = ", ".join(FIELDS[POLLED])
    return f"SELECT {names} FROM {POLLED} WHERE {condition} ORDER BY SystemModstamp, Id"  # noqa: S608 - literals are quoted
