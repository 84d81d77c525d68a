"""The rows that one signal becomes: itself, and the evidence that it is."""

from datetime import datetime
from typing import Any

from audit.proofs import digest
from incidents.fingerprints import Fingerprint
from incidents.models import Evidence, Signal
from incidents.normal import NormalSignal


def signal_row(
    given: NormalSignal,
    print_: Fingerprint,
    *,
    incident_id: int,
    unit: str,
    region: str,
    merged: bool,
    now: datetime,
) -> Signal:
    """Return the row of a signal that joins an incident of this unit and region."""
    return Signal(
        source=given.source,
        event_id=given.id,
        type=given.type,
        channel=given.channel,
        occurred_at=given.time,
        received_at=now,
        code=given.code,
        entity_type=given.entity_type,
        entity_key=given.entity_key,
        attributes=given.attributes,
        amount=given.amount,
        currency=given.currency,
        # Where a channel does not know the unit, the signal is seen by those who see its incident.
        business_unit=given.business_unit or unit,
        region=given.region or region,
        text=given.text,
        raw=given.raw,
        fingerprint=print_.value,
        fingerprint_explained=print_.explain(),
        joined_id=incident_id,
        incident_id=incident_id,
        merged=merged,
        delivery_id=given.delivery_id,
    )


def evidence_row(signal: Signal) -> Evidence:
    """Return the evidence that a signal is: what it said, by value, with the digest that proves it unchanged."""
    content: dict[str, Any] = {
        "source": signal.source,
        "id": signal.event_id,
        "time": signal.occurred_at.isoformat(),
        "type": signal.type,
        "channel": signal.channel,
        "code": signal.code,
        "entity_type": signal.entity_type,
        "entity_key": signal.entity_key,
        "attributes": signal.attributes,
        "amount": None if signal.amount is None else str(signal.amount),
        "currency": signal.currency,
        "text": signal.text,
    }
    return Evidence(
        incident_id=signal.incident_id,
        form=Evidence.Form.SIGNAL,
        name="signals",
        signal_id=signal.pk,
        system=signal.source,
        entity=signal.entity_type,
        record_id=signal.event_id,
        captured_at=signal.received_at,
        digest=digest(content),
        content=content,
    )
