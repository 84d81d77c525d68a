"""Evidence: what is read, how it is kept, and that what is not known is never guessed."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from audit.clock import db_now
from audit.models import Entry
from audit.proofs import digest
from connectors.base import Blocked, NotFound, RateLimited, Refused, Unreachable
from incidents import evidence, leases
from incidents.evidence import collect, facts, plain
from incidents.expressions import ExpressionFailed, compile_expression
from incidents.models import Evidence, Incident
from tests.incidents.conftest import invoice
from tests.incidents.factories import make_incident
from tests.incidents.scenes import EVIDENCE, make_world

pytestmark = pytest.mark.django_db


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


@pytest.mark.parametrize(("connection", "operation"), [("fo", "odata.query"), ("crm", "soql.query")])
def test_what_an_incident_brings_along_never_becomes_a_free_question(systems, connection, operation):
    asked = {**EVIDENCE[0], "connection": connection, "operation": operation}
    incident = make_world(systems, evidence=[asked], causes=[], derived={})

    with pytest.raises(Blocked, match="free question"):
        collect(incident, actor="system:loop")

    assert systems.asked == []


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


# --- a collection that takes long -----------------------------------------------------------------
def slow(systems, monkeypatch, during):
    """Let ``during`` happen within each read."""
    call = evidence.gateway.call

    def reading(*args, **options):
        during()
        return call(*args, **options)

    monkeypatch.setattr(evidence.gateway, "call", reading)


def test_a_collection_longer_than_its_lease_keeps_it_under_the_same_number(systems, monkeypatch, settings):
    incident = make_world(systems)
    Incident.objects.filter(pk=incident.pk).update(due_at=db_now() - timedelta(seconds=1))
    lease = leases.claim(incident.pk)

    def most_of_the_lease() -> None:
        left = db_now() + timedelta(seconds=1)
        assert Incident.objects.get(pk=incident.pk).lease_until > left, "it was not renewed since the last read"
        Incident.objects.filter(pk=incident.pk).update(lease_until=left)

    slow(systems, monkeypatch, most_of_the_lease)
    collected = collect(incident, actor="system:loop", lease=lease)

    assert collected.round == 1
    assert Incident.objects.get(pk=incident.pk).fence == lease.fence
    lease.check()


def test_who_lost_the_lease_while_reading_stores_nothing(systems, monkeypatch):
    incident = make_world(systems)
    Incident.objects.filter(pk=incident.pk).update(due_at=db_now() - timedelta(seconds=1))
    lease = leases.claim(incident.pk)
    slow(systems, monkeypatch, lambda: Incident.objects.filter(pk=incident.pk).update(fence=lease.fence + 1))

    with pytest.raises(leases.LeaseLost):
        collect(incident, actor="system:loop", lease=lease)

    assert len(systems.asked) == 1
    assert not Evidence.objects.filter(form="record").exists()


def test_a_collection_ends_in_time_and_says_what_it_could_not_read(systems, monkeypatch, settings):
    settings.EVIDENCE_SECONDS = 90
    clock = iter(range(0, 1000, 60))  # a minute for each read
    monkeypatch.setattr(evidence, "monotonic", lambda: float(next(clock)))

    collected = collect(make_world(systems), actor="system:loop")

    assert [operation for _, operation, _ in systems.asked] == ["invoice.find"]
    reason = "the 90 seconds for reading evidence were over"
    assert collected.unreadable == {"twins": reason, "cases": reason}
    assert Evidence.objects.get(name="twins").content["reason"] == reason
