"""IDocs towards SAP: received is not posted, so each is followed by its status until it says 53, or that it failed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StringConstraints

from connectors.base import Arguments, Blocked, Record, Unanswered, Written
from connectors.kinds.sap import rfc, xmltext
from connectors.kinds.sap.effects import IDOC
from connectors.kinds.sap.settings import listed, set_of

if TYPE_CHECKING:
    from connectors.kinds.sap.connector import Sap

POSTED = "53"
Segment = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{1,29}$")]
Value = Annotated[str, StringConstraints(max_length=1000)]


class Inner(Arguments):
    """A segment inside another one."""

    segment: Segment
    fields: dict[Segment, Value] = Field(default_factory=dict, max_length=100)


class Outer(Inner):
    """A segment, and the segments inside it."""

    inside: list[Inner] = Field(default_factory=list, max_length=200)


class IdocArguments(Arguments):
    """Send an IDoc. ``reference`` names what it is about, by which it is found again."""

    basic_type: Segment
    message_type: Segment
    reference: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:/-]{1,60}$")]
    segments: list[Outer] = Field(min_length=1, max_length=500)


def mark_of(effect_key: str) -> str:
    """Make the archive key of an effect key; it may have 70 letters."""
    return f"GS{hashlib.sha256(effect_key.encode()).hexdigest()[:40].upper()}"


def _rows(sap: Sap, *, mark: str = "", reference: str = "") -> list[dict[str, str]]:
    """Fetch the states of IDocs by our mark or by their reference, the youngest last."""
    if not sap.settings.idoc_status_set:
        raise Blocked(
            f"{sap.name}: no IDoc is sent before it is configured where its status is read.", code="operation"
        )
    service, entity = set_of(sap.settings.idoc_status_set)
    names = listed(sap.settings.idoc_status_fields)
    found = sap.matching(service, entity, {names[3]: mark} if mark else {names[4]: reference})
    rows = [{name: str(row.fields.get(name) or "") for name in names} for row in found]
    keyed = [dict(zip(("number", "status", "text", "mark", "reference"), row.values(), strict=True)) for row in rows]
    return sorted(keyed, key=lambda row: row["number"].zfill(16))


def observe(sap: Sap, args: Any) -> list[Record]:
    """Show the youngest IDoc about the reference. Raises ``Unanswered`` while it is on its way."""
    rows = _rows(sap, reference=args.reference)
    if not rows:
        return [Record(sap.name, IDOC, args.reference, "", {"Status": None, "Number": None, "Text": None})]
    last = rows[-1]
    if last["status"] in listed(sap.settings.idoc_waiting):
        raise Unanswered(f"{sap.label}: IDoc {last['number']} is still on its way ({last['status']}).", code="waiting")
    fields = {"Status": last["status"], "Number": last["number"], "Text": last["text"]}
    return [Record(sap.name, IDOC, args.reference, "", fields)]


def find(sap: Sap, args: Any, effect_key: str) -> Written | None:
    """Look for the IDoc that carries our mark, whatever became of it."""
    rows = _rows(sap, mark=mark_of(effect_key))
    if not rows:
        return None
    return Written(result={"found_by": "archive key", "idoc": rows[-1]["number"], "status": rows[-1]["status"]})


def send(sap: Sap, args: Any, effect_key: str) -> Written:
    """Send an IDoc. The answer says that it was received, and no more."""
    config = sap.settings
    if not config.idoc_status_set:
        raise Blocked(
            f"{sap.name}: no IDoc is sent before it is configured where its status is read.", code="operation"
        )
    headers = {"Content-Type": "text/xml; charset=utf-8", "Accept": "*/*"}
    body = document(sap, args, effect_key)
    reply = sap.change("POST", config.base_url + config.idoc_path, "", raw=body, headers=headers, effect_key=effect_key)
    if reply.body.strip() and "xml" in reply.headers.get("content-type", ""):
        rfc.taken(reply, sap.label)
    return Written(result={"received": True, "archive_key": mark_of(effect_key)}, request_id=sap.trace.request_id)


def document(sap: Sap, args: Any, effect_key: str) -> bytes:
    """Write an IDoc as XML. Raises ``Blocked``: some letters no XML carries."""
    config, now = sap.settings, datetime.now(UTC)
    control = {
        "TABNAM": "EDI_DC40", "MANDT": config.client, "DIRECT": "2", "IDOCTYP": args.basic_type,
        "MESTYP": args.message_type, "SNDPOR": config.idoc_sender_port, "SNDPRT": "LS", "SNDPRN": config.idoc_partner,
        "SNDLAD": args.reference, "RCVPRT": "LS", "RCVPRN": config.logical_system, "CREDAT": now.strftime("%Y%m%d"),
        "CRETIM": now.strftime("%H%M%S"), "ARCKEY": mark_of(effect_key),
    }  # fmt: skip
    try:
        parts = [_segment("EDI_DC40", control, ""), *(_outer(segment) for segment in args.segments)]
    except xmltext.BadXml as bad:
        raise Blocked(f"{bad}.", code="arguments") from None
    inner = "".join(parts)
    text = (
        f'<?xml version="1.0" encoding="utf-8"?><{args.basic_type}><IDOC BEGIN="1">{inner}</IDOC></{args.basic_type}>'
    )
    return text.encode()


def _outer(segment: Any) -> str:
    return _segment(
        segment.segment, segment.fields, "".join(_segment(one.segment, one.fields, "") for one in segment.inside)
    )


def _segment(name: str, fields: Mapping[str, str], inside: str) -> str:
    written = "".join(xmltext.written(field, value) for field, value in fields.items() if value)
    return f'<{name} SEGMENT="1">{written}{inside}</{name}>'
