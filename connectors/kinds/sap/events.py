"""What SAP tells by itself: IDocs as XML, and CloudEvents of S/4HANA, which name a record and little else."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from audit.proofs import canonical
from connectors.base import Inbound, Refused
from connectors.kinds.sap import idocs
from connectors.kinds.sap.settings import SapConfig
from connectors.kit.batches import events_in, value_of

LONGEST_ID = 200
_KEY = re.compile(r"[A-Za-z0-9_/-]{1,20}\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)\Z")
# Fields of an event's data that name a record, and the read that finds it.
_NAMED: tuple[tuple[dict[str, str], str], ...] = (
    ({"SalesOrder": "order"}, "order.get"),
    ({"BillingDocument": "billing"}, "billing.get"),
    ({"SupplierInvoice": "invoice", "FiscalYear": "year"}, "supplier_invoice.get"),
)


def inbound(body: bytes, headers: Mapping[str, str], settings: SapConfig) -> list[Inbound]:
    """Cut a webhook's body into what it tells. Raises ``Refused`` where it is neither IDoc nor CloudEvent."""
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return idocs.inbound(body, settings)
    value = value_of(body)
    known = {name.lower(): text for name, text in headers.items()}
    if "ce-specversion" in known:
        return [_event({**_attributes(known), "data": value}, "The event")]
    return [_event(event, f"Event {number}") for number, event in enumerate(events_in(value), 1)]


def _attributes(headers: Mapping[str, str]) -> dict[str, str]:
    """Read an event whose attributes stand in headers: each is decoded exactly once."""
    found = {name[3:]: text.strip() for name, text in headers.items() if name.startswith("ce-")}
    return {name: unquote(_unquoted(text), errors="replace") for name, text in found.items()}


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text.startswith('"') and text.endswith('"')
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if quoted else text


def _event(event: Any, where: str) -> Inbound:
    if not isinstance(event, dict) or event.get("specversion") != "1.0":
        raise Refused(f"{where} is no CloudEvent 1.0.", status=400, code="shape")
    for name in ("id", "source", "type"):
        value = event.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= 1000:
            raise Refused(f"{where} has no {name}.", status=400, code="shape")
    # Source and id together name an event, never the id alone.
    identity = f"{event['source']}#{event['id']}"
    if len(identity) > LONGEST_ID:
        identity = hashlib.sha256(canonical([event["source"], event["id"]]).encode()).hexdigest()
    return Inbound(identity, event["type"][:200], event, _occurred(event, where))


def _occurred(event: Mapping[str, Any], where: str) -> datetime | None:
    text = event.get("time")
    if text is None:
        return None
    if isinstance(text, str) and _TIME.match(text):
        try:
            return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise Refused(f"{where}: its time is none.", status=400, code="shape")


def names_only(payload: Mapping[str, Any]) -> bool:
    """Tell whether a payload is an event whose record was not read yet."""
    return payload.get("specversion") == "1.0" and "record" not in payload and bool(record_of(payload)[0])


def record_of(payload: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the read, and its arguments, that fetch the record that an event names; blank where it names none."""
    data = payload.get("data")
    if not isinstance(data, Mapping):
        return "", {}
    for fields, read in _NAMED:
        found = {argument: data.get(field) for field, argument in fields.items()}
        texts = {name: value for name, value in found.items() if isinstance(value, str) and _KEY.match(value)}
        if len(texts) == len(fields):
            return read, texts
    return "", {}
