"""Root cause: what holds, what rules the rivals out, and that the same evidence always says the same."""

import json
import os
import subprocess
import sys

import pytest

from audit.proofs import canonical
from connectors.base import Unreachable
from incidents.evidence import collect, facts
from incidents.models import Evidence, Incident
from incidents.rootcause import as_data, diagnose, verify
from tests.incidents.conftest import invoice
from tests.incidents.factories import make_incident
from tests.incidents.scenes import found_cause, make_world

pytestmark = pytest.mark.django_db


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
