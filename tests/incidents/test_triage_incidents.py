"""Triage: severity, title, amounts, revenue at risk and queue, each with its reason."""

from decimal import Decimal

import pytest

from audit.models import Entry
from incidents.evidence import collect
from incidents.models import Incident
from incidents.rootcause import diagnose
from incidents.triage import route, triage
from tests.incidents.conftest import invoice
from tests.incidents.factories import make_incident, make_kind, make_policy, make_queue
from tests.incidents.scenes import EVIDENCE, found_cause, make_world

pytestmark = pytest.mark.django_db


SEVERITY = [
    {"when": "invoice.Total > 1000", "severity": "high", "because": "{invoice.Total} {invoice.CurrencyCode} too much"},
    {"when": "incident.business_unit == 'EU'", "severity": "low", "because": "It is only {incident.business_unit}"},
]


def test_the_first_severity_rule_that_holds_decides_and_says_why(systems):
    cause = found_cause(systems, severity=SEVERITY)

    incident = Incident.objects.get(pk=cause.incident.pk)
    assert (incident.severity, incident.severity_rank) == ("high", 1)
    assert incident.severity_reason == "1234.50 EUR too much"


def test_before_the_evidence_a_rule_that_needs_it_does_not_speak(systems):
    incident = make_world(systems, severity=SEVERITY)

    triage(incident, actor="system:loop")

    assert (incident.severity, incident.severity_reason) == ("low", "It is only EU")


def test_without_a_rule_the_severity_is_medium(systems):
    incident = make_world(systems)

    triage(incident, actor="system:loop")

    assert incident.severity == "medium"
    assert "No rule" in incident.severity_reason


def test_revenue_at_risk_is_summed_record_by_record(systems):
    risk = [{"record": "invoice", "field": "Total"}, {"record": "twins", "field": "Total"}]

    incident = Incident.objects.get(pk=found_cause(systems, revenue_at_risk=risk).incident.pk)

    assert incident.revenue_at_risk == Decimal("2469.00")
    assert [(line["record"], line["amount"], line["currency"]) for line in incident.risk_explained] == [
        ("SalesInvoiceHeadersV2 demf/CIV-000697", "1234.50", "EUR"),
        ("SalesInvoiceHeadersV2 demf/CIV-000698", "1234.50", "EUR"),
    ]


def test_an_amount_in_another_currency_is_shown_and_not_added(systems):
    incident = make_world(systems, revenue_at_risk=[{"record": "twins", "field": "Total"}])
    twins = [invoice("CIV-1", Total=10.0), invoice("CIV-2", Total=7.0, CurrencyCode="USD")]
    systems.hold("invoices.by_order", *twins)
    collect(incident, actor="system:loop")

    triage(incident, actor="system:loop")

    assert incident.revenue_at_risk == Decimal("10.00")
    assert incident.risk_explained[1]["not_added"] == "It is in USD, the incident in EUR."


def test_without_records_the_signal_says_what_is_at_risk(systems):
    make_kind()
    incident = make_incident(amount="50")

    triage(incident, actor="system:loop")

    assert incident.revenue_at_risk == Decimal("50.00")
    assert incident.risk_explained[0]["record"] == "signal"


def test_the_evidence_fills_what_the_signals_left_blank(systems):
    make_kind(
        evidence=EVIDENCE,
        amount="invoice.Total",
        currency="invoice.CurrencyCode",
        business_unit="invoice.dataAreaId == 'demf' ? 'EU' : 'US'",
        region="'DE'",
    )
    systems.hold("invoice.find", invoice())
    incident = make_incident(amount=None, currency="", business_unit="", region="FR")
    collect(incident, actor="system:loop")

    triage(incident, actor="system:loop")

    incident.refresh_from_db()
    assert (incident.amount, incident.currency, incident.business_unit, incident.region) == (
        Decimal("1234.50"),
        "EUR",
        "EU",
        "FR",
    )


def test_a_title_is_completed_by_the_evidence(systems):
    incident = make_world(systems, title="Invoice {invoice.InvoiceNumber} of {invoice.Total} was sent twice")
    plain_title = incident.title

    found = Incident.objects.get(pk=_diagnosed(incident).pk)

    assert plain_title == "Duplicate invoice: invoice CIV-000697"
    assert found.title == "Invoice CIV-000697 of 1234.50 was sent twice"


def _diagnosed(incident: Incident) -> Incident:
    collect(incident, actor="system:loop")
    diagnose(incident, actor="system:loop")
    return incident


def test_triage_again_over_the_same_facts_changes_nothing(systems):
    incident = _diagnosed(make_world(systems, severity=SEVERITY))
    incident = Incident.objects.get(pk=incident.pk)

    triage(incident, actor="system:loop")

    assert Incident.objects.get(pk=incident.pk).row_version == incident.row_version
    assert Entry.objects.filter(verb="incident.assessed").count() == 1


def test_a_new_severity_moves_the_due_times(systems):
    make_policy()
    incident = make_world(systems, severity=SEVERITY[:1])

    _diagnosed(incident)

    clock = Incident.objects.get(pk=incident.pk).sla
    assert (clock.resolve_due - clock.started_at).total_seconds() == 120 * 60


def test_the_queue_is_the_kinds_own_or_the_most_particular_that_fits():
    anybody = make_queue("anybody")
    billing = make_queue("billing", domains=["billing"])
    billing_eu = make_queue("billing-eu", domains=["billing"], business_units=["EU"])
    make_queue("fulfilment", domains=["fulfilment"])

    assert route("billing", "EU")[0] == billing_eu
    assert route("billing", "US") == (billing, "Billing takes domain billing.")
    assert route("legal", "US")[0] == anybody
    assert route("billing", "EU", "anybody") == (anybody, "The kind names the queue Anybody.")


def test_without_a_queue_that_fits_the_incident_has_none_and_says_so(systems):
    incident = make_world(systems)

    triage(incident, actor="system:loop")

    assert incident.queue is None
    assert "No queue" in incident.queue_reason
