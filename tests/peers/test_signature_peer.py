"""Signatures against the verifiers of Standard Webhooks and of Slack, which nobody here wrote.

Skipped where they are not installed.
"""

import base64
import importlib
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from audit.clock import db_now
from connectors import actions, gateway, registry, transport
from connectors.base import Unauthorized
from connectors.models import Connection
from connectors.wire import signatures

standardwebhooks: Any = pytest.importorskip("standardwebhooks")
slack: Any = pytest.importorskip("slack_sdk.signature")

pytestmark = pytest.mark.peers
KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
BODIES = [
    b"",
    b"{}",
    b'{"id": 7}',
    b'{ "id" : 7 }\n',
    '{"text": "Müller – 4711 ✓"}'.encode(),
    b"token=x&team_id=T1&command=%2Fgoldseam&text=SO-000697+is+stuck",
    b"payload=%7B%22type%22%3A%22block_actions%22%7D",
    b"a.b.c" * 2_000,
]
IDS = ["msg_1", "io.goldseam.incident.resolved-7", "a.b", "0"]
WAYS_TO_SPOIL = 200


def spoilt(rng: random.Random, text: str) -> str:
    """Another text of printable letters that differs in one place, or is one shorter or longer."""
    at = rng.randrange(len(text))
    letter = rng.choice([chr(code) for code in range(33, 127) if chr(code) != text[at]])
    return rng.choice([text[:at] + letter + text[at + 1 :], text[:at] + text[at + 1 :], text[:at] + letter + text[at:]])


# --- Standard Webhooks -----------------------------------------------------------------------------


def headers_of(identifier: str, seconds: int, signature: str) -> dict[str, str]:
    return {"webhook-id": identifier, "webhook-timestamp": str(seconds), "webhook-signature": signature}


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("identifier", IDS)
def test_both_write_the_same_standard_signature(identifier: str, body: bytes) -> None:
    ours = signatures.standard(KEY, identifier, int(NOON.timestamp()), body)

    assert ours == standardwebhooks.Webhook(SECRET).sign(identifier, NOON, body.decode())


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_their_verifier_takes_what_is_signed_and_nothing_that_was_changed(body: bytes) -> None:
    verifier, seconds = standardwebhooks.Webhook(SECRET), int(datetime.now(UTC).timestamp())
    signature = signatures.standard(KEY, "msg_1", seconds, body)

    def refused(body: bytes, identifier: str = "msg_1", seconds: int = seconds, key: bytes = KEY) -> bool:
        try:
            standardwebhooks.Webhook(key).verify(body, headers_of(identifier, seconds, signature), json_parse=False)
        except standardwebhooks.WebhookVerificationError:
            return True
        return False

    verifier.verify(body, headers_of("msg_1", seconds, signature), json_parse=False)
    assert refused(body + b" ")
    assert refused(body, identifier="msg_2")
    assert refused(body, seconds=seconds - 1)
    assert refused(body, key=KEY[::-1])


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """What goes out, taken by a subscriber that says yes to everything."""
    requests: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b""))

    transport.close_all()
    monkeypatch.setattr(transport, "wire", lambda: httpx.MockTransport(take))
    return requests


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_their_verifier_takes_the_events_that_are_sent(db: None, sent: list[httpx.Request], mode: str) -> None:
    subscriber = actions.create_connection(
        "subscriber", "cloudevents", actor="test", secrets={"signing_secret": SECRET}, operations=["*"],
        config={"endpoint_url": "https://subscriber.test/events", "mode": mode},
    )  # fmt: skip
    message = {
        "id": "m-1", "type": "io.goldseam.incident.resolved", "source": "https://goldseam.test",
        "subject": "incident/1", "occurred_at": "2026-01-02T03:04:05Z", "title": "Müller’s order is mended", "data": {},
    }  # fmt: skip

    gateway.call(subscriber, "event.send", message, actor="system:telling", effect_key="abc-1")

    (request,) = sent
    standardwebhooks.Webhook(SECRET).verify(request.content, dict(request.headers))
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(request.content + b" ", dict(request.headers))


# --- Slack -----------------------------------------------------------------------------------------


class Stopped:
    """A clock for Slack's verifier."""

    def __init__(self, now: datetime) -> None:
        self.seconds = now.timestamp()

    def now(self) -> float:
        return self.seconds


def theirs(now: datetime = NOON) -> Any:
    return slack.SignatureVerifier(SIGNING_SECRET, clock=Stopped(now))


@pytest.fixture
def ours(db: None) -> Callable[..., bool]:
    """Whether our Slack kind takes a body under a time and a signature, at a moment."""
    events = importlib.import_module("connectors.kinds.slack.events")

    def taken(body: bytes, stamp: str, signature: str, now: datetime = NOON) -> bool:
        headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": signature}
        try:
            events.prove(SIGNING_SECRET, body, headers, now)
        except Unauthorized:
            return False
        return True

    return taken


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_what_slack_signs_is_taken(ours: Callable[..., bool], body: bytes) -> None:
    stamp = str(int(NOON.timestamp()))
    signature = theirs().generate_signature(timestamp=stamp, body=body)

    assert theirs().is_valid(body, stamp, signature)
    assert ours(body, stamp, signature)
    assert not ours(body + b" ", stamp, signature)
    assert not ours(body, str(int(stamp) - 1), signature)


@pytest.mark.parametrize("seconds", [-86_400, -301, -300, -299, 0, 299, 300, 301, 86_400])
def test_both_draw_the_same_line_in_time(ours: Callable[..., bool], seconds: int) -> None:
    stamp = str(int(NOON.timestamp()))
    signature = theirs().generate_signature(timestamp=stamp, body=BODIES[1])
    now = NOON + timedelta(seconds=seconds)

    taken = ours(BODIES[1], stamp, signature, now)

    assert taken == theirs(now).is_valid(BODIES[1], stamp, signature)
    assert taken == (abs(seconds) <= 300)


def test_whatever_is_spoilt_both_refuse(ours: Callable[..., bool]) -> None:
    rng, stamp = random.Random(20260102), str(int(NOON.timestamp()))
    body = BODIES[5]
    signature = theirs().generate_signature(timestamp=stamp, body=body)

    for _ in range(WAYS_TO_SPOIL):
        other = spoilt(rng, signature)
        changed = spoilt(rng, body.decode()).encode()
        assert not theirs().is_valid(body, stamp, other)
        assert not ours(body, stamp, other), other
        assert not theirs().is_valid(changed, stamp, signature)
        assert not ours(changed, stamp, signature), changed


def test_the_kind_itself_takes_what_slack_signs_now(db: None) -> None:
    actions.create_connection(
        "slack", "slack", actor="test", secrets={"signing_secret": SIGNING_SECRET}, operations=["*"]
    )
    connector = registry.connector_for(Connection.objects.get())
    stamp = str(int(db_now().timestamp()))
    signature = slack.SignatureVerifier(SIGNING_SECRET).generate_signature(timestamp=stamp, body=BODIES[2])
    headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": signature}

    connector.verify(BODIES[2], headers)
    with pytest.raises(Unauthorized):
        connector.verify(BODIES[3], headers)
