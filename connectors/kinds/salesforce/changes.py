"""Change events and platform events, relayed as JSON: as CometD gives them, or their payload alone."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from audit.proofs import canonical
from connectors.base import Inbound, Refused
from connectors.inbound.bookmarks import WANTED
from connectors.kinds.salesforce import soql, told
from connectors.kinds.salesforce.arguments import full_id
from connectors.kinds.salesforce.settings import SalesforceConfig
from connectors.kit.batches import events_of

MOST_RECORDS = 5000
HEADER = "ChangeEventHeader"
OVERFLOW = "GAP_OVERFLOW"
TYPES = frozenset(
    {f"{gap}{change}" for gap in ("", "GAP_") for change in ("CREATE", "UPDATE", "DELETE", "UNDELETE")} | {OVERFLOW}
)
# How both the event of such a gap and the bookmark that asks for a poll begin.
RESYNC = WANTED
POLLED = "Case"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRAPPERS = ("data", "detail")
_CHANNELS = ("channel", "topic", "topicName", "detail-type")


def inbound(body: bytes, settings: SalesforceConfig) -> list[Inbound]:
    """Cut a relayed body into what it tells. Raises ``Refused`` where it is no event of Salesforce.

    Changes that carry our own name in their origin are left out: they would tell us what we did.
    """
    found: list[Inbound] = []
    for number, event in enumerate(events_of(body), 1):
        found += _event(event, f"Event {number}", settings)
        if len(found) > MOST_RECORDS:
            raise Refused(f"At most {MOST_RECORDS} records at once.", status=413, code="too_many")
    return found


def asked_again(found: list[Inbound]) -> dict[str, str]:
    """Return the bookmark that lets the next poll begin where the earliest gap of unknown size began, if there is one.

    Only cases are polled; of other objects the delivery itself says that there was a gap.
    """
    gaps = [one for one in found if one.event == f"{RESYNC}{POLLED}"]
    if not gaps:
        return {}
    first = min(gaps, key=lambda one: one.occurred_at or _EPOCH)
    return {RESYNC + first.external_id[-60:]: first.occurred_at.isoformat() if first.occurred_at else ""}


def _event(event: Any, where: str, settings: SalesforceConfig) -> list[Inbound]:
    inner = next((event[name] for name in _WRAPPERS if name in event), event) if isinstance(event, dict) else None
    payload = inner.get("payload", inner) if isinstance(inner, dict) else None
    if not isinstance(event, dict) or not isinstance(inner, dict) or not isinstance(payload, dict):
        raise Refused(f"{where} is no event of Salesforce.", status=400, code="shape")
    replay = _replay(inner) or _replay(event)
    header = payload.get(HEADER)
    if isinstance(header, dict):
        return _change(payload, header, replay, where, settings)
    return [_platform(event, inner, payload, replay, where)]


def _replay(event: Mapping[str, Any]) -> str:
    """Return the replay id; it is opaque, so nothing is made of it but a name."""
    inner = event.get("event")
    value = inner.get("replayId") if isinstance(inner, dict) else event.get("replayId")
    return str(value)[:60] if isinstance(value, str | int) and not isinstance(value, bool) else ""


# --- changes of records ---------------------------------------------------------------------------
def _change(
    payload: dict[str, Any], header: dict[str, Any], replay: str, where: str, settings: SalesforceConfig
) -> list[Inbound]:
    entity, change, keys = header.get("entityName"), header.get("changeType"), header.get("recordIds")
    if not isinstance(entity, str) or not told.OBJECT.match(entity) or change not in TYPES:
        raise Refused(f"{where} does not say what changed and how.", status=400, code="shape")
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) and 0 < len(key) <= 18 for key in keys):
        raise Refused(f"{where} names no records.", status=400, code="shape")
    if str(header.get("changeOrigin") or "").rpartition(";client=")[2] == settings.client_name:
        return []
    at, name = _moment(header.get("commitTimestamp")), _name(header, payload, replay)
    if change == OVERFLOW or any(key.endswith("*") for key in keys):
        about = {told.ABOUT: {"type": entity, "told": "change event", **_kept(header, replay)}}
        return [Inbound(f"{entity}:resync:{name}", f"{RESYNC}{entity}", about, at)]
    if not all(told.ID.match(key) for key in keys):
        raise Refused(f"{where} names something that is no record.", status=400, code="shape")
    form = _form(str(change), known=settings.readable(entity))
    fields, about, reading = _fields(payload, header), _kept(header, replay), form == "record"
    found = []
    for key in dict.fromkeys(map(full_id, keys)):
        content = told.payload(entity, key, fields=fields, form="change event", reading=reading, about=about)
        own = f"{entity}:{key}:{name}"
        identity = told.external_id(entity, key, own) if reading else own
        found.append(Inbound(identity, f"{form}:{entity}", content, at))
    return found


def _form(change: str, *, known: bool) -> str:
    """Return what is told: a record that can be read, that it is gone, what changed of it, or only that it did."""
    if change.endswith("_DELETE") or change == "DELETE":
        return "deleted"
    if known:
        return "record"
    return "gap" if change.startswith("GAP_") else "changed"


def _fields(payload: dict[str, Any], header: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that changed; what was emptied is named apart, and a difference is no value."""
    differences = header.get("diffFields")
    emptied = header.get("nulledFields")
    left_out = {HEADER, *(differences if isinstance(differences, list) else [])}
    fields = {name: value for name, value in payload.items() if name not in left_out}
    return fields | {name: None for name in (emptied if isinstance(emptied, list) else []) if isinstance(name, str)}


def _kept(header: dict[str, Any], replay: str) -> dict[str, Any]:
    names = ("changeType", "changeOrigin", "commitUser", "changedFields", "transactionKey", "sequenceNumber")
    return {name: header[name] for name in names if name in header} | ({"replayId": replay} if replay else {})


def _name(header: Mapping[str, Any], payload: Mapping[str, Any], replay: str) -> str:
    """Return what the same event has again: its replay id, else its place in its transaction, else its content."""
    if replay:
        return replay
    transaction, number = header.get("transactionKey"), header.get("sequenceNumber")
    if isinstance(transaction, str) and 0 < len(transaction) <= 60 and isinstance(number, int):
        return f"{transaction}:{number}"
    return _digest(payload)


# --- platform events ------------------------------------------------------------------------------
def _platform(
    event: dict[str, Any], inner: dict[str, Any], payload: dict[str, Any], replay: str, where: str
) -> Inbound:
    channels = [event.get(name) or inner.get(name) for name in _CHANNELS]
    channel = next((value for value in channels if isinstance(value, str) and value), "")
    name = channel.rstrip("/").rpartition("/")[2]
    if not told.OBJECT.match(name):
        raise Refused(f"{where} names neither a change nor the channel that it came by.", status=400, code="shape")
    unique = payload.get("EventUuid")
    identity = replay or (unique if isinstance(unique, str) and 0 < len(unique) <= 60 else _digest(payload))
    schema = inner.get("schema") or inner.get("schemaId")
    about = {"type": name, "told": "platform event", **({"replayId": replay} if replay else {})}
    if isinstance(schema, str):
        about["schema"] = schema[:100]
    at = soql.moment_of(payload.get("CreatedDate")) or _moment(payload.get("CreatedDate"))
    return Inbound(f"{name}:{identity}", name, {**payload, told.ABOUT: about}, at)


def _digest(payload: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(payload).encode()).hexdigest()[:40]


def _moment(value: Any) -> datetime | None:
    """Read milliseconds since 1970."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    try:
        return _EPOCH + timedelta(milliseconds=value)
    except OverflowError:
        return None
