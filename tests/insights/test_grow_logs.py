"""Logs that grow by themselves: increments, cursors, the loop's own life, and what connections tell."""

from datetime import UTC, datetime, timedelta

import pytest

from audit.clock import db_now
from connectors.models import Connection, Delivery
from incidents.models import Incident
from insights import storage, tasks
from insights.eventlog import changes, continuous, remediation
from insights.eventlog.continuous import Happening, append, log_of
from insights.eventlog.importing import LeaseLost, due
from insights.eventlog.shapes import ImportFailed
from insights.models import EventLog
from insights.states import LogState
from tests.incidents.factories import make_incident
from tests.insights.reading import asked

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENTS = (
    'SELECT case_id, name, "at" FROM events JOIN cases USING (case_no) JOIN activities USING (activity) '
    "ORDER BY case_id, position"
)


def at(minutes):
    return NOON + timedelta(minutes=minutes)


def plain(minutes):
    return at(minutes).replace(tzinfo=None)


@pytest.fixture
def growing():
    log = log_of("loop", "Life")
    return append(log, [Happening("A", "open", at(0), {"resource": "ann"}), Happening("A", "close", at(9))], cursor=2)


def test_events_are_added_and_old_ones_stay(growing):
    log = append(growing, [Happening("B", "open", at(3)), Happening("A", "reopen", at(12))], cursor=4)

    assert asked(log, EVENTS) == [
        ("A", "open", plain(0)),
        ("A", "close", plain(9)),
        ("A", "reopen", plain(12)),
        ("B", "open", plain(3)),
    ]
    assert (log.state, log.generation, log.mapping["cursor"]) == (LogState.READY, 2, 4)
    log = append(log, [Happening("B", "close", at(4))])
    assert [storage.generation(log, number).exists() for number in (1, 2, 3)] == [False, True, True]


def test_an_event_that_comes_late_finds_its_place(growing):
    log = append(growing, [Happening("A", "check", at(5))])

    assert [name for _, name, _ in asked(log, EVENTS)] == ["open", "check", "close"]
    assert asked(log, "SELECT gap FROM events WHERE position = 1") == [(300.0,)]


def test_events_of_one_moment_keep_the_order_in_which_they_came(growing):
    log = append(growing, [Happening("A", each, at(9)) for each in ("z", "y", "x")])

    assert [name for _, name, _ in asked(log, EVENTS)] == ["open", "close", "z", "y", "x"]


def test_attributes_of_earlier_generations_are_carried_on_with_their_types(growing):
    log = append(growing, [Happening("A", "bill", at(20), {"cost": "12.5"})], facts={"A": {"unit": "EU"}})
    log = append(log, [Happening("B", "open", at(30), {"cost": "7", "resource": "bob"})], facts={"B": {"unit": "US"}})
    column = {each["name"]: each for each in log.attributes}

    assert (column["cost"]["type"], column["unit"]["level"]) == ("number", "case")
    costs = asked(log, f"SELECT {column['cost']['column']} FROM events WHERE {column['cost']['column']} IS NOT NULL")
    assert sorted(costs) == [(7.0,), (12.5,)]
    units = asked(log, f"SELECT case_id, {column['unit']['column']} FROM cases ORDER BY 1")
    assert units == [("A", "EU"), ("B", "US")]
    people = asked(log, f"SELECT {column['resource']['column']} FROM events ORDER BY case_no, position")
    assert people == [("ann",), (None,), (None,), ("bob",)]


def test_the_newest_fact_of_a_case_stands_for_all_its_events(growing):
    log = append(growing, [Happening("A", "x", at(20))], facts={"A": {"status": "open"}})
    log = append(log, [Happening("A", "y", at(21))], facts={"A": {"status": "resolved"}})

    column = next(each for each in log.attributes if each["name"] == "status")
    assert column["level"] == "case"
    assert asked(log, f"SELECT {column['column']} FROM cases") == [("resolved",)]


def test_what_happens_to_be_the_same_in_a_case_is_no_fact_for_later_events(growing):
    log = append(growing, [Happening("B", "open", at(10), {"reason": "late"})])
    log = append(log, [Happening("B", "close", at(11), {"reason": "done"}), Happening("B", "reopen", at(12))])

    column = next(each for each in log.attributes if each["name"] == "reason")
    told = asked(
        log, f"SELECT {column['column']} FROM events JOIN cases USING (case_no) WHERE case_id = 'B' ORDER BY position"
    )
    assert told == [("late",), ("done",), (None,)]


def test_of_two_that_read_the_same_cursor_only_one_adds(growing):
    late = EventLog.objects.get(pk=growing.pk)
    append(growing, [Happening("A", "x", at(20))], cursor=3)

    with pytest.raises(LeaseLost):
        append(late, [Happening("A", "x", at(20))], cursor=3)

    assert len(asked(EventLog.objects.get(pk=growing.pk), EVENTS)) == 3


def test_while_one_adds_another_keeps_out(growing):
    EventLog.objects.filter(pk=growing.pk).update(lease_token="held", lease_until=db_now() + timedelta(minutes=1))

    with pytest.raises(LeaseLost):
        append(growing, [Happening("A", "x", at(20))])


def test_a_failed_addition_leaves_what_stood_and_lets_the_next_one_in(growing, monkeypatch):
    def broken(*args, **kwargs):
        raise ImportFailed("no")

    monkeypatch.setattr(continuous, "build", broken)
    with pytest.raises(ImportFailed):
        append(growing, [Happening("A", "x", at(20))], cursor=9)
    monkeypatch.undo()

    log = EventLog.objects.get(pk=growing.pk)
    assert (log.generation, log.mapping["cursor"], len(asked(log, EVENTS))) == (1, 2, 2)
    assert append(log, [Happening("A", "x", at(20))], cursor=9).generation == 2


def test_a_log_that_grows_is_nothing_for_the_importer():
    log_of("loop", "Life")

    assert due() == []


def test_the_loops_own_life_becomes_a_log_with_every_incident_as_a_case():
    incident = make_incident(business_unit="EU")

    assert tasks.keep_own_logs() > 0

    log = EventLog.objects.get(origin="loop", business_unit="")
    assert asked(log, "SELECT case_id FROM cases") == [(str(incident),)]
    assert "opened" in {name for (name,) in asked(log, "SELECT name FROM activities")}
    column = {each["name"]: each["column"] for each in log.attributes if each["level"] == "case"}
    assert asked(log, f"SELECT {column['kind']}, {column['unit']} FROM cases") == [(incident.code, "EU")]


def test_units_have_a_log_of_their_own_for_those_who_may_see_no_more(viewer):
    mine, theirs = make_incident(business_unit="EU"), make_incident(business_unit="US", entity_key="SO-77")
    remediation.keep_up()

    seen = EventLog.objects.visible_to(viewer)

    assert [log.business_unit for log in seen] == ["EU"]
    assert asked(seen.get(), "SELECT case_id FROM cases") == [(str(mine),)]
    assert theirs.business_unit == "US"


def test_the_loops_log_takes_each_ledger_entry_once():
    make_incident()
    remediation.keep_up()
    before = EventLog.objects.get(origin="loop", business_unit="")

    assert remediation.keep_up() == 0
    make_incident(entity_key="SO-99")
    remediation.keep_up()

    after = EventLog.objects.get(pk=before.pk)
    assert (after.cases, after.generation) == (Incident.objects.count(), 2)
    assert after.events == 2 * before.events


def test_two_schedulers_in_one_turn_keep_the_log_once(monkeypatch):
    monkeypatch.setattr("insights.tasks.take_slot", lambda schedule, seconds: False)
    make_incident()

    assert tasks.keep_own_logs() == 0
    assert not EventLog.objects.exists()


def test_what_a_connection_tells_becomes_its_log():
    connection = Connection.objects.create(slug="fo", kind="dynamics_fo", label="F&O")
    received = db_now() - timedelta(minutes=5)
    told = [("SalesOrderCreated", {"SalesOrderNumber": "SO-1", "Amount": 12}), ("Ping", {"x": 1})]
    told += [("SalesOrderConfirmed", {"SalesOrderNumber": "SO-1", "InitiatingUser": "ann"})]
    for number, (event, payload) in enumerate(told):
        Delivery.objects.create(
            connection=connection, external_id=f"d{number}", event=event, payload=payload,
            occurred_at=at(number), received_at=received,
        )  # fmt: skip

    assert changes.keep_up() == 2
    assert changes.keep_up() == 0

    log = EventLog.objects.get(origin="connection:fo")
    assert asked(log, EVENTS) == [("SO-1", "SalesOrderCreated", plain(0)), ("SO-1", "SalesOrderConfirmed", plain(2))]


def test_deliveries_that_tell_of_no_record_hold_up_none_that_come_after(monkeypatch):
    monkeypatch.setattr(changes, "_BATCH", 2)
    connection = Connection.objects.create(slug="fo", kind="dynamics_fo", label="F&O")
    received = db_now() - timedelta(minutes=5)
    told = [{"x": 1}, {"x": 2}, {"x": 3}, {"OrderId": "SO-1"}]
    for number, payload in enumerate(told):
        Delivery.objects.create(
            connection=connection, external_id=f"d{number}", event="Told", payload=payload, received_at=received
        )

    assert [changes.keep_up() for _ in range(3)] == [0, 1, 0]
    assert EventLog.objects.get(origin="connection:fo").lease_token == ""


def test_a_log_that_somebody_adds_to_is_not_moved_on():
    log = log_of("connection:fo", "Changes")
    held = EventLog.objects.filter(pk=log.pk)
    held.update(lease_token="theirs", lease_until=db_now() + timedelta(minutes=1))
    with pytest.raises(LeaseLost):
        continuous.move_on(log, 7)

    held.update(lease_until=None, mapping={"cursor": 9})
    with pytest.raises(LeaseLost):
        continuous.move_on(log, 7)
    assert held.get().mapping == {"cursor": 9}


def test_what_has_only_just_come_waits_for_the_next_turn():
    connection = Connection.objects.create(slug="fo", kind="dynamics_fo", label="F&O")
    Delivery.objects.create(
        connection=connection, external_id="d", event="E", payload={"OrderId": "1"}, received_at=db_now()
    )

    assert changes.keep_up() == 0
