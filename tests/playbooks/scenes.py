"""An invoice that was posted twice, in every state of the loop, as rows: what the console's pages are shown with."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from approvals.models import ApprovalRequest
from audit.actions import record
from audit.clock import db_now
from audit.proofs import digest
from incidents.models import (
    Calendar,
    Citation,
    Evidence,
    ExceptionKind,
    Incident,
    Queue,
    RootCause,
    Signal,
    SlaClock,
    SlaPolicy,
    Statement,
)
from incidents.states import CLOSED, SEVERITY_ORDER, Severity, Status
from playbooks.models import DeadLetter, Execution, Plan
from playbooks.states import ExecutionState, PlanState, StepState
from tests.playbooks.mends import ask, make_letter, make_plan, make_run

TITLE = "Invoice INV-10482 was posted twice to Northgate Retail"
CAUSES = [
    {
        "id": slug,
        "label": label,
        "statements": [{"text": label, "grade": "observed", "checks": [{"check": "twin != null", "cites": ["twin"]}]}],
    }
    for slug, label in (("sent-twice", "The order confirmation was sent twice"), ("split-shipment", "Split shipment"))
]
READ = {"as": "twin", "connection": "fo", "operation": "invoice.find", "arguments": {}, "one": True}


def make_kind(code: str = "duplicate_invoice") -> ExceptionKind:
    """The kind of an invoice that was posted twice."""
    definition = {"title": "Invoice {incident.entity_key} was posted twice", "evidence": [READ], "causes": CAUSES}
    values = {"label": "Duplicate invoice", "domain": "billing", "entity_type": "invoice", "definition": definition}
    return ExceptionKind.objects.get_or_create(code=code, defaults=values)[0]


def make_incident(
    status: Status = Status.AWAITING_APPROVAL, severity: Severity = Severity.HIGH, **changes: Any
) -> Incident:
    """An incident in any status, with its signal."""
    now, number = db_now(), Incident.objects.count() + 1
    values: dict[str, Any] = {
        "kind": make_kind(),
        "code": "duplicate_invoice",
        "fingerprint": digest(["scene", number]),
        "title": TITLE,
        "status": status,
        "severity": severity,
        "severity_rank": SEVERITY_ORDER[severity],
        "domain": "billing",
        "entity_type": "invoice",
        "entity_key": "INV-10482",
        "business_unit": "EU",
        "region": "DE",
        "amount": Decimal("1250.00"),
        "revenue_at_risk": Decimal("1250.00"),
        "risk_explained": [{"record": "INV-10482", "field": "TotalInvoiceAmount", "amount": "1250.00"}],
        "currency": "EUR",
        "signals_count": 1,
        "first_signal_at": now - timedelta(minutes=14),
        "last_signal_at": now - timedelta(minutes=9),
        "opened_at": now - timedelta(minutes=14),
        "closed_at": now if status in CLOSED else None,
        "resolved_at": now if status is Status.RESOLVED else None,
    }
    incident = Incident.objects.create(**{**values, **changes})
    make_signal(incident)
    with transaction.atomic():
        record(
            "incident.opened", actor="system:intake", target=incident, incident=incident.pk, reason="a business event"
        )
    return incident


def make_signal(incident: Incident, **changes: Any) -> Signal:
    """One signal that joined the incident."""
    number = Signal.objects.count() + 1
    values: dict[str, Any] = {
        "source": "fo:demf",
        "event_id": f"event-{number}",
        "type": "SalesInvoicePostedBusinessEvent",
        "channel": "hook",
        "occurred_at": incident.first_signal_at,
        "received_at": incident.first_signal_at,
        "code": incident.code,
        "entity_type": incident.entity_type,
        "entity_key": incident.entity_key,
        "text": "Invoice posted",
        "raw": {"DocumentNumber": incident.entity_key},
        "fingerprint": incident.fingerprint,
        "fingerprint_explained": {"kind": incident.code, "entity": incident.entity_key},
        "joined": incident,
        "incident": incident,
    }
    signal = Signal.objects.create(**{**values, **changes})
    if signal.merged:
        incident.signals_count += 1
        Incident.objects.filter(pk=incident.pk).update(signals_count=incident.signals_count)
    return signal


def make_evidence(incident: Incident, name: str, record_id: str, **content: Any) -> Evidence:
    """One record as it stood."""
    return Evidence.objects.create(
        incident=incident,
        form=Evidence.Form.RECORD,
        name=name,
        system="fo",
        entity="SalesInvoiceHeadersV2",
        record_id=record_id,
        version='W/"12"',
        captured_at=incident.opened_at,
        digest=digest(content),
        content=content,
        url="https://fo.example.com/?cmp=demf" if record_id else "javascript:alert(1)",
        round=1,
    )


def make_cause(incident: Incident, cause: str = "sent-twice") -> RootCause:
    """The diagnosis: what holds (or nothing), and a rival that a record has ruled out."""
    first = make_evidence(
        incident, "twin", "demf/INV-10481", InvoiceNumber="INV-10481", CustomersOrderReference="PO-7731"
    )
    second = make_evidence(incident, "invoice", "demf/INV-10482", InvoiceNumber="INV-10482", TotalInvoiceAmount=1250.0)
    missing = make_evidence(incident, "credit_notes", "", outcome="none", operation="credit_notes.by_invoice")
    found = RootCause.objects.create(
        incident=incident,
        round=1,
        engine="built-in",
        cause=cause,
        summary="Both invoices carry the same order." if cause else "2 causes were tested.",
        created_at=incident.opened_at,
        inputs_digest="i" * 64,
    )
    if cause:
        said = {"hypothesis": cause}
        reference = "Both invoices carry the customer reference PO-7731"
        _claim(found, [(first, "CustomersOrderReference")], number=1, text=reference, **said)
        uncredited = "Nobody has credited either of them"
        _claim(found, [(missing, "")], number=2, text=uncredited, grade="consistent", **said)
    rival = {"hypothesis": "split-shipment", "verdict": "ruled_out", "refuted_by": "only one packing slip is there."}
    _claim(found, [(second, "InvoiceNumber")], number=3, text="There were two deliveries", **rival)
    return found


def _claim(cause: RootCause, cited: list[tuple[Evidence, str]], **columns: Any) -> Statement:
    statement = Statement.objects.create(root_cause=cause, **{"grade": "observed", "verdict": "holds", **columns})
    for row, field in cited:
        claim = {"check": f"{row.name} != null", "cites": row.name, "result": statement.verdict == "holds", "round": 1}
        value = row.content.get(field) if field else None
        Citation.objects.create(statement=statement, evidence=row, field=field, value=value, claim=claim)
    return statement


def make_clock(incident: Incident, *, left: timedelta = timedelta(hours=3, minutes=12), **changes: Any) -> SlaClock:
    """The incident's clock, with so much time left."""
    calendar, _ = Calendar.objects.get_or_create(slug="always", defaults={"label": "Always", "hours": {}})
    policy, _ = SlaPolicy.objects.get_or_create(slug="standard", defaults={"label": "Standard", "calendar": calendar})
    due = db_now() + left
    return SlaClock.objects.create(
        incident=incident, policy=policy, started_at=incident.opened_at, resolve_due=due, acknowledge_due=due, **changes
    )


def make_queue() -> Queue:
    """The billing team's queue."""
    return Queue.objects.get_or_create(slug="billing", defaults={"label": "Billing"})[0]


def waiting_for_approval(**changes: Any) -> tuple[Incident, Plan, ApprovalRequest]:
    """The incident with its cause found, its plan made and its approval asked."""
    incident = make_incident(Status.AWAITING_APPROVAL, **changes)
    make_cause(incident)
    plan = make_plan(incident)
    return incident, plan, ask(plan)


def resolved(**changes: Any) -> tuple[Incident, Plan, Execution]:
    """The incident mended and read back."""
    incident = make_incident(Status.RESOLVED, **changes)
    make_cause(incident)
    plan = make_plan(incident, PlanState.EXECUTED, autonomous=True)
    return incident, plan, make_run(plan)


def stuck(**changes: Any) -> tuple[Incident, Execution, DeadLetter]:
    """The incident whose second step was refused: it needs a person."""
    changes = {"status_reason": "Salesforce refused closing the case.", **changes}
    incident = make_incident(Status.NEEDS_OPERATOR, **changes)
    make_cause(incident)
    run = make_run(
        make_plan(incident, PlanState.APPROVED), ExecutionState.FAILED, StepState.VERIFIED, StepState.REFUSED
    )
    return incident, run, make_letter(run, 2)
