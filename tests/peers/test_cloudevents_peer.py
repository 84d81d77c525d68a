"""Events out and in against the core of CloudEvents' own SDK. Skipped where it is not installed."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from django.test import Client

from connectors import gateway, transport
from connectors.models import Delivery
from tests.connectors.factories import Played
from tests.connectors.test_speak_cloudevents import deliver, make_hook, message

http = pytest.importorskip("cloudevents.core.bindings.http", reason="cloudevents is not installed")
formats = pytest.importorskip("cloudevents.core.formats.json", reason="cloudevents is not installed")
v1 = pytest.importorskip("cloudevents.core.v1.event", reason="cloudevents is not installed")
pytestmark = [pytest.mark.peers, pytest.mark.django_db(transaction=True)]

DATA = [{"n": 1}, {"name": "Ærø · 日本", "nested": {"list": [1, None, True]}}]


@pytest.fixture
def subscriber(monkeypatch: pytest.MonkeyPatch) -> Played:
    transport.close_all()
    played = Played().on("POST", "/events", httpx.Response(204))
    monkeypatch.setattr(transport, "wire", lambda: httpx.MockTransport(played))
    return played


def told(client: Client, event: Any, write: str) -> Any:
    """Deliver an event as the SDK writes it."""
    written = getattr(http, write)(event, formats.JSONFormat())
    headers = {name.lower(): value for name, value in written.headers.items()}
    return deliver(client, written.body, headers.pop("content-type"), **headers)


@pytest.mark.parametrize("mode", ["structured", "binary"])
@pytest.mark.parametrize("data", DATA)
def test_what_we_tell_the_sdk_reads_as_it_was_meant(subscriber: Played, mode: str, data: dict[str, Any]) -> None:
    ours = message(data=data)
    gateway.call(make_hook(config={"mode": mode}), "event.send", ours, actor="system:telling", effect_key="tell-1")
    (request,) = subscriber.requests

    event = http.from_http(http.HTTPMessage(dict(request.headers), request.content), formats.JSONFormat())

    assert event.get_specversion() == "1.0"
    assert (event.get_id(), event.get_type(), event.get_source()) == (ours["id"], ours["type"], ours["source"])
    assert event.get_subject() == ours["subject"]
    assert event.get_time() == datetime.fromisoformat(ours["occurred_at"])
    assert event.get_data() == data
    transport.close_all()


@pytest.mark.parametrize("write", ["to_structured", "to_binary"])
@pytest.mark.parametrize("data", DATA)
def test_what_the_sdk_tells_is_kept_once_whatever_the_mode(client: Client, write: str, data: dict[str, Any]) -> None:
    make_hook()
    attributes = {
        "id": "7", "source": "/erp/s4/100", "type": "order.changed", "subject": "Aufträge 4711 · “eilig”",
        "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "datacontenttype": "application/json", "tenant": "50%",
    }  # fmt: skip
    event = v1.CloudEvent(attributes, data)

    first, again = told(client, event, write), told(client, event, write)

    assert (first.json()["accepted"], again.json()["repeated"]) == (1, 1), first.content
    row = Delivery.objects.get()
    assert row.external_id == '["/erp/s4/100","7"]'
    assert row.occurred_at == attributes["time"]
    assert row.payload["subject"] == attributes["subject"]
    assert row.payload["tenant"] == "50%"
    assert row.payload["data"] == data


def test_the_two_modes_of_one_event_are_one_delivery(client: Client) -> None:
    make_hook()
    attributes = {"id": "8", "source": "/erp", "type": "order.changed", "datacontenttype": "application/json"}
    event = v1.CloudEvent(attributes, {"n": 1})

    told(client, event, "to_structured")
    told(client, event, "to_binary")

    assert Delivery.objects.count() == 1
