"""CloudEvents: events come in from any producer, and lifecycle events go out, signed as Standard Webhooks asks."""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any
from urllib.parse import urlsplit

from django.conf import settings as console
from pydantic import Field, StringConstraints

from audit.clock import db_now
from audit.proofs import canonical
from connectors.base import (
    Arguments,
    Blocked,
    ConnectorError,
    Health,
    Inbound,
    RateLimited,
    Refused,
    Sample,
    Tell,
    Written,
)
from connectors.kinds.cloudevents import events
from connectors.kit.answers import Explained, failure, retry_after
from connectors.kit.cloudevents import PREFIX, encoded
from connectors.talk.messages import Message, as_event
from connectors.talk.tellers import Teller
from connectors.transport import Reply
from connectors.wire import signatures

SECRET_PREFIX = "whsec_"  # noqa: S105 - how Standard Webhooks marks a secret
SHORTEST_KEY = 24  # bytes, by Standard Webhooks
ANYBODY = "*"


class Mode(Enum):
    """How an event is written into a request."""

    STRUCTURED = "structured"
    BINARY = "binary"


class CloudEventsConfig(Arguments):
    """Where events go, and who may announce itself as their sender."""

    endpoint_url: Annotated[str, StringConstraints(pattern=r"^(https?://\S+)?$", max_length=1000)] = Field(
        default="", title="Endpoint", description="Where lifecycle events are sent; empty: it only receives."
    )
    mode: Mode = Field(default=Mode.STRUCTURED, title="Mode", description="How an event is written.")
    allowed_origins: Annotated[str, StringConstraints(max_length=4000)] = Field(
        default="", title="Allowed origins",
        description="Senders that the OPTIONS handshake consents to, separated by commas; * for any; empty: none.",
    )  # fmt: skip
    rate: int = Field(
        default=600, ge=1, le=100_000, title="Events a minute", description="What the handshake allows a sender."
    )


class CloudEvents(Teller):
    """Any producer or subscriber that speaks CloudEvents 1.0 over HTTP; what it sends is read as signals."""

    slug = "cloudevents"
    label = "CloudEvents"
    config = CloudEventsConfig
    secrets = frozenset({"signing_secret", "bearer_token"})
    operations = (Tell("event.send", Message, "Send a lifecycle event"),)
    settings: CloudEventsConfig

    def check(self) -> Health:
        """Ask the endpoint by the handshake, which sends no event, whether it is there and consents."""
        url = self.settings.endpoint_url
        if not url:
            return Health(True, ("Nothing",), "It only receives: no endpoint is set, so there is nothing to try.")
        self._key()
        origin = _origin(console.PUBLIC_URL)
        reply = self.http.send("OPTIONS", url, headers={"WebHook-Request-Origin": origin, **self._bearer()})
        tried = (f"OPTIONS {urlsplit(url).hostname}",)
        if reply.status == 401:
            return Health(False, tried, "The endpoint does not accept the bearer token.")
        if reply.status >= 500:
            return Health(False, tried, f"The endpoint answered {reply.status}.")
        allowed = reply.headers.get("webhook-allowed-origin", "")
        if allowed in (ANYBODY, origin):
            return Health(True, tried, f"Connected. It consents to events from {origin}.")
        return Health(True, tried, "Connected. It does not speak the handshake; events are sent all the same.")

    def receive(self, body: bytes, headers: Mapping[str, str]) -> list[Inbound]:
        """Cut a delivery into its events. Our own that come back to us tell nothing and are left out."""
        told = events.inbound(body, headers)
        return [one for one in told if not console.PUBLIC_URL or one.payload["source"] != console.PUBLIC_URL]

    @classmethod
    def sample(cls, settings: CloudEventsConfig) -> Sample:
        """Return one event whose data is a signal."""
        data = {"code": "duplicate_invoice", "entity_type": "invoice", "entity_key": "INV-10482"}
        event = {"specversion": "1.0", "id": "1", "source": "/billing", "type": "com.example.invoice.doubtful"}
        return Sample(canonical({**event, "data": data}), events.STRUCTURED)

    def tell(self, operation: Tell, arguments: Message, *, key: str) -> Written:
        """Post one event. The same message again carries the same ids, so that the receiver can drop it."""
        url = self.settings.endpoint_url
        if not url:
            raise Blocked(f"The connection {self.name} has no endpoint to send to.", code="address")
        body, headers = self._written(as_event(arguments))
        seconds = int(db_now().timestamp())
        headers |= {
            "WebHook-Request-Origin": _origin(arguments.source),
            "webhook-id": arguments.id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": signatures.standard(self._key(), arguments.id, seconds, body),
            **self._bearer(),
        }
        reply = self.http.send("POST", url, headers=headers, raw=body)
        if not 200 <= reply.status < 300:
            raise refusal(reply, self.label)
        # What a receiver writes into its answer proves nothing more than that it took the event.
        return Written(result={"status": reply.status})

    def _written(self, event: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
        """Return body and headers of an event in the connection's mode."""
        if self.settings.mode is Mode.STRUCTURED:
            return canonical(event).encode(), {"Content-Type": f"{events.STRUCTURED}; charset=utf-8"}
        data, content_type = event.pop("data"), event.pop("datacontenttype")
        headers = {PREFIX + name: encoded(str(value)) for name, value in event.items()}
        return canonical(data).encode(), {**headers, "Content-Type": content_type}

    def _key(self) -> bytes:
        """Return the key of the signature. Raises ``Blocked`` where the secret is none of Standard Webhooks."""
        text = self.secret("signing_secret").strip().removeprefix(SECRET_PREFIX)
        try:
            key = b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) < SHORTEST_KEY:
            # Not chained: the error would hold the secret.
            raise Blocked(
                f"The signing secret of {self.name} must be whsec_ and base64 of at least {SHORTEST_KEY} bytes.",
                code="credentials",
            ) from None
        return key

    def _bearer(self) -> dict[str, str]:
        token = self._secrets.get("bearer_token", "")
        return {"Authorization": f"Bearer {token}"} if token else {}


def refusal(reply: Reply, label: str) -> ConnectorError:
    """Return what an answer outside 2xx means. A repeated event is harmless, so 503 with Retry-After is a wait."""
    status = reply.status
    if status == 410:
        return Refused(f"{label}: the subscriber is gone and wants nothing more (410).", status=410, code="gone")
    if status == 415:
        return Refused(f"{label}: the subscriber does not take this format (415).", status=415, code="format")
    if 300 <= status < 400:
        return Refused(f"{label} answered {status} and points elsewhere; redirects are not followed.", status=status)
    wait = retry_after(reply.headers.get("retry-after", ""))
    if status in (429, 503) and wait is not None:
        return RateLimited(f"{label} asks to wait.", status=status, retry_after=wait)
    return failure(reply, label=label, wrote=False, explain=lambda _: Explained(""))


def _origin(source: str) -> str:
    """Return the name that the sender announces itself by: the host of the console."""
    return urlsplit(source).hostname or "goldseam"
