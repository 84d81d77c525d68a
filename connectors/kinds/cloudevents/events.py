"""CloudEvents 1.0 on the wire: structured, batch and binary mode in; the header form of attributes in and out.

Source: cloudevents/spec, bindings/http-protocol-binding.md and formats/json-format.md.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from audit.proofs import canonical
from connectors.base import Inbound, Refused
from connectors.kit.batches import bounded, value_of
from connectors.wire.payloads import storable_text

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LONGEST_ID = 200
LONGEST = 2000  # letters of an attribute that names something
PREFIX = "ce-"
_JSON = re.compile(r"(application|text)/(json|[\w.+-]+\+json)", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9]{1,64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# What stands in a header as it is; space, quote, per cent and all that is not printable ASCII is encoded.
_SAFE = "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


def inbound(body: bytes, headers: Mapping[str, str]) -> list[Inbound]:
    """Cut a webhook's body into its events. Raises ``Refused`` where it is none of the three modes."""
    known = {name.lower(): text for name, text in headers.items()}
    content_type = known.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == STRUCTURED:
        return [_told(value_of(body), "The event")]
    if media_type == BATCH:
        return _batch(value_of(body))
    if "ce-specversion" in known:
        return [_told(_binary(body, known, content_type, media_type), "The event")]
    raise Refused(f"Send {STRUCTURED}, {BATCH}, or ce-… headers: this is none of the three.", status=400, code="mode")


def _batch(events: Any) -> list[Inbound]:
    if not isinstance(events, list):
        raise Refused("A batch is a list of events.", status=400, code="shape")
    return [_told(event, f"Event {number}") for number, event in enumerate(bounded(events), 1)]


def _binary(body: bytes, headers: Mapping[str, str], content_type: str, media_type: str) -> dict[str, Any]:
    """Read an event whose attributes stand in headers; its data is the body, in the type that the body has."""
    given = {name[len(PREFIX) :]: decoded(text) for name, text in headers.items() if name.startswith(PREFIX)}
    event: dict[str, Any] = {name: text for name, text in given.items() if _NAME.fullmatch(name)}
    for taken in ("data", "data_base64", "datacontenttype"):
        event.pop(taken, None)  # these have their own place, and a header of that name is none of it
    if content_type:
        event["datacontenttype"] = storable_text(content_type)
    if not body:
        return event
    if not media_type or _JSON.fullmatch(media_type):
        return {**event, "data": value_of(body)}
    return {**event, "data_base64": base64.b64encode(body).decode()}


def decoded(text: str) -> str:
    """Return what a header's value says: a quoted string is unquoted first, then the value is decoded exactly once."""
    text = text.strip()
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    return storable_text(unquote(text, errors="replace"))


def encoded(text: str) -> str:
    """Return a text as a header's value."""
    return quote(text, safe=_SAFE)


def _told(event: Any, where: str) -> Inbound:
    if not isinstance(event, dict) or event.get("specversion") != "1.0":
        raise Refused(f"{where} is no CloudEvent 1.0.", status=400, code="shape")
    for name in ("id", "source", "type"):
        value = event.get(name)
        if not isinstance(value, str) or not value.strip() or len(value) > LONGEST or _CONTROL.search(value):
            raise Refused(f"{where} has no {name} that could name it.", status=400, code="shape")
    if "data" in event and "data_base64" in event:
        raise Refused(f"{where} has data and data_base64: send one of them.", status=400, code="shape")
    return Inbound(identity(event["source"], event["id"]), event["type"][:200], event, _occurred(event, where))


def identity(source: str, number: str) -> str:
    """Return one text for source and id together, of at most 200 letters; no two pairs have the same.

    The id alone names nothing, and written one after the other two pairs could read alike.
    """
    text = canonical([source, number])
    return text if len(text) <= LONGEST_ID else "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _occurred(event: Mapping[str, Any], where: str) -> datetime | None:
    text = event.get("time")
    if text is None:
        return None
    if isinstance(text, str) and _TIME.fullmatch(text):
        try:
            moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.upper())).astimezone(UTC)
        except (ValueError, OverflowError):
            moment = None
        if moment is not None and 1970 <= moment.year <= 9000:
            return moment
    raise Refused(f"{where}: its time is none.", status=400, code="shape")
