"""Saved queries: rows become findings through the gateway, and only ever a read is sent."""

from types import SimpleNamespace

import pytest

from audit.errors import Invalid, NotAllowed
from connectors.base import Record, Refused
from connectors.models import Call, Connection
from incidents.models import Incident
from insights.detectors import actions, queries, running
from insights.detectors.definitions import Saved
from insights.detectors.models import Detector
from insights.detectors.states import Outcome
from tests.insights.detecting import at, definition

pytestmark = pytest.mark.django_db

QUERY = {
    "connection": "crm", "operation": "cases.by_order", "arguments": {"order": "SO-1"}, "key": "Number",
    "time": "Opened",
    "watermark": "Changed",
}  # fmt: skip


def record(number, changed, **fields):
    fields = {"Number": number, "Opened": at(0).isoformat(), "Changed": at(changed).isoformat(), **fields}
    return Record("crm", "Case", f"500{number}", "v1", fields, "https://crm.example/1")


@pytest.fixture
def crm(monkeypatch):
    """A connection whose answers the test gives, and what was asked of it."""
    Connection.objects.create(slug="crm", kind="salesforce", label="CRM")
    told = SimpleNamespace(records=[], asked=[], error=None)

    def call(connection, operation, arguments, *, actor, **_):
        told.asked.append((connection.slug, operation, dict(arguments), actor))
        if told.error:
            raise told.error
        return SimpleNamespace(records=list(told.records))

    monkeypatch.setattr(queries.gateway, "call", call)
    return told


def make(by, rule=None, **more):
    rule = rule or {"kind": "query", "query": QUERY}
    return actions.create(label="Cases", definition=definition(rule, **more), by=by)


def test_each_row_becomes_one_incident_with_the_row_as_evidence(crm, automation):
    crm.records = [record("A", 1, Amount=12.5, Owner="C-1"), record("B", 2, Amount=None, Owner="C-2")]
    opens = {"entity_type": "order", "entity": "Owner", "amount": "Amount", "currency": "EUR"}
    detector = make(automation, opens=opens,
                    when="row.Number != 'B'")  # fmt: skip
    actions.enable(detector, by=automation, reason="a test")

    made = running.run(detector.pk)

    assert (made.found, made.raised) == (1, 1)
    incident = Incident.objects.get()
    assert (incident.entity_type, incident.entity_key, str(incident.amount)) == ("order", "C-1", "12.50")
    assert incident.attributes["evidence"][0]["record"] == "500A"
    assert crm.asked == [("crm", "cases.by_order", {"order": "SO-1"}, "goldseam:detector:cases")]


def test_only_rows_beyond_the_watermark_are_news(crm, automation):
    detector = make(automation)
    actions.enable(detector, by=automation, reason="a test")
    crm.records = [record("B", 5), record("A", 3)]
    running.run(detector.pk)
    detector.refresh_from_db()
    assert detector.watermark == at(5).isoformat()

    crm.records = [record("A", 3), record("B", 5), record("C", 6)]
    Detector.objects.update(next_at=at(0))
    made = running.run(detector.pk)

    assert (made.found, made.raised) == (1, 1)
    assert set(Incident.objects.values_list("entity_key", flat=True)) == {"A", "B", "C"}


def test_a_limit_cuts_the_newest_rows_off_and_they_come_next_time(crm):
    crm.records = [record(str(number), number) for number in (4, 2, 3, 1)]
    saved = Saved.model_validate({**QUERY, "max_rows": 3})

    first = queries.ask(saved, watermark="", now=at(100), actor="t")
    second = queries.ask(saved, watermark=first.watermark, now=at(100), actor="t")

    assert ([one.entity for one in first.findings], first.cut) == (["1", "2", "3"], True)
    assert ([one.entity for one in second.findings], second.cut) == (["4"], False)


def test_the_watermark_fills_the_arguments(crm):
    saved = Saved.model_validate({**QUERY, "arguments": {"order": "since {watermark}", "more": ["{watermark}", 1]}})

    queries.ask(saved, watermark="W", now=at(0), actor="t")

    assert crm.asked[0][2] == {"order": "since W", "more": ["W", 1]}


@pytest.mark.parametrize(
    ("connection", "operation"), [("crm", "case.close"), ("crm", "case.nothing"), ("gone", "cases.by_order")]
)
def test_whatever_is_no_declared_read_is_never_sent(crm, automation, connection, operation):
    saved = {**QUERY, "connection": connection, "operation": operation}

    with pytest.raises(Invalid):
        make(automation, {"kind": "query", "query": saved})
    with pytest.raises(Invalid):
        queries.ask(Saved.model_validate(saved), watermark="", now=at(0), actor="t")
    assert crm.asked == []


@pytest.mark.django_db(transaction=True)
def test_a_write_that_slipped_into_a_version_leaves_no_trace_in_a_rehearsal(automation):
    Connection.objects.create(slug="crm", kind="salesforce", label="CRM", operations=["case.close"])
    detector = make(automation)
    version = detector.active
    version.definition["rule"]["query"] |= {"operation": "case.close", "arguments": {"case": "500000000000001"}}
    version.save()

    with pytest.raises(Invalid):
        actions.rehearse_now(detector, by=automation)

    assert not Call.objects.exists()


def test_rows_of_every_unit_are_for_those_who_configure_connections(crm, automation, operator):
    with pytest.raises(NotAllowed):
        make(operator)
    detector = make(automation)
    with pytest.raises(NotAllowed):
        actions.rehearse_now(detector, by=operator)
    with pytest.raises(NotAllowed):
        actions.preview(detector.active.definition, by=operator)
    assert crm.asked == []


def test_a_system_that_does_not_answer_fails_the_run_in_words(crm, automation):
    detector = make(automation)
    actions.enable(detector, by=automation, reason="a test")
    crm.error = Refused("no such object")

    made = running.run(detector.pk)

    assert made.outcome == Outcome.FAILED
    assert "no such object" in made.message


def test_rows_that_break_a_rule_are_kept_and_the_others_left(crm, automation):
    crm.records = [
        record("A", 1, Owner="", Approver="x"),
        record("B", 2, Owner="y", Approver="y"),
        record("C", 3, Owner="y"),
    ]
    found = {}
    for check, more in (("required", {"field": "Owner"}), ("blocked", {"field": "Number", "values": ["C"]}),
                        ("duty", {"first": "Owner", "second": "Approver"})):  # fmt: skip
        detector = make(automation, {"kind": "drift", "check": check, "query": QUERY, **more})
        rehearsal = actions.rehearse_now(detector, by=automation, days=3660)
        found[check] = [one["entity"] for one in rehearsal.result["examples"]]

    assert found == {"required": ["A"], "blocked": ["C"], "duty": ["B"]}


def test_duplicates_among_rows_bring_both_as_evidence(crm, automation):
    crm.records = [
        record("A", 1, Vendor="V1", Total=10.0, Ref="INV-4711"), record("B", 2, Vendor="V1", Total=10.0, Ref="inv4711"),
    ]  # fmt: skip
    fields = {"party": "Vendor", "amount": "Total", "reference": "Ref"}
    detector = make(automation, {"kind": "duplicate", "fields": fields, "query": {**QUERY, "watermark": ""}})
    actions.enable(detector, by=automation, reason="a test")

    running.run(detector.pk)

    incident = Incident.objects.get()
    assert incident.entity_key == "B"
    assert [one["Ref"] for one in incident.attributes["evidence"]] == ["INV-4711", "inv4711"]


def test_a_preview_shows_twenty_rows_and_keeps_nothing(crm, automation):
    crm.records = [record(f"{number:03d}", number) for number in range(30)]
    detector = make(automation)

    rows = actions.preview(detector.active.definition, by=automation)

    assert len(rows.findings) == 20
    assert rows.columns == ("Number", "Opened", "Changed")
    assert not Incident.objects.exists()
