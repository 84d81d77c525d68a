"""Open incidents: what a first signal makes of one, and what follows from its opening."""

from datetime import datetime

from audit.actions import Line, record_all
from audit.proofs import canonical
from incidents import sla
from incidents.briefs import brief
from incidents.expressions import render
from incidents.fingerprints import FINGERPRINT_VERSION, Fingerprint
from incidents.kinds import KindInBrief
from incidents.models import Incident
from incidents.normal import NormalSignal
from incidents.signals import incident_due
from incidents.states import SEVERITY_ORDER, Severity, Status


def new_incident(signal: NormalSignal, kind: KindInBrief | None, print_: Fingerprint, now: datetime) -> Incident:
    """Return the incident that a first signal opens, not yet saved."""
    status, reason = Status.NEW, ""
    if kind is None:
        status, reason = Status.NEEDS_OPERATOR, f"No exception kind {signal.code} is known here; decide what it means."
    elif not kind.enabled:
        status, reason = Status.NEEDS_OPERATOR, f"The exception kind {kind.label} is switched off."
    incident = Incident(
        kind_id=kind.pk if kind else None,
        code=kind.code if kind else signal.code,
        fingerprint=print_.value,
        fingerprint_version=FINGERPRINT_VERSION,
        status=status.value,
        status_reason=reason,
        severity=Severity.MEDIUM.value,
        severity_rank=SEVERITY_ORDER[Severity.MEDIUM],
        domain=kind.domain if kind else "",
        entity_type=signal.entity_type,
        entity_key=signal.entity_key,
        attributes=signal.attributes,
        business_unit=signal.business_unit,
        region=signal.region,
        amount=signal.amount,
        currency=signal.currency,
        signals_count=1,
        first_signal_at=signal.time,
        last_signal_at=signal.time,
        opened_at=now,
        due_at=now if status is Status.NEW else None,
    )
    incident.title = _title(incident, kind)
    return incident


def _title(incident: Incident, kind: KindInBrief | None) -> str:
    plain = f"{kind.label if kind else incident.code}: {incident.entity_type} {incident.entity_key}"
    if kind is None or not kind.title:
        return plain[:300]
    filled = render(kind.title, {"incident": brief(incident)})
    # What only the evidence knows is filled in by triage.
    return (plain if "?" in filled else filled)[:300]


def announce(opened: list[Incident], now: datetime, actor: str) -> None:
    """Start their clocks, enter them in the ledger and ring for the loop."""
    if not opened:
        return
    sla.start(opened, now)
    record_all(_opening(incident, actor) for incident in opened)
    for incident in opened:
        if incident.due_at is not None:
            incident_due.send(sender=Incident, incident_id=incident.pk)


def _opening(incident: Incident, actor: str) -> Line:
    after = {
        "status": str(incident.status),
        "code": incident.code,
        "entity_type": incident.entity_type,
        "entity_key": incident.entity_key,
        "fingerprint": incident.fingerprint,
    }
    return Line(
        "incident.opened",
        actor,
        Incident._meta.label_lower,
        str(incident.pk),
        incident.pk,
        incident.business_unit,
        incident.region,
        incident.status_reason,
        canonical({"after": after}),
    )
