"""Change tracking: a token is a row version; what changed since it is told, deletions too, until it expires."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from connectors.simulator.dataverse.query import drawn
from connectors.simulator.dataverse.tables import DELETED, FIRST_VERSION, SYSTEM, Table, refused
from connectors.simulator.messages import Request
from connectors.simulator.store import Fields, Session

EPOCH = "dv token epoch"
EXPIRED = "0x80044352"
PAGE = 5000
_TOKEN = re.compile(r"(\d{1,12})!(\d{1,9})(?:!(\d{1,12})!(\d{1,9}))?\Z")


def wanted(request: Request) -> bool:
    """Tell whether a request asks for tracked changes."""
    return "odata.track-changes" in (request.header("Prefer") or "") or "$deltatoken" in request.query


def expire(session: Session) -> int:
    """Let every token that was given out expire; says which generation begins."""
    epoch = int(session.meta(EPOCH, "0")) + 1
    session.set_meta(EPOCH, str(epoch))
    return epoch


def answer(session: Session, table: Table, request: Request, root: str, size: int) -> Fields:
    """Give the rows since a token, or all of them, page by page; the last page has the next token.

    `$filter`, `$orderby`, `$expand` and `$top` do not go with it (wire: change tracking).
    """
    if strange := {"$filter", "$orderby", "$expand", "$top"} & set(request.query):
        raise refused(f"The query parameter {min(strange)} is not supported with change tracking.")
    wishes = request.header("Prefer") or ""
    epoch, last = session.meta(EPOCH, "0"), _newest(session)
    token = request.query.get("$deltatoken", "")
    since, start, until = 0, 0, last
    if token:
        found = _TOKEN.match(token)
        if not found:
            raise refused("The delta token is malformed.")
        if found[2] != epoch:
            raise refused(
                "Version stamp associated with the client has expired. Please perform a full sync.", 400, EXPIRED
            )
        since, until, start = int(found[1]), int(found[3] or last), int(found[4] or 0)
    rows = [row for row in session.records(SYSTEM, table.name) if since < row.fields["versionnumber"] <= until]
    told = [
        (row.fields["versionnumber"], drawn(session, table, row, request.query, wishes)) for row in rows
    ] + _deletions(session, table, root, since, until)
    told.sort(key=lambda one: one[0])
    page = [fields for _, fields in told[start : start + size]]
    chosen = {"$select": request.query["$select"]} if "$select" in request.query else {}
    body: Fields = {"@odata.context": f"{root}/$metadata#{table.set}/$delta", "value": page}
    if start + size < len(told):
        body["@odata.nextLink"] = _link(root, table, chosen, f"{since}!{epoch}!{until}!{start + size}")
    else:
        body["@odata.deltaLink"] = _link(root, table, chosen, f"{until}!{epoch}")
    return body


def _link(root: str, table: Table, chosen: dict[str, str], token: str) -> str:
    return f"{root}/{table.set}?{urlencode({**chosen, '$deltatoken': token}, safe='$!,')}"


def _newest(session: Session) -> int:
    return int(session.meta("sequence:dv row version", str(FIRST_VERSION))) - 1


def _deletions(session: Session, table: Table, root: str, since: int, until: int) -> list[tuple[int, Fields]]:
    """Tell of the rows that are gone; a whole read tells of none."""
    if not since:
        return []
    context = f"{root}/$metadata#{table.set}/$deletedEntity"
    return [
        (row.fields["versionnumber"], {"@odata.context": context, "id": row.fields["id"], "reason": "deleted"})
        for row in session.records(SYSTEM, DELETED)
        if row.fields["table"] == table.name and since < row.fields["versionnumber"] <= until
    ]
