"""A subscriber that takes CloudEvents over HTTP: checks the Standard Webhooks signature, keeps each event once.

Facts: CloudEvents' HTTP binding and its webhook specification (the OPTIONS handshake; source and id together name an
event), Standard Webhooks 1.0 (id, seconds and raw body under HMAC-SHA256; 300 seconds of tolerance).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import unquote

from connectors.simulator.messages import Answer, Exchange, Refusal, Request
from connectors.simulator.store import Fields, Store

SYSTEM = "receiver"
EVENT = "Event"
TOLERANCE = 300
STRUCTURED = "application/cloudevents+json"
REQUIRED = ("id", "source", "type", "specversion")


def signing_secret(secret: str) -> str:
    """Give the signing secret that a sender needs, as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(_key(secret)).decode()


def _key(secret: str) -> bytes:
    return hashlib.sha256(f"receiver {secret}".encode()).digest()


class Receiver:
    """The subscriber under `/receiver`."""

    name = SYSTEM

    def __init__(self, store: Store, secret: str) -> None:
        self.store = store
        self.key = _key(secret)

    def handle(self, exchange: Exchange) -> Answer:
        """Consent to a sender, or take one event; the same again is taken and changes nothing."""
        request = exchange.request
        if request.method == "OPTIONS":
            origin = request.header("WebHook-Request-Origin") or ""
            headers = {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "120", "Allow": "POST"}
            return Answer(200, None, headers if origin else {"Allow": "POST"})
        if request.method != "POST":
            raise Refusal(405, "Send events by POST.")
        self.require_signed(request)
        event = read(request)
        key = json.dumps([event["source"], event["id"]], ensure_ascii=False)
        with exchange.writing() as session:
            repeated = session.get(SYSTEM, EVENT, key) is not None
            if not repeated:
                session.put(SYSTEM, EVENT, key, event, kind="received")
        return Answer(200 if repeated else 202, {"repeated": repeated})

    def require_signed(self, request: Request) -> None:
        """Refuse what is not signed by the sender, or was signed long ago."""
        identifier, stamp = request.header("webhook-id") or "", request.header("webhook-timestamp") or ""
        if not (identifier and stamp.isascii() and stamp.isdecimal()) or abs(time.time() - int(stamp)) > TOLERANCE:
            raise Refusal(401, "The id or the time of the event is missing or old.")
        signed = f"{identifier}.{stamp}.".encode() + request.body
        wanted = base64.b64encode(hmac.new(self.key, signed, hashlib.sha256).digest()).decode()
        shown = (request.header("webhook-signature") or "").split(" ")
        if not any(hmac.compare_digest(f"v1,{wanted}".encode(), one.encode("utf-8", "replace")) for one in shown):
            raise Refusal(401, "The signature is not right.")

    def refuse(self, refusal: Refusal) -> Answer:
        """Say no in plain JSON."""
        return Answer(refusal.status, {"error": refusal.message})

    def throttled(self, seconds: float) -> Answer:
        """Ask for patience."""
        return Answer(429, {"error": "Too many events."}, {"Retry-After": f"{seconds:g}"})

    def locked(self) -> Refusal:
        """Nothing is ever locked here; a fault that asks for it meets a busy server."""
        return Refusal(503, "Busy.")


def read(request: Request) -> Fields:
    """Read an event in structured or binary mode, or refuse it."""
    content_type = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
    if content_type == STRUCTURED:
        event = request.json()
    else:
        named = {name.lower(): value for name, value in request.headers.items()}
        event = {name[3:]: unquote(value) for name, value in named.items() if name.startswith("ce-")}
        if event:
            event["data"] = request.json()
    if not event:
        raise Refusal(415, "Send CloudEvents.")
    missing = [name for name in REQUIRED if not isinstance(event.get(name), str) or not event[name]]
    if missing or event["specversion"] != "1.0":
        raise Refusal(400, f"This is no CloudEvent 1.0: {', '.join(missing) or 'specversion'}.")
    return event
