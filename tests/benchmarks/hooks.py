"""Deliveries as systems send them: one that shows the hook's secret, and one that is signed."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.client import Request

SECRET = "a-hook-secret-of-some-length"
KEY = "8f742231b10e8888abcd99yyyzzz85a5"


@dataclass(frozen=True)
class Way:
    """One way to deliver: the connection that it comes in by, its bodies and its headers."""

    slug: str
    kind: str
    body: Callable[[int], dict[str, Any]]
    headers: Callable[[bytes], tuple[tuple[str, str], ...]]
    config: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)


def _business_event(number: int) -> dict[str, Any]:
    return {
        "BusinessEventId": "SalesInvoicePostedBusinessEvent", "ControlNumber": number, "EventId": f"event-{number}",
        "EventTime": f"/Date({1_767_225_600_000 + number})/", "LegalEntity": "demf", "MajorVersion": 0,
        "MinorVersion": 0, "InvoiceNumber": f"CIV-{number:06d}", "SalesOrderNumber": f"SO-{number:06d}",
    }  # fmt: skip


def _message(number: int) -> dict[str, Any]:
    moment = f"17672256{number % 100:02d}.{number:06d}"
    event = {
        "type": "message", "channel": "C0123456789", "user": "U0123456789", "ts": moment,
        "text": f"Order SO-{number:06d} is stuck since this morning, the carrier has not called.",
    }  # fmt: skip
    return {"type": "event_callback", "team_id": "T0123456789", "event_id": f"Ev{number:010d}", "event": event}


def _shown(body: bytes) -> tuple[tuple[str, str], ...]:
    return (("X-Goldseam-Secret", SECRET),)


def _signed(body: bytes) -> tuple[tuple[str, str], ...]:
    stamp = str(int(time.time()))
    signature = hmac.new(KEY.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return (("X-Slack-Request-Timestamp", stamp), ("X-Slack-Signature", f"v0={signature}"))


_FO = {
    "environment_url": "https://bench.operations.dynamics.test", "tenant": "bench", "client_id": "bench",
    "authority": "https://login.bench.test",
}  # fmt: skip
WAYS = {
    "secret shown": Way("bench-fo", "dynamics_fo", _business_event, _shown, _FO, {"hook_secret": SECRET}),
    "signed": Way(
        "bench-chat", "slack", _message, _signed, {"channels": "C0123456789"}, {"secrets": {"signing_secret": KEY}}
    ),
}


def requests(name: str, run: int, count: int) -> list[Request]:
    """Return so many deliveries, each of something new."""
    way, made = WAYS[name], []
    for number in range(run * count, (run + 1) * count):
        body = json.dumps(way.body(number)).encode()
        headers = (("Content-Type", "application/json"), ("Accept", "application/json"), *way.headers(body))
        made.append(Request(f"/api/v1/hooks/{way.slug}/", headers, body, "POST"))
    return made
