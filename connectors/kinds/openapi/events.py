"""What a REST API tells by itself: Standard Webhooks, held against their signature before anything is parsed."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from audit.clock import db_now
from audit.errors import Refusal
from audit.strictjson import loads
from connectors.base import Inbound, Refused, Unauthorized
from connectors.kinds.openapi.answers import at
from connectors.kinds.openapi.settings import OpenApiConfig
from connectors.wire import signatures

WINDOW_SECONDS = 300
MOST_SIGNATURES = 20
LONGEST_ID = 200
SHORTEST_KEY = 16  # bytes; Standard Webhooks gives out 24 and more, other senders let people choose
_WHOLE = re.compile(r"\d{1,12}")


def key_of(secret: str) -> bytes:
    """Return the key that a secret stands for: ``whsec_`` and base64, or any other text as it is.

    Raises ``Unauthorized`` where it is none, or so short that it can be guessed.
    """
    marked = secret.startswith("whsec_")
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True) if marked else secret.encode()
    except (binascii.Error, ValueError):
        raise Unauthorized("The webhook secret is no base64 behind whsec_: enter it again as it was given.") from None
    if len(key) < SHORTEST_KEY:
        raise Unauthorized(f"The webhook secret stands for fewer than {SHORTEST_KEY} bytes: enter a longer one.")
    return key


def verify(secret: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Hold the raw body against its signature: of several, one that is right is enough. Raises ``Unauthorized``.

    Standard Webhooks 1.0: ``webhook-id``, ``webhook-timestamp`` (seconds, not older or newer than five minutes) and
    ``webhook-signature``, parted by spaces, each ``v1,`` and base64.
    """
    identifier, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not identifier or len(identifier) > LONGEST_ID or not _WHOLE.fullmatch(stamp):
        raise Unauthorized("webhook-id and webhook-timestamp are missing, or not as Standard Webhooks has them.")
    if abs(db_now().timestamp() - int(stamp)) > WINDOW_SECONDS:
        raise Unauthorized(f"The delivery was signed more than {WINDOW_SECONDS} seconds ago, or in the future.")
    if str(int(stamp)) != stamp:
        raise Unauthorized("webhook-timestamp is not written as a plain number.")
    wanted = signatures.standard(key_of(secret), identifier, int(stamp), body)
    shown = headers.get("webhook-signature", "").split(" ")[:MOST_SIGNATURES]
    # Each is compared in the same time, right or not; a sender that rolls its secret over shows two.
    if not any(signatures.equal(wanted, one) for one in shown):
        raise Unauthorized("The signature is not right.")


def inbound(body: bytes, headers: Mapping[str, str], config: OpenApiConfig) -> list[Inbound]:
    """Return what a delivery tells. Raises ``Refused`` where it is no event as the connection describes it."""
    try:
        told = loads(body)
    except Refusal as bad:
        raise Refused(str(bad), status=400) from None
    if not isinstance(told, dict):
        raise Refused("An event is a JSON object.", status=400)
    event = at(told, config.event_type)
    if not isinstance(event, str) or not 0 < len(event) <= LONGEST_ID:
        raise Refused(f"The event says no type at “{config.event_type}”.", status=400)
    found = headers.get("webhook-id") or at(told, config.event_id)
    if isinstance(found, bool) or not isinstance(found, str | int) or not str(found).strip():
        raise Refused(f"The event has no id: neither the header webhook-id nor “{config.event_id}”.", status=400)
    identifier = str(found)
    if len(identifier) > LONGEST_ID:
        identifier = f"sha256:{hashlib.sha256(identifier.encode(errors='replace')).hexdigest()}"
    return [Inbound(identifier, event, told, moment(at(told, config.event_time)))]


def moment(value: Any) -> datetime | None:
    """Read a time: ISO 8601, or seconds or milliseconds since 1970; ``None`` where it is none."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value / 1000 if abs(value) > 1e11 else value
            return datetime.fromtimestamp(seconds, UTC)
        if isinstance(value, str) and 10 <= len(value) <= 40:
            found = datetime.fromisoformat(value)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None
