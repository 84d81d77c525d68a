"""Signed events against Standard Webhooks' own verifier. Skipped where it is not installed."""

import base64
import json
from typing import Any

import httpx
import pytest

from connectors import gateway, transport
from tests.connectors.factories import Played
from tests.connectors.test_speak_cloudevents import KEY, WHSEC, make_hook, message

standardwebhooks = pytest.importorskip("standardwebhooks", reason="standardwebhooks is not installed")
pytestmark = [pytest.mark.peers, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def subscriber(monkeypatch: pytest.MonkeyPatch) -> Played:
    transport.close_all()
    played = Played().on("POST", "/events", httpx.Response(204))
    monkeypatch.setattr(transport, "wire", lambda: httpx.MockTransport(played))
    return played


@pytest.mark.parametrize("mode", ["structured", "binary"])
@pytest.mark.parametrize("data", [{"n": 1}, {"name": "Ærø · 日本", "nested": {"list": [1, None, True]}}])
def test_what_we_sign_the_verifier_takes(subscriber: Played, mode: str, data: dict[str, Any]) -> None:
    connection = make_hook(config={"mode": mode})
    gateway.call(connection, "event.send", message(data=data), actor="system:telling", effect_key="tell-1")
    (request,) = subscriber.requests

    told = standardwebhooks.Webhook(WHSEC).verify(request.content, dict(request.headers))

    assert told == json.loads(request.content)
    assert (told if mode == "binary" else told["data"]) == data
    transport.close_all()


@pytest.mark.parametrize("spoilt", ["key", "body", "id", "time"])
def test_what_was_altered_on_the_way_it_refuses(subscriber: Played, spoilt: str) -> None:
    gateway.call(make_hook(), "event.send", message(), actor="system:telling", effect_key="tell-1")
    (request,) = subscriber.requests
    body, headers = request.content, dict(request.headers)
    secret = "whsec_" + base64.b64encode(KEY[::-1]).decode() if spoilt == "key" else WHSEC
    if spoilt == "body":
        body += b" "
    if spoilt == "id":
        headers["webhook-id"] += "0"
    if spoilt == "time":
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) + 1)

    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret).verify(body, headers)

    transport.close_all()
