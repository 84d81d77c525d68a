"""Evidence, triage and root cause: what is read, what is concluded, and that code has checked it."""

import json
import os
import subprocess
import sys
from decimal import Decimal

import pytest

from audit.models import Entry
from audit.proofs import canonical, digest
from connectors.base import NotFound, RateLimited, Refused, Unreachable
from incidents.evidence import collect, facts, plain
from incidents.expressions import ExpressionFailed, compile_expression
from incidents.models import Evidence, Incident, RootCause
from incidents.rootcause import as_data, diagnose, verify
from incidents.triage import route, triage
from tests.incidents.conftest import Systems, invoice
from tests.incidents.factories import make_incident, make_kind, make_policy, make_queue

pytestmark = pytest.mark.django_db

EVIDENCE = [
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
CAUSES = [
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


def make_world(systems: Systems, **changes) -> Incident:
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


# --- evidence ------------------------------------------------------------------------------------


def test_the_records_are_kept_as_they_stood(systems):
    incident = make_world(systems)

    collected = collect(incident, actor="system:loop")

    row = Evidence.objects.get(name="invoice")
    assert collected.found == {"invoice": 1, "twins": 1, "cases": 0}
    assert row.content["Total"] == 1234.5
    assert row.digest == digest(row.content)
    assert (row.system, row.entity, row.record_id, row.version, row.round) == (
        "fo",
        "SalesInvoiceHeadersV2",
        "demf/CIV-000697",
        'W/"1"',
        1,
    )
    assert row.call_id is not None
    assert row.url == "https://fo.example/CIV-000697"


def test_each_query_is_asked_with_what_earlier_ones_found(systems):
    collect(make_world(systems), actor="system:loop")

    assert systems.asked == [
        ("fo", "invoice.find", {"invoice": "CIV-000697"}),
        ("fo", "invoices.by_order", {"company": "demf", "order": "SO-1"}),
        ("crm", "cases.by_invoice", {"invoice": "CIV-000697"}),
    ]


def test_that_nothing_was_found_is_evidence_too(systems):
    collect(make_world(systems), actor="system:loop")

    row = Evidence.objects.get(name="cases")
    assert row.record_id == ""
    assert row.content["outcome"] == "none"
    assert row.content["arguments"] == {"invoice": "CIV-000697"}


def test_a_record_that_is_not_there_is_null_and_what_hangs_on_it_is_not_asked(systems):
    incident = make_world(systems)
    systems.refuse("invoice.find", NotFound("There is no such invoice.", status=404))

    collect(incident, actor="system:loop")

    found = facts(incident)
    assert (found["invoice"], found["twins"]) == (None, [])
    assert [operation for _, operation, _ in systems.asked] == ["invoice.find", "cases.by_invoice"]


def test_what_cannot_be_read_is_missing_and_never_guessed(systems):
    incident = make_world(systems)
    systems.refuse("cases.by_invoice", Unreachable("The CRM is down."), connection="crm")

    collected = collect(incident, actor="system:loop")

    assert collected.unreadable == {"cases": "The CRM is down."}
    assert "cases" not in facts(incident)
    with pytest.raises(ExpressionFailed, match="cases is not known"):
        compile_expression("size(cases) == 0").evaluate(facts(incident))


@pytest.mark.parametrize("error", [Unreachable("Down."), RateLimited("Wait.", retry_after=3), Refused("No right.")])
def test_a_record_that_is_needed_and_cannot_be_read_stops_the_round(systems, error):
    incident = make_world(systems)
    systems.refuse("invoices.by_order", error)

    with pytest.raises(type(error)):
        collect(incident, actor="system:loop")

    assert not Evidence.objects.filter(form="record").exists()


def test_a_connection_that_does_not_exist_is_unreachable(systems):
    incident = make_world(systems, evidence=[{**EVIDENCE[0], "connection": "sap"}], causes=[], derived={})

    with pytest.raises(Unreachable, match="no connection sap"):
        collect(incident, actor="system:loop")


def test_a_new_round_stands_beside_the_old_one(systems):
    incident = make_world(systems)
    collect(incident, actor="system:loop")
    systems.hold("invoice.find", invoice(Total=99.0))

    collect(incident, actor="system:loop")

    assert facts(incident)["invoice"]["Total"] == 99.0
    assert facts(incident, 1)["invoice"]["Total"] == 1234.5


def test_the_ledger_names_the_digests_of_what_was_read(systems):
    collect(make_world(systems), actor="system:loop")

    entry = Entry.objects.get(verb="evidence.collected")
    told = {part["name"]: part["digest"] for part in json.loads(entry.body)["data"]["evidence"]}
    assert told["invoice"] == Evidence.objects.get(name="invoice").digest


def test_signals_are_facts_in_the_order_of_what_they_say(systems):
    incident = make_world(systems)

    found = facts(incident)

    assert [signal["text"] for signal in found["signals"]] == ["Posted twice?"]
    assert found["incident"]["entity_key"] == "CIV-000697"


def test_a_derived_value_that_cannot_be_worked_out_is_missing(systems):
    incident = make_world(systems)
    systems.hold("invoices.by_order", invoice())

    collect(incident, actor="system:loop")

    assert facts(incident)["derived"] == {}


@pytest.mark.parametrize(
    ("healed", "expected"),
    [
        ("invoice.Total == 1234.5", "the source already says what it should."),
        ("invoice.Total == 0 ? 'Credited.' : ''", ""),
        ("'Credited by ' + invoice.Order", "Credited by SO-1"),
        ("cases[0].Closed", ""),
    ],
)
def test_a_source_that_is_already_right_is_noticed(systems, healed, expected):
    collected = collect(make_world(systems, healed=healed), actor="system:loop")

    assert collected.healed == expected


def test_an_incident_without_a_kind_has_no_records_to_read(systems):
    incident = make_incident(code="unknown")

    assert collect(incident, actor="system:loop").found == {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("10.50"), 10.5),
        (1e20, 100000000000000000000),
        (-0.0, 0),
        (float("nan"), "nan"),
        ("a\x00b", "a\ufffdb"),
        ((1, 2), [1, 2]),
        ({"a": {"b": None}}, {"a": {"b": None}}),
    ],
)
def test_a_value_is_kept_as_both_databases_give_it_back(systems, value, expected):
    incident = make_world(systems)
    systems.hold("invoice.find", invoice(Odd=value))

    collect(incident, actor="system:loop")

    row = Evidence.objects.get(name="invoice")
    assert plain(value) == expected
    assert row.content["Odd"] == expected
    assert digest(row.content) == row.digest


# --- root cause ----------------------------------------------------------------------------------


def found_cause(systems: Systems, **changes) -> RootCause:
    incident = make_world(systems, **changes)
    collect(incident, actor="system:loop")
    return diagnose(incident, actor="system:loop")


def test_the_cause_that_holds_is_found_with_its_citations(systems):
    cause = found_cause(systems)

    held = list(cause.statements.filter(verdict="holds"))
    assert (cause.cause, cause.engine) == ("sent_twice", "built-in")
    assert held[0].text == "Invoice CIV-000698 is for the same order and also 1234.50 EUR."
    assert [(row.evidence.record_id, row.field, row.value) for row in held[0].citations.all()] == [
        ("demf/CIV-000698", "", None),
        ("demf/CIV-000698", "Total", 1234.5),
        ("demf/CIV-000697", "Total", 1234.5),
    ]
    assert cause.summary.startswith("The order was invoiced twice. Invoice CIV-000698")


def test_a_rival_is_ruled_out_by_the_record_that_did_it(systems):
    cause = found_cause(systems)

    rival = cause.statements.get(hypothesis="two_orders")
    assert rival.verdict == "ruled_out"
    assert rival.refuted_by == "SalesInvoiceHeadersV2 demf/CIV-000698 says Order is SO-1."
    assert rival.citations.get().claim["result"] is False


def test_that_a_record_is_missing_rules_out_too(systems):
    cause = found_cause(systems)

    rival = cause.statements.get(hypothesis="complaint")
    assert rival.refuted_by == "crm has no cases here (cases.by_invoice)."


def test_what_could_not_be_read_leaves_a_cause_untested(systems):
    systems.refuse("cases.by_invoice", Unreachable("Down."), connection="crm")

    cause = found_cause(systems)

    open_ = cause.statements.get(hypothesis="complaint")
    assert (cause.cause, open_.verdict) == ("sent_twice", "untested")
    assert open_.refuted_by == "Could not be tested: cases is not known here."


def test_without_a_cause_it_says_what_was_visible(systems):
    incident = make_world(systems)
    systems.hold("invoices.by_order", invoice(), invoice("CIV-000698", Total=1.0))
    collect(incident, actor="system:loop")

    cause = diagnose(incident, actor="system:loop")

    assert cause.cause == ""
    assert cause.summary.startswith("No cause found. Ruled out: The customer asked for a copy, The order was invoiced")
    assert "Looked at: SalesInvoiceHeadersV2 demf/CIV-000697" in cause.summary
    assert not cause.statements.filter(verdict="holds").exists()


def test_of_a_cause_that_is_out_nothing_is_left_standing(systems):
    incident = make_world(systems)
    systems.hold("invoices.by_order", invoice(), invoice("CIV-000698", Total=1234.9))
    collect(incident, actor="system:loop")

    cause = diagnose(incident, actor="system:loop")

    assert set(cause.statements.filter(hypothesis="sent_twice").values_list("verdict", flat=True)) == {"ruled_out"}


def test_the_first_cause_that_holds_is_the_one(systems):
    systems.hold("cases.by_invoice", invoice("CASE-1", Type="Copy", CaseNumber="1"), connection="crm")

    cause = found_cause(systems)

    assert cause.cause == "complaint"
    assert cause.statements.filter(hypothesis="sent_twice", verdict="holds").count() == 2


def test_the_same_evidence_is_not_diagnosed_twice(systems):
    cause = found_cause(systems)

    again = diagnose(cause.incident, actor="system:loop")

    assert again.pk == cause.pk


def test_a_new_round_gets_a_new_answer(systems):
    cause = found_cause(systems)
    systems.hold("invoices.by_order", invoice())
    collect(cause.incident, actor="system:loop")

    again = diagnose(cause.incident, actor="system:loop")

    assert (again.round, again.cause) == (2, "")


def test_every_citation_holds_when_it_is_evaluated_again(systems):
    cause = found_cause(systems)

    assert verify(cause) == []


def test_a_citation_whose_record_was_altered_no_longer_holds(systems):
    cause = found_cause(systems)
    row = Evidence.objects.get(record_id="demf/CIV-000698")
    Evidence.objects.filter(pk=row.pk).update(content={**row.content, "Total": 1.0})

    broken = verify(cause)

    assert {citation.evidence_id for citation in broken} >= {row.pk}


def test_a_record_of_another_incident_cannot_be_cited(systems):
    cause = found_cause(systems)
    other = make_incident(id="other", entity_key="CIV-9")
    Evidence.objects.filter(record_id="demf/CIV-000698").update(incident=other)

    assert verify(cause)


def test_a_statement_is_text_whatever_the_record_says(systems):
    systems.hold("invoice.find", invoice(CurrencyCode="{incident.code} <script>"))
    incident = make_world(systems)
    systems.hold("invoice.find", invoice(CurrencyCode="{incident.code} <script>"))
    collect(incident, actor="system:loop")

    cause = diagnose(incident, actor="system:loop")

    assert "{incident.code} <script>" in cause.statements.filter(verdict="holds")[0].text


# --- triage --------------------------------------------------------------------------------------

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


# --- the same everywhere -------------------------------------------------------------------------

SCRIPT = """
import django, json, sys
django.setup()
from types import SimpleNamespace
from incidents import rootcause
from incidents.evidence import plain
from incidents.expressions import render
from incidents.kinds import KindDefinition
from incidents.models import Evidence
given = json.load(sys.stdin)
definition = KindDefinition.model_validate(given["definition"])
rows = {}
for name, record, content in given["rows"]:
    rows.setdefault(name, []).append(Evidence(name=name, system="fo", entity="E", record_id=record, content=content))
basis = rootcause._Basis(SimpleNamespace(pk=1), 1, given["facts"], rows)
for cause in definition.causes:
    for tested in rootcause._test(cause, basis).statements:
        print(tested.verdict, tested.text, tested.refuted_by, [(c.field, c.value, c.claim) for c in tested.citations])
"""


def test_another_process_with_another_hash_seed_says_the_same_byte_for_byte(systems):
    incident = make_world(systems)
    collect(incident, actor="system:loop")
    rows = Evidence.objects.filter(form="record").order_by("pk")
    given = canonical(
        {
            "definition": incident.kind.definition,
            "facts": facts(incident),
            "rows": [[row.name, row.record_id, row.content] for row in rows],
        }
    )

    said = {_run(given, seed) for seed in ("0", "1", "4711")}

    assert len(said) == 1
    assert "CIV-000698 is for the same order" in said.pop()


def _run(given: str, seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-c", SCRIPT]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True, env=environment).stdout


def test_the_whole_answer_is_the_same_for_the_same_problem_again(systems):
    cause = found_cause(systems)
    first = canonical(as_data(cause))
    twin = make_incident(id="again", amount=None)
    Incident.objects.filter(pk=twin.pk).update(status="dismissed", closed_at=twin.opened_at)
    other = Incident.objects.get(pk=cause.incident.pk)
    collect(other, actor="system:loop")

    second = canonical(as_data(diagnose(other, actor="system:loop"))).replace('"round":2', '"round":1')

    assert _without_inputs(second) == _without_inputs(first)


def _without_inputs(text: str) -> str:
    return canonical({**json.loads(text), "inputs": ""})
