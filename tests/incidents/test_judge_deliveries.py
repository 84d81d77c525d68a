"""Detection: what systems tell becomes signals, each delivery judged once whatever happens on the way."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from audit.clock import db_now
from connectors.base import Blocked, NotFound, RateLimited, Record, Refused, Unreachable
from connectors.models import Connection, Delivery
from connectors.signals import deliveries_arrived
from incidents import bells as rings
from incidents import detection, tasks
from incidents.detection import process, sweep_deliveries
from incidents.models import ExceptionKind, Incident, Signal
from tests.incidents.conftest import Systems, invoice
from tests.incidents.factories import NOON, make_kind

pytestmark = pytest.mark.django_db

TWINS: dict[str, Any] = {
    "connection": "fo",
    "event": "SalesInvoicePosted",
    "where": "event.InvoiceNumber != ''",
    "reads": [
        {
            "as": "invoice",
            "connection": "fo",
            "operation": "invoice.find",
            "arguments": {"invoice": "event.InvoiceNumber"},
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
    ],
    "when": "size(twins) > 0",
    "entity_key": "invoice.InvoiceNumber",
    "attributes": {"order": "invoice.Order"},
    "amount": "invoice.Total",
    "currency": "invoice.CurrencyCode",
    "business_unit": "invoice.dataAreaId == 'demf' ? 'EU' : 'US'",
    "region": "'DE'",
    "text": "'Order ' + invoice.Order + ' was invoiced twice.'",
}


def deliver(key: str = "m-1", *, event: str = "SalesInvoicePosted", connection: str = "fo", **payload: Any) -> Delivery:
    """Something that a system told, a minute ago."""
    return Delivery.objects.create(
        connection=Connection.objects.get(slug=connection),
        external_id=key,
        event=event,
        payload=payload or {"InvoiceNumber": "CIV-000697"},
        occurred_at=NOON,
        received_at=db_now() - timedelta(minutes=1),
    )


@pytest.fixture
def twins(systems: Systems) -> Systems:
    """A kind that looks for a second invoice of the same order, and a world in which there is one."""
    make_kind(detect=[TWINS])
    systems.hold("invoice.find", invoice())
    systems.hold("invoices.by_order", invoice(), invoice("CIV-000698"))
    return systems


def outcome_of(delivery: Delivery) -> tuple[str, bool]:
    delivery.refresh_from_db()
    return delivery.outcome, delivery.processed_at is not None


def test_an_event_that_tells_of_an_exception_becomes_a_signal(twins):
    delivery = deliver()

    outcome = process(delivery.pk)

    signal = Signal.objects.get()
    assert (outcome, *outcome_of(delivery)) == ("signal", "signal", True)
    assert (signal.code, signal.entity_type, signal.entity_key) == ("duplicate_invoice", "invoice", "CIV-000697")
    assert (str(signal.amount), signal.currency, signal.business_unit, signal.region) == ("1234.50", "EUR", "EU", "DE")
    assert (signal.source, signal.event_id, signal.channel) == ("fo", "m-1/duplicate_invoice", "hook")
    assert signal.text == "Order SO-1 was invoiced twice."
    assert (signal.occurred_at, signal.delivery_id) == (NOON, delivery.pk)
    assert signal.raw == {"InvoiceNumber": "CIV-000697"}
    assert signal.attributes == {"order": "SO-1"}


def test_an_event_about_something_that_is_well_is_noted_as_such(twins):
    twins.hold("invoices.by_order", invoice())
    delivery = deliver()

    assert process(delivery.pk) == "nothing_wrong"
    assert not Signal.objects.exists()


def test_an_event_that_no_kind_asks_for_is_noted_as_such(twins):
    delivery = deliver(event="VendorPaid")

    assert process(delivery.pk) == "no_rule"
    assert twins.asked == []


@pytest.mark.parametrize("payload", [{"InvoiceNumber": ""}, {"Other": 1}])
def test_what_the_first_filter_leaves_out_costs_no_read(twins, payload):
    assert process(deliver(**payload).pk) == "no_rule"
    assert twins.asked == []


def test_the_same_event_of_another_connection_is_another_event(twins):
    assert process(deliver(connection="crm").pk) == "no_rule"


def test_a_kind_that_is_switched_off_asks_for_nothing(twins):
    ExceptionKind.objects.update(enabled=False)

    assert process(deliver().pk) == "no_rule"


def test_a_record_polled_from_a_system_is_said_to_be(systems):
    make_kind(detect=[{"connection": "crm", "event": "record:Case", "entity_key": "event.Invoice"}])

    process(deliver(event="record:Case", connection="crm", Invoice="CIV-5").pk)

    assert Signal.objects.get().channel == "poll"


def test_one_event_can_tell_of_two_kinds(systems):
    for code in ("one", "two"):
        make_kind(code, detect=[{"connection": "fo", "event": "Alert", "entity_key": "event.No"}])

    assert process(deliver(event="Alert", No="SO-1").pk) == "signal"
    assert set(Signal.objects.values_list("event_id", flat=True)) == {"m-1/one", "m-1/two"}


def test_a_kind_can_ask_for_what_no_other_kind_asks_for(systems):
    make_kind(
        "known", detect=[{"connection": "fo", "event": "Alert", "where": "event.Rule == 'R'", "entity_key": "event.No"}]
    )
    make_kind("rest", detect=[{"connection": "fo", "event": "Alert", "entity_key": "event.No", "otherwise": True}])

    process(deliver("a", event="Alert", Rule="R", No="SO-1").pk)
    process(deliver("b", event="Alert", Rule="VENDOR_BANK_CHANGED", No="V-1").pk)

    assert list(Signal.objects.order_by("pk").values_list("code", flat=True)) == ["known", "rest"]


def test_a_delivery_is_judged_once(twins):
    delivery = deliver()
    process(delivery.pk)

    assert process(delivery.pk) == ""
    assert Signal.objects.count() == 1


def test_the_same_event_delivered_under_two_ids_is_two_signals_of_one_incident(twins):
    process(deliver("m-1").pk)

    process(deliver("m-2").pk)

    assert Incident.objects.get().signals_count == 2


@pytest.mark.parametrize("error", [Unreachable("Down."), RateLimited("Wait.", retry_after=30)])
def test_what_cannot_be_read_now_is_tried_again_later(twins, error):
    twins.refuse("invoice.find", error)
    delivery = deliver()

    outcome = process(delivery.pk)

    delivery.refresh_from_db()
    assert (outcome, delivery.outcome, delivery.processed_at, delivery.attempts) == ("", "", None, 1)
    assert delivery.not_before > db_now()
    assert delivery.message == str(error)


def test_until_it_may_be_tried_again_nobody_takes_it(twins):
    twins.refuse("invoice.find", RateLimited("Wait.", retry_after=300))
    delivery = deliver()
    process(delivery.pk)
    twins.hold("invoice.find", invoice())

    assert process(delivery.pk) == ""
    assert delivery.pk not in sweep_deliveries()
    Delivery.objects.update(not_before=db_now() - timedelta(seconds=1))
    assert sweep_deliveries() == [delivery.pk]
    assert process(delivery.pk) == "signal"


def test_a_system_that_stays_away_ends_as_failed_with_what_to_do(twins):
    twins.refuse("invoice.find", Unreachable("Down."))
    delivery = deliver()
    Delivery.objects.update(attempts=detection.ATTEMPTS - 1)

    assert process(delivery.pk) == "failed"
    delivery.refresh_from_db()
    assert "Down." in delivery.message
    assert "Test connection" in delivery.message
    assert delivery.processed_at is not None


@pytest.mark.parametrize("error", [Refused("No right to read."), Blocked("The connection is disabled.")])
def test_what_will_not_change_by_waiting_fails_at_once(twins, error):
    twins.refuse("invoice.find", error)

    assert process(deliver().pk) == "failed"


def test_a_record_that_is_not_there_is_no_exception(twins):
    twins.refuse("invoice.find", NotFound("No such invoice."))

    assert process(deliver().pk) == "nothing_wrong"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"when": "invoice.Missing == 1"}, "duplicate_invoice: there is no field Missing"),
        ({"entity_key": "'-'"}, "names no business entity"),
        ({"entity_key": "null"}, "names no business entity"),
        ({"currency": "'euro'"}, "duplicate_invoice: currency"),
        ({"amount": "'much'"}, "is no amount"),
    ],
)
def test_what_a_kind_asks_for_and_cannot_mean_is_kept_with_the_reason(twins, changes, message):
    ExceptionKind.objects.update(definition={"title": "x", "detect": [{**TWINS, **changes}]})
    delivery = deliver()

    assert process(delivery.pk) == "refused"
    delivery.refresh_from_db()
    assert message in delivery.message
    assert delivery.processed_at is not None


def test_a_kind_with_a_broken_definition_does_not_stop_the_others(twins):
    broken = make_kind("broken")
    ExceptionKind.objects.filter(pk=broken.pk).update(definition={"titel": "x"})

    assert process(deliver().pk) == "signal"


def test_text_from_outside_stays_text(systems):
    detect = {"connection": "fo", "event": "Alert", "entity_key": "event.No", "text": "event.Message"}
    make_kind(detect=[detect], title="About {incident.entity_key}")

    process(deliver(event="Alert", No="{incident.id}", Message="{{7*7}} ' || true").pk)

    assert Signal.objects.get().text == "{{7*7}} ' || true"
    assert Incident.objects.get().title == "About {incident.id}"


def test_a_worker_that_dies_in_between_leaves_the_delivery_to_the_next(twins, monkeypatch):
    delivery = deliver()
    with monkeypatch.context() as broken:
        broken.setattr(detection, "accept_many", _die)
        with pytest.raises(RuntimeError):
            process(delivery.pk)
    assert outcome_of(delivery) == ("", False)
    Delivery.objects.update(not_before=db_now() - timedelta(seconds=1))  # its lease has run out

    assert process(delivery.pk) == "signal"


def _die(*_: Any, **__: Any) -> None:
    raise RuntimeError("killed")


def test_a_worker_that_lost_its_lease_changes_nothing(twins):
    delivery = deliver()
    slow: list[str] = []

    def overtaken(arguments: Any) -> list[Record]:
        if not slow:
            slow.append("once")
            Delivery.objects.update(not_before=db_now() - timedelta(seconds=1))
            assert process(delivery.pk) == "signal"
        return [invoice()]

    twins.answers["fo", "invoice.find"] = overtaken

    assert process(delivery.pk) == ""
    assert Signal.objects.count() == 1
    assert outcome_of(delivery) == ("signal", True)


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_one_judges_each_delivery(twins):
    ids = [deliver(f"m-{number}").pk for number in range(6)]

    def work(delivery_id: int) -> str:
        try:
            return process(delivery_id)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(work, ids * 5))

    assert sorted(outcomes) == [""] * 24 + ["signal"] * 6
    assert Signal.objects.count() == 6
    assert Incident.objects.get().signals_count == 6


def test_the_sweep_leaves_fresh_deliveries_to_their_bells(twins):
    old, fresh = deliver("a"), deliver("b")
    Delivery.objects.filter(pk=fresh.pk).update(received_at=db_now())

    assert sweep_deliveries() == [old.pk]


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The deliveries that workers were told of."""
    rung: list[int] = []
    monkeypatch.setattr(tasks.process_delivery, "delay", lambda *, delivery_id: rung.append(delivery_id))
    return rung


@pytest.mark.usefixtures("one_turn")
def test_of_two_beats_one_rings_for_what_waits(twins, bells):
    delivery = deliver()

    counts = [tasks.process_deliveries(), tasks.process_deliveries()]

    assert counts == [1, 0]
    assert bells == [delivery.pk]


def test_the_bell_rings_after_the_commit(twins, bells, django_capture_on_commit_callbacks: Callable[..., Any]):
    delivery = deliver()

    with django_capture_on_commit_callbacks(execute=True):
        deliveries_arrived.send(sender=Delivery, connection_id=1, delivery_ids=[delivery.pk])
        assert bells == []

    assert bells == [delivery.pk]


def test_a_broker_that_is_away_loses_nothing(twins, monkeypatch):
    def away(**_: Any) -> None:
        raise OSError("refused")

    monkeypatch.setattr(tasks.process_delivery, "delay", away)
    monkeypatch.setattr(rings._Silence, "until", 0.0)
    delivery = deliver()

    tasks.ring_bell(delivery.pk)

    assert sweep_deliveries() == [delivery.pk]


def test_the_task_judges_one_delivery(twins):
    delivery = deliver()

    tasks.process_delivery(delivery_id=delivery.pk)

    assert outcome_of(delivery) == ("signal", True)
