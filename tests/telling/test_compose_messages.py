"""What a message says: the case, its figures and its page; never more than the receiving system is cleared for."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from pydantic import TypeAdapter

from connectors.door.models import DataClass
from connectors.models import Connection
from connectors.talk.messages import Message, as_event
from incidents.models import Incident, SlaClock
from incidents.states import Status
from playbooks.telling import content
from playbooks.telling.models import Outgoing, Subscription
from playbooks.telling.states import Event
from tests.playbooks import scenes
from tests.telling.factories import make_outgoing, make_subscription

pytestmark = pytest.mark.django_db
DUE = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _address(settings: Any) -> None:
    settings.PUBLIC_URL = "https://console.example"


@pytest.fixture
def subscription(watcher: User) -> Subscription:
    return make_subscription(watcher)


def said(row: Outgoing, **changes: Any) -> Message:
    given = {"recipients": (), "thread": "", **changes}
    return Message.model_validate(content.compose(content.gather(row), **given))


def about(subscription: Subscription, event: Event = Event.NEEDS_OPERATOR, **changes: Any) -> Message:
    incident = scenes.make_incident(Status.NEEDS_OPERATOR, **changes)
    scenes.make_clock(incident)
    SlaClock.objects.update(resolve_due=DUE)
    return said(make_outgoing(incident, subscription, event))


def test_a_message_names_case_entity_severity_money_unit_and_due_time(subscription: Subscription) -> None:
    message = about(subscription)

    number = Incident.objects.get()
    assert message.title == f"Needs a person · {number}: {scenes.TITLE}"
    assert message.text == "The loop stopped here and waits for a person. Read back from the source."
    assert dict(message.facts) == {
        "Incident": str(number), "Severity": "High", "Status": "Needs an operator", "Entity": "invoice INV-10482",
        "Revenue at risk": "1,250.00 EUR", "Business unit": "EU · DE", "Due": "2026-11-24 09:30 UTC",
    }  # fmt: skip
    assert message.link == f"https://console.example/incidents/{number.pk}/"


def test_machines_get_numbers_states_and_times_and_no_values_of_records(subscription: Subscription) -> None:
    message = about(subscription, attributes={"customer": "Northgate Retail"})
    event = as_event(message)

    assert event["source"] == "https://console.example"
    assert event["type"] == "io.goldseam.incident.needs_operator"
    assert event["subject"] == f"incident/{Incident.objects.get().pk}"
    assert event["data"]["incident"]["status"] == "needs_operator"
    assert event["data"]["incident"]["entity"] == {"type": "invoice", "key": "INV-10482"}
    assert event["data"]["sla"] == {"resolve_due": "2026-11-24T09:30:00Z", "breached": False}
    assert "values" not in event["data"]
    assert "Northgate" not in f"{event['data']}"
    assert "1250" not in f"{event['data']}"


def test_values_go_where_they_were_asked_for_and_the_connection_is_cleared(subscription: Subscription) -> None:
    Subscription.objects.update(with_values=True)
    Connection.objects.create(slug="fo", kind="dynamics_fo", labels={"customer": "personal", "iban": "financial"})
    Connection.objects.filter(kind="herald").update(cleared=["financial"])
    attributes = {"customer": "Northgate Retail", "iban": "DE00", "order": "SO-1", "nested": {"customer": "x"}}

    values = about(subscription_again(), attributes=attributes).data["values"]

    assert values == {
        "iban": "DE00", "order": "SO-1",
        "amount": {"amount": "1250.00", "currency": "EUR"},
        "revenue_at_risk": {"amount": "1250.00", "currency": "EUR"},
    }  # fmt: skip


def test_money_is_financial_whether_or_not_it_was_labelled(subscription: Subscription) -> None:
    Subscription.objects.update(with_values=True)

    assert about(subscription_again(), attributes={"order": "SO-1"}).data["values"] == {"order": "SO-1"}


def subscription_again() -> Subscription:
    return Subscription.objects.select_related("connection").get()


def test_a_label_keeps_the_money_out_of_the_facts(subscription: Subscription) -> None:
    Connection.objects.update(labels={"Revenue_At_Risk": "financial"})

    assert "Revenue at risk" not in dict(about(subscription_again()).facts)


@pytest.mark.parametrize("data_class", [DataClass.NON_BUSINESS, "unheard-of"])
def test_a_system_that_is_none_of_the_business_hears_number_status_and_severity(
    subscription: Subscription, data_class: str
) -> None:
    Subscription.objects.update(with_values=True)
    Connection.objects.update(data_class=data_class)

    message = about(subscription_again(), attributes={"customer": "Northgate Retail"})

    assert message.title == f"Needs a person · {Incident.objects.get()}"
    assert set(dict(message.facts)) == {"Incident", "Severity", "Status", "Due"}
    told = f"{message.model_dump()}"
    assert not [word for word in ("Northgate", "INV-10482", "1,250", "'EU'", "Read back") if word in told]


def test_without_an_address_of_the_console_there_is_no_link(subscription: Subscription, settings: Any) -> None:
    settings.PUBLIC_URL = ""
    message = about(subscription)

    assert (message.link, message.source) == ("", "goldseam")


def test_what_is_over_is_no_longer_due(subscription: Subscription) -> None:
    incident = scenes.make_incident(Status.RESOLVED)
    scenes.make_clock(incident)

    assert "Due" not in dict(said(make_outgoing(incident, subscription)).facts)


def test_long_and_many_lined_texts_are_cut_and_put_on_one_line(subscription: Subscription) -> None:
    incident = scenes.make_incident(title="first\nsecond " + "x" * 280, revenue_at_risk=None, amount=Decimal(0))
    message = said(make_outgoing(incident, subscription), recipients=("a@goldseam.example",), thread="t-1")

    assert len(message.title) == 300
    assert "first second" in message.title
    assert message.title.endswith("…")
    assert (message.recipients, message.thread) == (("a@goldseam.example",), "t-1")


@pytest.mark.parametrize("event", list(Event))
def test_every_event_makes_a_message_that_json_carries(subscription: Subscription, event: Event) -> None:
    row = make_outgoing(scenes.make_incident(), subscription, event)
    given = content.compose(content.gather(row), recipients=(), thread="")

    assert TypeAdapter(dict[str, Any]).dump_json(given)
    assert Message.model_validate(given).type == f"io.goldseam.{event.value}"
    assert 1 <= len(given["facts"]) <= 12
