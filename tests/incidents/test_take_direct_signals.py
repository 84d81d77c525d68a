"""CloudEvents that are signals already become incidents without any kind detecting them."""

from typing import Any

import pytest

from audit.clock import db_now
from connectors.models import Connection, Delivery
from incidents.detection import process
from incidents.models import Incident, Signal
from tests.incidents.factories import make_kind

pytestmark = pytest.mark.django_db
DATA = {
    "code": "duplicate_invoice", "entity_type": "invoice", "entity_key": "INV-1", "business_unit": "EU",
    "region": "DE", "amount": {"amount": "10.00", "currency": "EUR"}, "text": "Twice?",
}  # fmt: skip


def deliver(data: Any, external_id: str = '["/billing","1"]', **changes: Any) -> Delivery:
    connection, _ = Connection.objects.get_or_create(slug="events", kind="cloudevents")
    payload = {"specversion": "1.0", "id": "1", "source": "/billing", "type": "invoice.doubtful", "data": data}
    return Delivery.objects.create(
        connection=connection, external_id=external_id, event="invoice.doubtful",
        payload={**payload, **changes}, received_at=db_now(),
    )  # fmt: skip


def test_an_event_that_says_what_is_wrong_opens_an_incident() -> None:
    make_kind()
    delivery = deliver(DATA)

    assert process(delivery.pk) == "signal"
    signal = Signal.objects.get()
    assert (signal.code, signal.entity_key, signal.business_unit, str(signal.amount)) == (
        "duplicate_invoice", "INV-1", "EU", "10.00",
    )  # fmt: skip
    assert (signal.source, signal.event_id, signal.channel) == ("events", '["/billing","1"]', "hook")
    assert signal.delivery_id == delivery.pk
    assert signal.raw["source"] == "/billing"


def test_two_events_about_one_thing_are_one_incident() -> None:
    make_kind()
    for number in ("1", "2"):
        process(deliver(DATA, f'["/billing","{number}"]').pk)

    assert Incident.objects.get().signals_count == 2


def test_a_hook_cannot_speak_in_the_name_of_another_sender() -> None:
    make_kind()
    process(deliver(DATA, source="crm", id="event-1").pk)

    assert Signal.objects.get().source == "events"


def test_a_kind_that_detects_such_events_goes_before() -> None:
    detect = {
        "connection": "events", "event": "invoice.doubtful", "when": "true", "entity_key": "'FOUND-' + event.id",
    }  # fmt: skip
    make_kind(detect=[detect])

    assert process(deliver(DATA).pk) == "signal"
    assert Signal.objects.get().entity_key == "FOUND-1"


@pytest.mark.parametrize("data", [{"order": "1"}, None, [DATA], "text", {"code": "x", "entity_type": "y"}])
def test_an_event_that_is_no_signal_is_left_to_the_kinds(data: Any) -> None:
    assert process(deliver(data).pk) == "no_rule"


@pytest.mark.parametrize("wrong", [{"amount": "much"}, {"unheard": 1}, {"entity_type": ""}])
def test_a_signal_that_cannot_be_meant_is_refused_with_the_field(wrong: dict[str, Any]) -> None:
    make_kind()
    delivery = deliver({**DATA, **wrong})

    assert process(delivery.pk) == "refused"
    delivery.refresh_from_db()
    assert next(iter(wrong)) in delivery.message
    assert Signal.objects.count() == 0
