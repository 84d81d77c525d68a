"""What SAP tells by itself: IDocs as XML, and CloudEvents of S/4HANA, which name a record and little else."""

import re
from collections.abc import Mapping
from typing import Any

from connectors.base import Inbound
from connectors.kinds.sap import idocs
from connectors.kinds.sap.settings import SapConfig
from connectors.kit.batches import events_in, value_of
from connectors.kit.cloudevents import VERSION_HEADER, attributes, told

_KEY = re.compile(r"[A-Za-z0-9_/-]{1,20}\Z")
# What reading the record that an event names adds to the event.
RECORD, GONE = "record", "gone"
_READ = frozenset({RECORD, GONE})
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
    if VERSION_HEADER in known:
        return [_event({**attributes(known), "data": value}, "The event")]
    return [_event(event, f"Event {number}") for number, event in enumerate(events_in(value), 1)]


def _event(event: Any, where: str) -> Inbound:
    """Return an event without what only a read may add: who sends may not say what SAP holds."""
    said = {name: value for name, value in event.items() if name not in _READ} if isinstance(event, dict) else event
    return told(said, where)


def names_only(payload: Mapping[str, Any]) -> bool:
    """Tell whether a payload is an event whose record was not read yet."""
    return payload.get("specversion") == "1.0" and RECORD not in payload and bool(record_of(payload)[0])


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
