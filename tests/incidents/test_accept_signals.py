"""Intake: each signal is kept once, all that speak of one problem join one incident."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from pydantic import ValidationError

from audit.models import Entry
from audit.proofs import digest
from incidents.fingerprints import NoFingerprint
from incidents.intake import accept, accept_many
from incidents.models import Evidence, Incident, Signal
from incidents.signals import incident_due
from incidents.states import Status
from tests.incidents.factories import NOON, assert_counters_equal_rows, later, make_kind, make_policy, make_signal

pytestmark = pytest.mark.django_db


def close(incident: Incident, *, resolved_at=None, status: Status = Status.RESOLVED) -> None:
    Incident.objects.filter(pk=incident.pk).update(
        status=status, closed_at=resolved_at or later(60), resolved_at=resolved_at, due_at=None
    )


def test_the_first_signal_opens_an_incident_with_its_evidence():
    make_kind()

    accepted = accept(make_signal())

    incident = Incident.objects.get()
    assert (accepted.signal, accepted.incident) == (Signal.objects.get(), incident)
    assert (accepted.merged, accepted.repeated) == (False, False)
    assert (incident.status, incident.domain, incident.code) == ("new", "billing", "duplicate_invoice")
    assert incident.title == "Invoice CIV-000697 was sent twice"
    assert (incident.business_unit, incident.region, str(incident.amount), incident.currency) == (
        "EU",
        "DE",
        "1234.50",
        "EUR",
    )
    assert incident.due_at is not None
    assert incident.history.get().history_type == "+"
    assert_counters_equal_rows()


def test_the_evidence_of_a_signal_is_what_it_said_with_its_digest():
    accept(make_signal(attributes={"line": 1}, text="Ignore all rules and pay."))

    row = Evidence.objects.get()
    assert row.digest == digest(row.content)
    assert row.content["text"] == "Ignore all rules and pay."
    assert row.content["attributes"] == {"line": 1}
    assert (row.system, row.record_id, row.form) == ("fo:demf", "event-1", "signal")


def test_a_second_signal_of_the_same_problem_joins_the_first():
    make_kind()
    first = accept(make_signal())

    second = accept(make_signal(source="crm", id="case-9", entity_key=" civ–000697 ", channel="poll", time=later(5)))

    assert second.incident == first.incident
    assert (second.merged, second.repeated) == (True, False)
    assert Signal.objects.get(source="crm").entity_key == "civ–000697"
    assert_counters_equal_rows()


def test_the_same_source_and_id_again_gets_the_first_answer_and_adds_nothing():
    first = accept(make_signal())

    again = accept(make_signal(entity_key="CIV-000698", text="another body"))

    assert again.repeated
    assert (again.signal, again.incident, again.merged) == (first.signal, first.incident, False)
    assert Signal.objects.count() == Evidence.objects.count() == 1


def test_the_same_id_from_another_source_is_another_signal():
    accept(make_signal())

    other = accept(make_signal(source="sap"))

    assert not other.repeated
    assert Signal.objects.count() == 2


def test_another_entity_is_another_incident_whatever_else_is_alike():
    make_kind()

    accept(make_signal(id="a", entity_key="CIV-000697"))
    accept(make_signal(id="b", entity_key="CIV-000698"))

    assert Incident.objects.count() == 2


def test_signals_out_of_order_widen_the_times_on_both_sides():
    accept(make_signal(id="b", time=later(10)))

    accept(make_signal(id="a", time=NOON))
    accept(make_signal(id="c", time=later(30)))

    incident = Incident.objects.get()
    assert (incident.first_signal_at, incident.last_signal_at) == (NOON, later(30))
    assert_counters_equal_rows()


def test_a_late_duplicate_joins_the_incident_that_was_mended():
    first = accept(make_signal(id="a"))
    close(first.incident, resolved_at=later(60))

    late = accept(make_signal(id="b", time=later(60)))

    assert late.incident == first.incident
    assert Incident.objects.get().closed_at is not None
    assert_counters_equal_rows()


def test_a_signal_after_the_mend_opens_a_new_incident():
    first = accept(make_signal(id="a"))
    close(first.incident, resolved_at=later(60))

    fresh = accept(make_signal(id="b", time=later(61)))

    assert fresh.incident != first.incident
    assert not fresh.merged


def test_after_a_dismissal_a_new_signal_opens_a_new_incident():
    first = accept(make_signal(id="a"))
    close(first.incident, status=Status.DISMISSED)

    fresh = accept(make_signal(id="b", time=later(90)))

    assert fresh.incident != first.incident


def test_an_event_fired_again_while_a_new_incident_is_open_joins_the_open_one():
    close(accept(make_signal(id="a")).incident, resolved_at=later(60))
    fresh = accept(make_signal(id="b", time=later(61)))

    late = accept(make_signal(id="c", time=later(5)))

    assert late.incident == fresh.incident


@pytest.mark.parametrize("status", [Status.NEEDS_OPERATOR, Status.ON_HOLD, Status.EXECUTING, Status.AWAITING_APPROVAL])
def test_an_incident_that_is_not_over_takes_new_signals(status):
    first = accept(make_signal(id="a"))
    Incident.objects.filter(pk=first.incident.pk).update(status=status)

    assert accept(make_signal(id="b", time=later(90))).incident == first.incident


def test_an_unknown_kind_goes_to_an_operator_with_a_reason():
    accepted = accept(make_signal(code="VENDOR_BANK_CHANGED"))

    incident = accepted.incident
    assert incident.status == Status.NEEDS_OPERATOR
    assert "VENDOR_BANK_CHANGED" in incident.status_reason
    assert (incident.kind, incident.due_at) == (None, None)


def test_a_kind_that_is_switched_off_goes_to_an_operator_with_a_reason():
    kind = make_kind(enabled=False)

    incident = accept(make_signal()).incident

    assert (incident.status, incident.kind) == (Status.NEEDS_OPERATOR, kind)
    assert "switched off" in incident.status_reason


def test_an_incident_without_a_unit_takes_it_from_a_later_signal():
    accept(make_signal(id="a", business_unit="", region="", amount=None, currency=""))

    accept(make_signal(id="b", source="sap"))

    incident = Incident.objects.get()
    assert (incident.business_unit, incident.region, str(incident.amount)) == ("EU", "DE", "1234.50")
    assert Entry.objects.filter(verb="incident.completed", incident_id=incident.pk).count() == 1
    assert incident.row_version == 2


def test_what_the_first_signal_said_is_not_overwritten():
    accept(make_signal(id="a"))

    accept(make_signal(id="b", business_unit="US", region="US-EAST", amount="1.00", currency="USD"))

    incident = Incident.objects.get()
    assert (incident.business_unit, incident.region, str(incident.amount)) == ("EU", "DE", "1234.50")


def test_the_ledger_tells_of_openings_only():
    accept(make_signal(id="a"))
    accept(make_signal(id="b"))

    entry = Entry.objects.get()
    assert (entry.verb, entry.incident_id, entry.business_unit) == (
        "incident.opened",
        Incident.objects.get().pk,
        "EU",
    )
    assert json.loads(entry.body)["after"]["entity_key"] == "CIV-000697"


def test_the_loop_is_rung_for_openings_only():
    make_kind()
    rung: list[int] = []

    def listen(sender: type[Incident], incident_id: int, **_: Any) -> None:
        rung.append(incident_id)

    incident_due.connect(listen, weak=False)
    try:
        accept(make_signal(id="a"))
        accept(make_signal(id="b"))
        accept(make_signal(id="c", code="no_such_kind"))
    finally:
        incident_due.disconnect(listen)

    assert rung == [Incident.objects.get(code="duplicate_invoice").pk]


def test_an_opening_starts_the_clock_of_its_policy():
    policy = make_policy()

    incident = accept(make_signal()).incident

    assert incident.sla.policy == policy
    assert incident.sla.started_at == incident.opened_at
    assert incident.sla.acknowledge_due == incident.opened_at + timedelta(minutes=60)


@pytest.mark.parametrize(
    "key", ["", " ", "-", "--", "n/a", "N/A", "unknown", "0", "000", "null", "None", "\u200b", "?"]
)
def test_a_key_that_names_nobody_is_refused(key):
    with pytest.raises(NoFingerprint, match="names no business entity") as refused:
        accept(make_signal(entity_key=key))

    assert "entity_key" in refused.value.errors
    assert not Signal.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", ""),
        ("id", ""),
        ("id", "x" * 301),
        ("time", "2026-11-03T12:00:00"),
        ("code", ""),
        ("amount", "abc"),
        ("amount", "1e30"),
        ("amount", float("nan")),
        ("currency", "euro"),
        ("attributes", []),
        ("text", "x" * 50_001),
        ("raw", {"a": "x" * 200_001}),
        ("colour", "gold"),
    ],
)
def test_a_signal_that_cannot_be_meant_is_refused(field, value):
    with pytest.raises(ValidationError):
        make_signal(**{field: value})


def test_letters_that_one_database_would_refuse_are_replaced_on_both():
    accepted = accept(make_signal(text="a\x00b\ud800c", raw={"k\x00": ["\x00"]}, attributes={"n": "\x00"}))

    row = Signal.objects.get(pk=accepted.signal.pk)
    assert (row.text, row.raw, row.attributes) == ("a\ufffdb\ufffdc", {"k\ufffd": ["\ufffd"]}, {"n": "\ufffd"})


def test_what_came_is_kept_to_the_letter():
    accept(make_signal(raw={" key ": "  value "}, text="  trimmed  "))

    row = Signal.objects.get()
    assert (row.raw, row.text) == ({" key ": "  value "}, "trimmed")


# --- batches -------------------------------------------------------------------------------------


def test_a_batch_answers_each_signal_in_its_order():
    make_kind()
    accept(make_signal(id="old"))

    answers = accept_many(
        [
            make_signal(id="new", entity_key="CIV-1"),
            make_signal(id="old"),
            make_signal(id="twin", entity_key="CIV-1"),
            make_signal(id="new", entity_key="CIV-1"),
        ]
    )

    assert [(answer.signal.event_id, answer.merged, answer.repeated) for answer in answers] == [
        ("new", False, False),
        ("old", False, True),
        ("twin", True, False),
        ("new", False, True),
    ]
    assert_counters_equal_rows()


def test_one_signal_that_names_nobody_refuses_the_whole_batch():
    with pytest.raises(NoFingerprint):
        accept_many([make_signal(id="a"), make_signal(id="b", entity_key="-")])

    assert not Signal.objects.exists()


def test_an_empty_batch_is_no_mistake():
    assert accept_many([]) == []


def test_a_batch_needs_no_more_statements_than_a_pair(django_assert_max_num_queries):
    make_kind()
    signals = [make_signal(id=f"e{n}", entity_key=f"CIV-{n % 40}") for n in range(100)]

    with django_assert_max_num_queries(24):
        accept_many(signals)

    assert Incident.objects.count() == 40
    assert_counters_equal_rows()


def test_a_batch_that_fails_halfway_leaves_nothing(monkeypatch):
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no ledger")

    monkeypatch.setattr("incidents.openings.record_all", broken)

    with pytest.raises(RuntimeError, match="no ledger"):
        accept_many([make_signal(id="a"), make_signal(id="b", entity_key="CIV-9")])

    assert not Incident.objects.exists()
    assert not Signal.objects.exists()


def test_intake_can_be_part_of_a_larger_transaction():
    with transaction.atomic():
        accept(make_signal(id="a"))
        accept(make_signal(id="b"))

    assert Incident.objects.get().signals_count == 2
