"""Dataverse webhooks: the execution context cut down to what it tells, its lists of key and value made readable."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from audit.proofs import canonical
from connectors.base import Inbound, Refused
from connectors.kinds.dataverse.tables import GUID
from connectors.kit.batches import value_of

_DATE = re.compile(r"/Date\((-?\d{1,15})(?:[+-]\d{4})?\)/\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}\Z")
_NOBODY = "00000000-0000-0000-0000-000000000000"
# A step's context stands inside the one that caused it, and that one in its own: nobody asks for them.
_LEFT_OUT = {"ParentContext"}
_COLLECTIONS = ("InputParameters", "OutputParameters", "PreEntityImages", "PostEntityImages", "SharedVariables")
NOTE = "annotation"
SHORTENED = "x-ms-dynamics-msg-size-exceeded"
ORGANIZATION = "x-ms-dynamics-organization"


def inbound(body: bytes, headers: Mapping[str, str], organization: str = "") -> Inbound:
    """Cut a webhook's body into what it tells. Raises ``Refused`` where it is no context, or another organization's."""
    known = {name.lower(): value for name, value in headers.items()}
    if organization and known.get(ORGANIZATION, "").casefold() != organization.casefold():
        # Held before anything of the body is read.
        raise Refused("This webhook is not of the organization of this connection.", status=401, code="organization")
    context = value_of(body)
    if not isinstance(context, dict):
        raise Refused("This is no execution context.", status=400, code="shape")
    table, message = context.get("PrimaryEntityName"), context.get("MessageName")
    for name, value in (("PrimaryEntityName", table), ("MessageName", message)):
        if not isinstance(value, str) or not _NAME.match(value):
            raise Refused(f"It has no {name}: this is no execution context.", status=400, code="shape")
    key = _id(context.get("PrimaryEntityId"))
    if not key:
        raise Refused("Its PrimaryEntityId is no id.", status=400, code="shape")
    payload = {name: _plain(value) for name, value in context.items() if name not in _LEFT_OUT}
    for name in _COLLECTIONS:
        payload[name] = payload[name] if isinstance(payload.get(name), dict) else {}
    payload |= {"PrimaryEntityId": key, "Target": _target(payload), "Shortened": SHORTENED in known}
    identity = note_id(key) if is_note(str(table), str(message)) else _identity(context, key)
    return Inbound(identity, f"{table}.{message}", payload, _occurred(payload))


def is_note(table: str, message: str = "") -> bool:
    """Tell whether an event is of a note that is there."""
    return table == NOTE and message != "Delete"


def note_id(key: str) -> str:
    """Return the id that a delivered note has for good: it is one thing, whatever brings it."""
    return f"comment:{key}"


def _target(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that were changed; a deletion names its record and no column."""
    target = payload["InputParameters"].get("Target")
    columns = target.get("Attributes") if isinstance(target, dict) else None
    return columns if isinstance(columns, dict) else {}


def _identity(context: dict[str, Any], key: str) -> str:
    """Return what the same event has again: its operation, else its cause, its step, its record and its content."""
    operation = _id(context.get("OperationId"))
    if operation and operation != _NOBODY:
        return operation
    step = context.get("OwningExtension")
    step_id = _id(step.get("Id")) if isinstance(step, dict) else ""
    content = hashlib.sha256(canonical(context).encode()).hexdigest()[:24]
    return ":".join((_id(context.get("CorrelationId")), step_id, key, content))


def _id(value: Any) -> str:
    text = value.strip("{}").lower() if isinstance(value, str) else ""
    return text if GUID.match(text) else ""


def _occurred(payload: dict[str, Any]) -> datetime | None:
    """Return when the row was changed. OperationCreatedOn is not asked: its number runs ahead by its offset."""
    images = [image.get("Attributes") for image in payload["PostEntityImages"].values() if isinstance(image, dict)]
    for columns in (payload["Target"], *images):
        text = columns.get("modifiedon") if isinstance(columns, dict) else None
        moment = moment_of(text) if isinstance(text, str) else None
        if moment is not None:
            return moment
    return None


def moment_of(text: str) -> datetime | None:
    """Read ISO 8601 or ``/Date(ms)/``; ``None`` for what is no time."""
    if found := _DATE.match(text):
        try:
            return _EPOCH + timedelta(milliseconds=int(found[1]))
        except OverflowError:
            return None
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _plain(value: Any) -> Any:
    """Turn lists of key and value into objects, Money and choices into numbers, dates into ISO 8601."""
    if isinstance(value, str) and _DATE.match(value):
        moment = moment_of(value)
        return moment.isoformat().replace("+00:00", "Z") if moment else None
    if isinstance(value, list):
        pairs = [part for part in value if isinstance(part, dict) and isinstance(part.get("key"), str)]
        if value and len(pairs) == len(value):
            return {part["key"]: _plain(part.get("value")) for part in pairs}
        return [_plain(part) for part in value]
    if not isinstance(value, dict):
        return value
    kind = str(value.get("__type") or "").partition(":")[0]
    if kind in ("Money", "OptionSetValue") and "Value" in value:
        return _plain(value["Value"])
    plain = {name: _plain(part) for name, part in value.items() if name != "__type"}
    if isinstance(plain.get("Attributes"), list):
        plain["Attributes"] = {}  # an empty list of pairs looks like any other
    return plain
