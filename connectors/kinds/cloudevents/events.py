"""CloudEvents 1.0 by webhook: structured, batch and binary mode.

Source: cloudevents/spec, bindings/http-protocol-binding.md and formats/json-format.md.
"""

import base64
import re
from collections.abc import Mapping
from typing import Any

from connectors.base import Inbound, Refused
from connectors.kit.batches import bounded, value_of
from connectors.kit.cloudevents import VERSION_HEADER, attributes, told
from connectors.wire.payloads import storable_text

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_JSON = re.compile(r"(application|text)/(json|[\w.+-]+\+json)", re.IGNORECASE)


def inbound(body: bytes, headers: Mapping[str, str]) -> list[Inbound]:
    """Cut a webhook's body into its events. Raises ``Refused`` where it is none of the three modes."""
    known = {name.lower(): text for name, text in headers.items()}
    content_type = known.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == STRUCTURED:
        return [told(value_of(body), "The event")]
    if media_type == BATCH:
        return _batch(value_of(body))
    if VERSION_HEADER in known:
        return [told(_binary(body, known, content_type, media_type), "The event")]
    raise Refused(f"Send {STRUCTURED}, {BATCH}, or ce-… headers: this is none of the three.", status=400, code="mode")


def _batch(events: Any) -> list[Inbound]:
    if not isinstance(events, list):
        raise Refused("A batch is a list of events.", status=400, code="shape")
    return [told(event, f"Event {number}") for number, event in enumerate(bounded(events), 1)]


def _binary(body: bytes, headers: Mapping[str, str], content_type: str, media_type: str) -> dict[str, Any]:
    """Read an event whose attributes stand in headers; its data is the body, in the type that the body has."""
    event = attributes(headers)
    if content_type:
        event["datacontenttype"] = storable_text(content_type)
    if not body:
        return event
    if not media_type or _JSON.fullmatch(media_type):
        return {**event, "data": value_of(body)}
    return {**event, "data_base64": base64.b64encode(body).decode()}
