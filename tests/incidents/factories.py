"""The rows of the backbone for tests: fixed values, each overridable."""

from datetime import UTC, datetime, timedelta
from typing import Any

from audit.clock import db_now
from incidents.intake import NormalSignal, accept
from incidents.models import Calendar, ExceptionKind, Incident, Queue, SlaPolicy
from incidents.states import CLOSED, Status

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)  # a Tuesday
WEEK = {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}


def definition(**changes: Any) -> dict[str, Any]:
    """The definition of a kind that says as little as a kind may."""
    return {"title": "Invoice {incident.entity_key} was sent twice", **changes}


def make_kind(code: str = "duplicate_invoice", *, enabled: bool = True, **changes: Any) -> ExceptionKind:
    """An exception kind about invoices; ``changes`` go into its definition."""
    return ExceptionKind.objects.create(
        code=code,
        label="Duplicate invoice",
        domain="billing",
        entity_type="invoice",
        definition=definition(**changes),
        enabled=enabled,
    )


def make_signal(**changes: Any) -> NormalSignal:
    """A signal about invoice CIV-000697, as a business event would tell it."""
    given: dict[str, Any] = {
        "source": "fo:demf",
        "id": "event-1",
        "time": NOON,
        "type": "SalesInvoicePostedBusinessEvent",
        "code": "duplicate_invoice",
        "entity_type": "invoice",
        "entity_key": "CIV-000697",
        "business_unit": "EU",
        "region": "DE",
        "amount": "1234.50",
        "currency": "EUR",
        "text": "Posted twice?",
        "raw": {"InvoiceId": "CIV-000697"},
    }
    return NormalSignal(**{**given, **changes})


def make_incident(**changes: Any) -> Incident:
    """An open incident as intake makes it; ``changes`` are those of the signal that opens it."""
    changes.setdefault("id", f"event-{Incident.objects.count() + 1}")
    return accept(make_signal(**changes)).incident


def later(minutes: float) -> datetime:
    """A time so many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def make_calendar(slug: str = "office", **changes: Any) -> Calendar:
    """Nine to five on weekdays in Berlin, without holidays."""
    given: dict[str, Any] = {"label": "Office", "time_zone": "Europe/Berlin", "hours": WEEK, **changes}
    return Calendar.objects.create(slug=slug, **given)


def make_policy(slug: str = "standard", *, calendar: Calendar | None = None, **changes: Any) -> SlaPolicy:
    """Acknowledge within an hour, resolve within a day, then tell approvers and compliance; the clock never rests."""
    always = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    given: dict[str, Any] = {
        "label": "Standard",
        "calendar": calendar or make_calendar("always", hours=always, time_zone="UTC"),
        "targets": {"medium": {"acknowledge": 60, "resolve": 1440}, "high": {"acknowledge": 15, "resolve": 120}},
        "escalate_to": ["approver", "compliance"],
        "escalate_every_minutes": 30,
        **changes,
    }
    return SlaPolicy.objects.create(slug=slug, **given)


def make_queue(slug: str = "billing", **changes: Any) -> Queue:
    """A queue that takes whatever no other queue takes."""
    return Queue.objects.create(slug=slug, **{"label": slug.capitalize(), **changes})


def assert_counters_equal_rows() -> None:
    """Hold every incident's counters to its rows."""
    for incident in Incident.objects.all():
        times = list(incident.signals.values_list("occurred_at", flat=True))
        assert incident.signals_count == len(times) == incident.evidence.filter(form="signal").count()
        assert incident.first_signal_at == min(times)
        assert incident.last_signal_at == max(times)


def put(incident: Incident, status: Status) -> Incident:
    """Set a status without asking whether it may be reached."""
    Incident.objects.filter(pk=incident.pk).update(
        status=status, closed_at=db_now() if status in CLOSED else None, due_at=None
    )
    return Incident.objects.get(pk=incident.pk)
