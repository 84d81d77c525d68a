"""An incident in short: as expressions see it, and as the ledger enters it."""

from typing import Any

from audit.actions import record
from incidents.models import Incident


def brief(incident: Incident) -> dict[str, object]:
    """Return the incident as expressions see it."""
    return {
        "id": incident.pk,
        "code": incident.code,
        "title": incident.title,
        "status": str(incident.status),
        "severity": str(incident.severity),
        "domain": incident.domain,
        "entity_type": incident.entity_type,
        "entity_key": incident.entity_key,
        "attributes": incident.attributes,
        "business_unit": incident.business_unit,
        "region": incident.region,
        "amount": incident.amount,
        "currency": incident.currency,
        "revenue_at_risk": incident.revenue_at_risk,
        "signals_count": incident.signals_count,
        "opened_at": incident.opened_at,
    }


def note(incident: Incident, verb: str, *, actor: str, reason: str = "", **parts: dict[str, Any]) -> None:
    """Enter in the ledger something that was done to or about an incident, with its unit and region."""
    record(
        verb,
        actor=actor,
        target=incident,
        incident=incident.pk,
        business_unit=incident.business_unit,
        region=incident.region,
        reason=reason,
        **parts,
    )
