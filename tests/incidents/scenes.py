"""An invoice that was sent twice, the kind that looks into it, and what is found."""

from typing import Any

from incidents.evidence import collect
from incidents.models import Incident, RootCause
from incidents.rootcause import diagnose
from tests.incidents.conftest import Systems, invoice
from tests.incidents.factories import make_incident, make_kind

EVIDENCE: list[dict[str, Any]] = [
    {
        "as": "invoice",
        "connection": "fo",
        "operation": "invoice.find",
        "arguments": {"invoice": "incident.entity_key"},
        "one": True,
    },
    {
        "as": "twins",
        "connection": "fo",
        "operation": "invoices.by_order",
        "arguments": {"company": "invoice.dataAreaId", "order": "invoice.Order"},
        "if": "invoice != null",
        "filter": "row.InvoiceNumber != invoice.InvoiceNumber",
    },
    {
        "as": "cases",
        "connection": "crm",
        "operation": "cases.by_invoice",
        "arguments": {"invoice": "incident.entity_key"},
        "optional": True,
    },
]
CAUSES: list[dict[str, Any]] = [
    {
        "id": "complaint",
        "label": "The customer asked for a copy",
        "statements": [
            {
                "text": "Case {cases.0.CaseNumber} asks for a copy.",
                "grade": "consistent",
                "checks": [{"check": "cases.exists(c, c.Type == 'Copy')", "cites": ["cases.Type"]}],
            }
        ],
    },
    {
        "id": "sent_twice",
        "label": "The order was invoiced twice",
        "statements": [
            {
                "text": "Invoice {twins.0.InvoiceNumber} is for the same order"
                " and also {invoice.Total} {invoice.CurrencyCode}.",
                "grade": "observed",
                "checks": [
                    {"check": "size(twins) == 1", "cites": ["twins"]},
                    {"check": "twins[0].Total == invoice.Total", "cites": ["twins.Total", "invoice.Total"]},
                ],
            },
            {
                "text": "They differ by {derived.difference}.",
                "grade": "consistent",
                "checks": [{"check": "derived.difference < 0.01", "cites": ["invoice.Total"]}],
            },
        ],
    },
    {
        "id": "two_orders",
        "label": "Two orders were placed",
        "statements": [
            {
                "text": "The orders differ.",
                "grade": "observed",
                "checks": [
                    {
                        "check": "size(twins) > 0 && twins.all(t, t.Order != invoice.Order)",
                        "cites": ["twins.Order"],
                    }
                ],
            }
        ],
    },
]


def make_world(systems: Systems, **changes: Any) -> Incident:
    """An invoice with a twin, and the kind that asks for both."""
    make_kind(
        **{
            "evidence": EVIDENCE,
            "derived": {"difference": "abs(invoice.Total - twins[0].Total)"},
            "causes": CAUSES,
            **changes,
        }
    )
    systems.hold("invoice.find", invoice())
    systems.hold("invoices.by_order", invoice(), invoice("CIV-000698"))
    return make_incident(amount=None)


def found_cause(systems: Systems, **changes: Any) -> RootCause:
    """What the built-in analyst says of it."""
    incident = make_world(systems, **changes)
    collect(incident, actor="system:loop")
    return diagnose(incident, actor="system:loop")
