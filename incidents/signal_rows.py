"""The rows that one signal becomes: itself, and the evidence that it is."""

import hashlib
from datetime import datetime
from typing import Any

from audit.proofs import canonical
from incidents.fingerprints import Fingerprint
from incidents.models import Evidence
from incidents.normal import NormalSignal
from incidents.rows import Written

_SIGNAL = Evidence.Form.SIGNAL.value


def signal_row(
    given: NormalSignal,
    print_: Fingerprint,
    *,
    incident_id: int,
    unit: str,
    region: str,
    merged: bool,
    now: datetime,
) -> dict[str, Any]:
    """Return the row of a signal that joins an incident of this unit and region."""
    return {
        "source": given.source,
        "event_id": given.id,
        "type": given.type,
        "channel": given.channel,
        "occurred_at": given.time,
        "received_at": now,
        "code": given.code,
        "entity_type": given.entity_type,
        "entity_key": given.entity_key,
        "attributes": Written(given.attributes, given.text_of("attributes")),
        "amount": given.amount,
        "currency": given.currency,
        # Where a channel does not know the unit, the signal is seen by those who see its incident.
        "business_unit": given.business_unit or unit,
        "region": given.region or region,
        "text": given.text,
        "raw": Written(given.raw, given.text_of("raw")),
        "fingerprint": print_.value,
        "fingerprint_explained": print_.explain(),
        "joined_id": incident_id,
        "incident_id": incident_id,
        "merged": merged,
        "delivery_id": given.delivery_id,
    }


def evidence_row(given: NormalSignal, *, incident_id: int, signal_id: int, now: datetime) -> dict[str, Any]:
    """Return the evidence that a signal is: what it said, by value, with the digest that proves it unchanged."""
    content: dict[str, Any] = {
        "source": given.source,
        "id": given.id,
        "time": given.time.isoformat(),
        "type": given.type,
        "channel": given.channel,
        "code": given.code,
        "entity_type": given.entity_type,
        "entity_key": given.entity_key,
        "attributes": given.attributes,
        "amount": None if given.amount is None else str(given.amount),
        "currency": given.currency,
        "text": given.text,
    }
    text = canonical(content)
    return {
        "incident_id": incident_id,
        "form": _SIGNAL,
        "name": "signals",
        "signal_id": signal_id,
        "system": given.source,
        "entity": given.entity_type,
        "record_id": given.id,
        "version": "",
        "captured_at": now,
        "digest": hashlib.sha256(text.encode()).hexdigest(),
        "content": Written(content, text),
        "url": "",
        "call_id": None,
        "round": 0,
    }
