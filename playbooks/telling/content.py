"""What a message says: plain functions from an incident or a request for approval to a ``Message``.

Nothing in a message decides anything: a request for approval links to its page behind the console's sign-in.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.conf import settings

from approvals.models import ApprovalRequest
from audit.models import Entry
from audit.serializers import body_of
from connectors.door import classes
from connectors.door.models import DataClass
from connectors.models import Connection
from connectors.wire.payloads import storable_text
from incidents.models import Comment, Incident, SlaClock
from incidents.states import CLOSED, Severity, Status
from playbooks.telling.audience import request_of
from playbooks.telling.models import Outgoing
from playbooks.telling.states import Event

TYPE = "io.goldseam."
NOWHERE = "goldseam"  # the source of events where nobody has said under which address the console is reached
_LONGEST_REASON = 600


@dataclass(frozen=True)
class Happened:
    """One event with all that a message about it may be made of."""

    row: Outgoing
    entry: Entry
    incident: Incident
    approval: ApprovalRequest | None
    clock: SlaClock | None
    comment: Comment | None = None

    @property
    def event(self) -> Event:
        """Return which event it is."""
        return Event(self.row.event)

    @property
    def connection(self) -> Connection:
        """Return what it goes out through."""
        return self.row.subscription.connection

    @property
    def foreign(self) -> bool:
        """Tell whether it leaves for a system that is none of the business: then it names the case and no more."""
        return self.connection.data_class != DataClass.BUSINESS


def gather(row: Outgoing) -> Happened:
    """Read what a message about one event may be made of, as it stands now."""
    entry, incident = Entry.objects.get(n=row.entry), Incident.objects.get(pk=row.incident_id)
    number = request_of(entry)
    approval = None if number is None else ApprovalRequest.objects.filter(pk=number).first()
    written = body_of(entry).get("data", {}).get("comment") if row.event == Event.COMMENTED else None
    comment = Comment.objects.filter(pk=written, incident=incident).first() if isinstance(written, int) else None
    return Happened(row, entry, incident, approval, SlaClock.objects.filter(incident=incident).first(), comment)


def compose(happened: Happened, *, recipients: tuple[str, ...], thread: str) -> dict[str, Any]:
    """Return the arguments of a ``Message`` about what happened."""
    row, incident, approval = happened.row, happened.incident, happened.approval
    subject = happened.event.subject
    about: Incident | ApprovalRequest = approval if subject == "approval" and approval is not None else incident
    said = "" if happened.foreign else _reason(happened.entry.reason)
    text = _clear(" ".join(filter(None, (_sentence(happened), said))), 4000)
    if happened.comment is not None and not happened.foreign:
        text = _kept(happened.comment.text, 4000)
    named = str(incident) if happened.foreign else f"{incident}: {incident.title}"
    return {
        "id": row.event_id,
        "type": TYPE + row.event,
        "source": settings.PUBLIC_URL or NOWHERE,
        "subject": f"{'incident' if about is incident else 'approval'}/{about.pk}",
        "occurred_at": row.occurred_at.isoformat(),
        "title": _clear(f"{happened.event.label} · {named}", 300),
        "text": text,
        "facts": [[name, _clear(value, 200)] for name, value in _facts(happened)],
        "link": settings.PUBLIC_URL + about.get_absolute_url() if settings.PUBLIC_URL else "",
        "link_label": "Look and decide" if happened.event is Event.ASKED else "Open in Goldseam",
        "thread": thread,
        "recipients": list(recipients),
        "data": _data(happened),
    }


def _clear(text: str, most: int) -> str:
    text = storable_text(" ".join(text.split()))
    return text if len(text) <= most else text[: most - 1] + "…"


def _kept(text: str, most: int) -> str:
    """Return what a person wrote, line by line as they did."""
    text = storable_text(text).strip()
    return text if len(text) <= most else text[: most - 1] + "…"


def _reason(text: str) -> str:
    text = _clear(text, _LONGEST_REASON)
    return text if not text or text.endswith((".", "…", "!", "?")) else f"{text}."


def _sentence(happened: Happened) -> str:
    if happened.event is Event.ASKED:
        return "Nothing in this message approves anything: sign in to see the exact change and decide."
    if happened.event is Event.NEEDS_OPERATOR:
        return "The loop stopped here and waits for a person."
    if happened.event is Event.DEAD_LETTER:
        return "A step cannot go on by itself."
    return ""


def _facts(happened: Happened) -> list[tuple[str, str]]:
    incident = happened.incident
    facts = [
        ("Incident", str(incident)),
        ("Severity", Severity(incident.severity).label),
        ("Status", Status(incident.status).label),
    ]
    if not happened.foreign:
        if happened.comment is not None:
            facts.append(("Written by", happened.comment.author))
        facts.append(("Entity", f"{incident.entity_type} {incident.entity_key}"))
        risk = incident.revenue_at_risk
        if risk is not None and not _held_back(happened.connection, "revenue_at_risk"):
            facts.append(("Revenue at risk", _money(risk, incident.currency)))
        facts.append(("Business unit", " · ".join(filter(None, (incident.business_unit, incident.region)))))
    due = _due(happened)
    if due is not None:
        facts.append(("Due", due.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")))
    return [(name, value) for name, value in facts if value]


def _money(amount: Decimal, currency: str) -> str:
    return f"{amount:,.2f} {currency}".strip()


def _due(happened: Happened) -> datetime | None:
    if happened.event is Event.ASKED and happened.approval is not None:
        return happened.approval.expires_at
    if happened.clock is None or happened.incident.status in CLOSED:
        return None
    return happened.clock.resolve_due


def _held_back(connection: Connection, name: str) -> bool:
    return bool(classes.uncleared(connection, name, classes.label_of(connection, name)))


def _data(happened: Happened) -> dict[str, Any]:
    """Return the same for machines: numbers, states and times; values of records only where they were asked for."""
    incident, entry = happened.incident, happened.entry
    known: dict[str, Any] = {
        "id": incident.pk,
        "name": str(incident),
        "kind": incident.code,
        "status": str(incident.status),
        "severity": str(incident.severity),
        "opened_at": _moment(incident.opened_at),
        "resolved_at": _moment(incident.resolved_at),
    }
    if not happened.foreign:
        known |= {
            "domain": incident.domain,
            "entity": {"type": incident.entity_type, "key": incident.entity_key},
            "business_unit": incident.business_unit,
            "region": incident.region,
        }
    data: dict[str, Any] = {"event": happened.row.event, "entry": entry.n, "incident": known}
    if happened.clock is not None:
        data["sla"] = {"resolve_due": _moment(happened.clock.resolve_due), "breached": bool(happened.clock.breached_at)}
    if happened.approval is not None:
        data["approval"] = _approval(happened.approval)
    elif happened.event.subject in ("execution", "dead_letter"):
        data[happened.event.subject] = {"id": entry.target_id}
    if happened.row.subscription.with_values and not happened.foreign:
        data["values"] = _values(happened.connection, incident)
    return data


def _approval(approval: ApprovalRequest) -> dict[str, Any]:
    return {
        "id": approval.pk,
        "kind": approval.subject,
        "state": str(approval.state),
        "required": approval.required,
        "given": approval.given,
        "expires_at": _moment(approval.expires_at),
    }


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _values(connection: Connection, incident: Incident) -> dict[str, Any]:
    """Return amounts and attributes, without those whose label any connection gives and the target is not cleared for.

    Money counts as financial whether or not somebody labelled it.
    """
    labelling = [connection, *Connection.objects.exclude(labels={}).exclude(pk=connection.pk)]
    # A record within a record is left out: its fields cannot be held against the labels by one name.
    plain = {name: value for name, value in incident.attributes.items() if not isinstance(value, dict | list)}
    if "financial" in connection.cleared:
        for name in ("amount", "revenue_at_risk"):
            value = getattr(incident, name)
            plain[name] = None if value is None else {"amount": f"{value:.2f}", "currency": incident.currency}
    return {
        name: value
        for name, value in plain.items()
        if not any(classes.uncleared(connection, name, classes.label_of(one, name)) for one in labelling)
    }
