"""Cases as tickets: what is told on them, what people write there, and polling for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from connectors.base import Inbound, Refused, Written
from connectors.kinds.salesforce import effects, soql, told
from connectors.kinds.salesforce.arguments import full_id
from connectors.kinds.salesforce.settings import FIELDS, STAMPS
from connectors.kit.rest import before_writing
from connectors.talk import tickets
from connectors.talk.messages import Message
from connectors.talk.tickets import Said, Ticket, Tickets

if TYPE_CHECKING:
    from connectors.kinds.salesforce.connector import Salesforce

CASE, COMMENT = "Case", "CaseComment"
LONGEST = 4000
MOST_ROWS = 2000
# Rows become visible in the order of their commits, not of their stamps: looking back a little finds the late ones.
OVERLAP = timedelta(minutes=2)
# Fields of a case that change although nothing on it did: a comment is enough.
_BESIDE = frozenset({"Id", told.ABOUT, *STAMPS})


# --- out ---------------------------------------------------------------------------------------
def tell(sf: Salesforce, message: Message, key: str) -> Written:
    """Comment on each case that the message is addressed to, once under ``key``: what stands there stays alone.

    The comment is not published: it is for those who work on the case.
    """
    cases = [_key(recipient) for recipient in message.recipients]
    if not cases or not all(cases):
        raise Refused(f"{sf.label}: the message names no case, or something that is none.", code="address")
    body = tickets.written(message, key, LONGEST)
    made = [_comment(sf, case, body, key) for case in dict.fromkeys(cases)]
    return Written(result={"comments": made}, request_id=sf.trace.request_id)


def _comment(sf: Salesforce, case: str, body: str, key: str) -> str:
    with before_writing():
        rows = sf.comments(case)
    standing = next((row.key for row in rows if effects.carries(row, key)), "")
    if standing:
        return standing
    fields = {"ParentId": case, "CommentBody": body, "IsPublished": False}
    return str(sf.make(COMMENT, fields, key).result.get("id", ""))


# --- in ----------------------------------------------------------------------------------------
def comments(sf: Salesforce) -> list[Inbound]:
    """Give each comment once, oldest first, on from where the last poll ended; what is left over comes with the next.

    A comment that is edited later is the same comment: what was told first stands.
    """
    kept = sf.bookmarks.get(COMMENT)
    stamp, last = kept if isinstance(kept, list) and len(kept) == 2 else ("", "")
    since = soql.moment_of(stamp)
    lookback = datetime.now(UTC) - timedelta(days=sf.settings.lookback_days)
    rows, _ = sf.part(f"{_query(since, last, lookback)} LIMIT {MOST_ROWS}", COMMENT)
    if rows:
        # Only while there is more does the id count: a stamp of its own may hold more than one part.
        sf.bookmarks = {**sf.bookmarks, COMMENT: [rows[-1].version, rows[-1].key if len(rows) == MOST_ROWS else ""]}
    elif last:
        sf.bookmarks = {**sf.bookmarks, COMMENT: [stamp, ""]}
    return [
        Inbound(told.comment_id(row.key), f"record:{COMMENT}", dict(row.fields), soql.moment_of(row.version))
        for row in rows
    ]


def _query(since: datetime | None, last: Any, lookback: datetime) -> str:
    condition = f"SystemModstamp >= {soql.literal(since - OVERLAP if since else lookback)}"
    if since and isinstance(last, str) and told.ID.match(last):
        at = soql.literal(since)
        condition = f"(SystemModstamp > {at} OR (SystemModstamp = {at} AND Id > {soql.literal(last)}))"
    names = ", ".join(FIELDS[COMMENT])
    return f"SELECT {names} FROM {COMMENT} WHERE {condition} ORDER BY SystemModstamp, Id"  # noqa: S608 - literals are quoted


def _key(value: Any) -> str:
    return full_id(value) if isinstance(value, str) and told.ID.match(value) else ""


def _ticket(event: str, payload: Mapping[str, Any], config: Mapping[str, Any]) -> Ticket | None:
    key = _key(payload.get("Id"))
    if event != f"record:{CASE}" or not key or payload.get("gone"):
        return None
    fields = {
        name: value for name, value in payload.items() if name not in _BESIDE and not isinstance(value, dict | list)
    }
    closed = {part.strip() for part in str(config.get("closed_statuses") or effects.CLOSED).split(",")}
    return Ticket(key, fields, payload["Status"] in closed if "Status" in payload else None)


def _said(event: str, payload: Mapping[str, Any]) -> Said | None:
    case, text = _key(payload.get("ParentId")), payload.get("CommentBody")
    if event != f"record:{COMMENT}" or not case:
        return None
    return Said(case, text if isinstance(text, str) else "", str(payload.get("CreatedById") or ""))


TICKETS = Tickets(entity=CASE, tells="case.tell", key=_key, ticket=_ticket, said=_said)
