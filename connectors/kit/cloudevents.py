"""CloudEvents 1.0, whoever sends them: what an event must say, its identity, and the header form of attributes.

Source: cloudevents/spec, spec.md and bindings/http-protocol-binding.md.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from audit.proofs import canonical
from connectors.base import Inbound, Refused
from connectors.wire.payloads import storable_text

LONGEST_ID = 200
LONGEST = 2000  # letters of an attribute that names something
PREFIX = "ce-"
VERSION_HEADER = "ce-specversion"
_NAME = re.compile(r"[a-z0-9]{1,64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# What stands in a header as it is; space, quote, per cent and all that is not printable ASCII is encoded.
_SAFE = "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
# These have their own place, and a header of that name is none of it.
_NOT_IN_HEADERS = frozenset({"data", "data_base64", "datacontenttype"})


def attributes(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the attributes that stand in headers, whose names are given in small letters."""
    given = {name[len(PREFIX) :]: text for name, text in headers.items() if name.startswith(PREFIX)}
    return {
        name: decoded(text) for name, text in given.items() if _NAME.fullmatch(name) and name not in _NOT_IN_HEADERS
    }


def decoded(text: str) -> str:
    """Return what a header's value says: a quoted string is unquoted first, then the value is decoded exactly once."""
    text = text.strip()
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    return storable_text(unquote(text, errors="replace"))


def encoded(text: str) -> str:
    """Return a text as a header's value."""
    return quote(text, safe=_SAFE)


def told(event: Any, where: str) -> Inbound:
    """Return one event, ``where`` in the delivery it stands. Raises ``Refused`` where it is no CloudEvent 1.0."""
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
