"""The short ways of intake: few statements, and the same rows as the long way's."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from incidents import fastlane, intake
from incidents.fingerprints import fingerprint
from incidents.intake import accept, accept_many
from incidents.kinds import in_brief, remembered
from incidents.models import Evidence, ExceptionKind, Incident, Signal
from tests.incidents.factories import assert_counters_equal_rows, later, make_kind, make_policy, make_signal

pytestmark = pytest.mark.django_db
POSTGRESQL = connection.vendor == "postgresql"


def test_a_repeated_problem_takes_one_statement_where_the_database_can():
    make_kind()
    accept(make_signal())

    with CaptureQueriesContext(connection) as queries:
        accept(make_signal(id="event-2", time=later(1)))

    # Two more are the savepoint that a test's transaction makes of an own transaction.
    assert len(queries) == (3 if POSTGRESQL else 5)
    assert_counters_equal_rows()


def test_a_signal_that_took_the_short_way_is_kept_like_any_other():
    accept(make_signal())

    joined = accept(make_signal(id="event-2", business_unit="", region="", attributes={"line": 2}, time=later(1)))

    row, proof = Signal.objects.get(event_id="event-2"), Evidence.objects.get(signal__event_id="event-2")
    assert (row.pk, row.joined_id, row.incident_id) == (joined.signal.pk, joined.incident.pk, joined.incident.pk)
    assert (row.business_unit, row.region, row.attributes, row.merged) == ("EU", "DE", {"line": 2}, True)
    assert row.received_at == proof.captured_at == joined.signal.received_at
    assert (proof.incident_id, proof.content["id"]) == (row.incident_id, "event-2")


def test_a_kind_that_changed_meanwhile_leads_the_long_way():
    kind = make_kind()
    first = accept(make_signal(attributes={"carrier": "C01"}))
    known = remembered(kind.code)
    ExceptionKind.objects.filter(pk=kind.pk).update(
        definition={**kind.definition, "fingerprint": {"attributes": ["carrier"]}}
    )

    second = accept(make_signal(id="event-2", attributes={"carrier": "C02"}))

    assert known is not None
    assert remembered(kind.code) != known
    assert second.incident != first.incident
    assert second.signal.fingerprint_explained["attributes"] == {"carrier": "c02"}


def test_a_kind_that_is_gone_is_forgotten():
    kind = make_kind()
    in_brief([kind.code])
    kind.delete()

    assert in_brief([kind.code]) == {}
    assert remembered(kind.code) is None


def test_a_fingerprint_of_an_outdated_kind_joins_nothing():
    kind = make_kind()
    accept(make_signal())
    given = make_signal(id="event-2")
    print_ = fingerprint(kind.code, given.entity_type, given.entity_key, {})

    assert fastlane.join(given, print_, '{"attributes": ["of old"]}') is None
    assert Signal.objects.count() == 1


def test_a_lost_race_in_the_transaction_of_somebody_else_takes_nothing_with_it(monkeypatch):
    accept(make_signal())
    given = make_signal(id="event-2")
    kept = accept(given)
    print_ = fingerprint(given.code, given.entity_type, given.entity_key, {})
    # As if the other signal had come in between the look and the insert.
    monkeypatch.setattr(fastlane, "_FOR_SQLITE", fastlane._FOR_SQLITE.replace("AND NOT EXISTS", "OR NOT EXISTS"))
    monkeypatch.setattr(
        fastlane, "_FOR_POSTGRESQL", fastlane._FOR_POSTGRESQL.replace("AND NOT EXISTS", "OR NOT EXISTS")
    )
    fastlane._statement.cache_clear()

    with transaction.atomic():
        joined = fastlane.join(given, print_)
        again = accept(given)

    fastlane._statement.cache_clear()
    assert joined is None
    assert (again.repeated, again.signal.pk) == (True, kept.signal.pk)


def test_an_opening_writes_the_incident_its_history_signal_and_evidence_at_once():
    make_kind()
    make_policy()

    opened = accept(make_signal())

    incident = Incident.objects.get()
    line = incident.history.get()
    assert opened.signal.joined_id == opened.signal.incident_id == incident.pk
    assert (line.id, line.title, line.first_signal_at) == (incident.pk, incident.title, incident.first_signal_at)
    assert Evidence.objects.get().signal_id == opened.signal.pk
    assert incident.sla.policy.slug == "standard"
    assert_counters_equal_rows()


def test_a_batch_that_lost_a_race_starts_over(monkeypatch):
    whole, calls = intake._take, []

    def once_too_late(*given):
        calls.append(given)
        if len(calls) == 1:
            raise IntegrityError("one_signal_per_source_and_id")
        return whole(*given)

    monkeypatch.setattr(intake, "_take", once_too_late)

    kept = accept_many([make_signal(id=f"event-{number}") for number in range(3)])

    assert (len(kept), len(calls)) == (3, 2)
    assert_counters_equal_rows()
