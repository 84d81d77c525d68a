"""Cases as tickets: notes that are told on them, and notes that people write there.

A note is a row of ``annotation``; its lookup ``objectid`` names the case. The file that a note may carry is not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from connectors.base import Blocked, Refused, Written
from connectors.kinds.dataverse import writing
from connectors.kinds.dataverse.events import NOTE, is_note
from connectors.kinds.dataverse.tables import GUID, id_for
from connectors.talk import tickets
from connectors.talk.chats import fitted, one_line
from connectors.talk.messages import Message
from connectors.talk.tickets import Said, Ticket, Tickets
from connectors.wire.plaintext import cleaned, shown

if TYPE_CHECKING:
    from connectors.kinds.dataverse.connector import Dataverse

CASE = "incident"
ABOUT = "_objectid_value"
COLUMNS = ["subject", "notetext", ABOUT, "_createdby_value"]
LONGEST, LONGEST_SUBJECT = 20_000, 300
ACTIVE = 0
_NOBODY = "00000000-0000-0000-0000-000000000000"
# Columns of a row that change although nothing on it did, and what the reader of a row adds to it.
_BESIDE = frozenset(
    {"incidentid", "createdon", "createdby", "createdonbehalfby", "overriddencreatedon", "modifiedon", "modifiedby"}
    | {"modifiedonbehalfby", "versionnumber", "change", "PrimaryEntityName", "PrimaryEntityId", "Deleted", "Reason"}
)
_LOOKUP = re.compile(r"_(\w+)_value\Z")


# --- out ---------------------------------------------------------------------------------------
def tell(dv: Dataverse, message: Message, key: str) -> Written:
    """Put a note on each case that the message is addressed to; its id is made of ``key``, so that it is one note."""
    cases = [_key(recipient) for recipient in message.recipients]
    if not cases or not all(cases):
        raise Refused(f"{dv.label}: the message names no case, or something that is none.", code="address")
    table, case_table = dv.table(NOTE), dv.table(CASE)
    said = {
        "subject": fitted(one_line(message.title) or message.subject, LONGEST_SUBJECT),
        "notetext": tickets.written(message, key, LONGEST),
    }
    made = []
    for case in dict.fromkeys(cases):
        body = {**said, f"objectid_{CASE}@odata.bind": f"/{case_table.set}({case})"}
        made.append(writing.make(dv, table, id_for(f"{key}:{case}", NOTE), body, key).result["id"])
    return Written(result={"notes": made}, request_id=dv.trace.request_id)


# --- in ----------------------------------------------------------------------------------------
def unread(payload: Mapping[str, Any]) -> bool:
    """Tell whether a message is about a note that does not say all of it: on which case it is, and what."""
    if payload.get("Deleted") or not is_note(_table(payload), str(payload.get("MessageName") or "")):
        return False
    return not {ABOUT, "notetext"} <= payload.keys()


def read(dv: Dataverse, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a message about a note tells, with the note as it stands; without one where it is gone.

    Where the connection may not use the table, what was told is all there is.
    """
    try:
        table = dv.table(NOTE)
    except Blocked:
        return dict(payload)
    rows = dv.row(table.name, str(payload.get("PrimaryEntityId")), COLUMNS)
    note = dict(rows[0].fields) if rows else {}
    return {**payload, **note, "Target": note, "Shortened": False, "Gone": not rows}


def _said(event: str, payload: Mapping[str, Any]) -> Said | None:
    case = _key(payload.get(ABOUT))
    if not case or payload.get("Deleted") or not is_note(_table(payload), str(payload.get("MessageName") or "")):
        return None
    texts = (payload.get("subject"), payload.get("notetext"))
    text = "\n\n".join(filter(None, (_plain(one) for one in texts if isinstance(one, str))))
    users = (payload.get("_createdby_value"), payload.get("InitiatingUserId"))
    author = next((one for one in users if isinstance(one, str) and GUID.match(one.lower()) and one != _NOBODY), "")
    return Said(case, text, author)


def _ticket(event: str, payload: Mapping[str, Any], config: Mapping[str, Any]) -> Ticket | None:
    key = _key(payload.get("PrimaryEntityId"))
    gone = payload.get("Deleted") or payload.get("Gone") or payload.get("MessageName") == "Delete"
    if _table(payload) != CASE or not key or gone:
        return None
    told = payload.get("Target") if isinstance(payload.get("Target"), Mapping) else None
    row: Mapping[str, Any] = told if told is not None else payload
    state = row.get("statecode")
    return Ticket(key, _columns(row), None if state is None else state != ACTIVE)


def _columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's columns in the one way that a webhook and a read have in common."""
    found = (_column(name, value, row) for name, value in row.items())
    return {name: value for name, value in filter(None, found) if name not in _BESIDE}


def _column(name: str, value: Any, row: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Return a column as it is compared, a lookup as the id that it points to; ``None`` for what only describes one."""
    lookup = _LOOKUP.match(name)
    if lookup:
        return lookup[1], value
    if name.startswith("_") or (name.endswith("_label") and name.removesuffix("_label") in row):
        return None
    return None if isinstance(value, list) else (name, value.get("Id") if isinstance(value, Mapping) else value)


def _table(payload: Mapping[str, Any]) -> str:
    return str(payload.get("PrimaryEntityName") or "").lower()


def _key(value: Any) -> str:
    text = value.strip("{}").lower() if isinstance(value, str) else ""
    return text if GUID.match(text) else ""


def _plain(text: str) -> str:
    """Return a note's text: what the editor of notes wraps in HTML is unwrapped, anything else is as it was written."""
    return shown(text) if text.lstrip().startswith("<") else cleaned(text).strip()


TICKETS = Tickets(entity=CASE, tells="case.tell", key=_key, ticket=_ticket, said=_said)
