"""The simulator's ledger as an interface of its own: three lists that only grow, and what each field means.

``FORM`` names the form. Within a form lists and fields may be added; none changes its name or its meaning.
"""

from __future__ import annotations

from connectors.simulator.messages import Refusal
from connectors.simulator.store import Fields, Session, parsed

FORM = 1
LISTS: dict[str, dict[str, str]] = {
    "effects": {
        "n": "number of the row, rising in the order of commit; a reset begins again at 1",
        "time": "when the act began that changed it, UTC; the rows of one transaction share it",
        "system": "fo, sf, dv, sap, slack, teams, mail or receiver",
        "entity": "the set, table, object or folder's kind of record that was changed",
        "kind": "create, update or delete by a caller, or the act's own word; person: somebody in the system itself;"
        " side_effect: what the system did on its own because of another row; received: an event that was kept",
        "before": "the record before, null where it is new",
        "after": "the record after, null where it is gone",
        "effect_key": "the caller's key in the target's own place, null where there was none",
    },
    "requests": {
        "n": "number of the row, rising in the order of arrival",
        "arrival": "when it had arrived whole, UTC",
        "system": "the system that was asked",
        "method": "HTTP's method, or IMAP or SMTP",
        "path": "path and query as they were sent; of a mail protocol the command, without secrets",
        "effect_key": "the caller's key, null where it named none",
        "fault": "the fault on demand that met it, null for none",
        "committed": "whether it changed anything",
        "status": "HTTP's status, SMTP's reply code, for IMAP 200 (OK), 400 (BAD) or 409 (NO); null: unanswered (yet)",
        "retry_after": "the seconds that the answer asked to wait, null for none",
    },
    "sent": {
        "n": "number of the row, rising",
        "time": "when the last try ended, UTC",
        "channel": "fo_event, cloud_event, sf_case (a case that the stream opened in the org; nothing was sent),"
        " dv_hook, sap_hook, sap_idoc, sf_hook or slack_hook",
        "ids": "the ids that the messages carry; the same message told again has the same",
        "attempts": "how often it was tried",
        "status": "HTTP's status of the last answer, null where nobody answered",
        "error": "why it counts as not delivered, null where it was",
    },
}
_TABLES = {"effects": "effects", "requests": "requests", "sent": "posts"}


def overview(session: Session) -> Fields:
    """Say what the ledger holds: of each list its address, how much is in it, and what its fields mean."""
    found: Fields = {}
    for name, fields in LISTS.items():
        count, last = session.connection.execute(f"SELECT count(*), max(n) FROM {_TABLES[name]}").fetchone()
        found[name] = {"address": f"/ledger/{name}", "count": count, "last": last or 0, "fields": fields}
    return {"form": FORM, "lists": found}


def rows(session: Session, name: str, query: dict[str, str]) -> list[Fields]:
    """Return a list's rows behind ``since``, at most ``limit``. Raises ``Refusal`` where these are no numbers."""
    if not all(query.get(one, "0").isdecimal() and len(query.get(one, "0")) < 19 for one in ("since", "limit")):
        raise Refusal(400, "'since' and 'limit' must be whole numbers.")
    names = tuple(LISTS[name])
    found = session.connection.execute(
        f"SELECT {', '.join(names)} FROM {_TABLES[name]} WHERE n>? ORDER BY n LIMIT ?",
        (int(query.get("since", 0)), int(query.get("limit", 2**31))),
    ).fetchall()
    return [_drawn(name, dict(zip(names, row, strict=True))) for row in found]


def _drawn(name: str, row: Fields) -> Fields:
    if name == "effects":
        return row | {side: parsed(row[side]) if row[side] else None for side in ("before", "after")}
    if name == "sent":
        return row | {"ids": row["ids"].split(",")}
    return row | {"committed": bool(row["committed"])}
