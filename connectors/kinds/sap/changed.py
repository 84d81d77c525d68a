"""What SAP told of a record: by event, which is read back, by poll, or by IDoc, which says neither before nor after."""

from collections.abc import Mapping
from typing import Any

from connectors.kinds.sap import events, odata
from connectors.kinds.sap.reads import QUERIES
from connectors.kinds.sap.settings import watched_of
from connectors.kit.changed import Changed, How, stamp

# What an event of S/4HANA is called at its end, before its version.
_HOW = {"Created": How.ADDED, "Changed": How.MODIFIED, "Deleted": How.DELETED}
_STAMP = "LastChangeDateTime"
GONE = "gone"


def change(event: str, payload: Mapping[str, Any], settings: Any) -> Changed | None:
    """Return the change; ``None`` for events and IDocs that name no record."""
    if event.startswith("record:"):
        return _polled(event.removeprefix("record:"), payload, settings)
    if "segments" in payload:
        return _document(event, payload["segments"])
    read, arguments = events.record_of(payload) if payload.get("specversion") == "1.0" else ("", {})
    if not read:
        return None
    query = QUERIES[read]
    key = "/".join(arguments[argument].lstrip("0") or "0" for argument in query.fields)
    row = payload.get(events.RECORD)
    how = _how(str(payload.get("type")))
    if payload.get(events.GONE) is True or how is How.DELETED:
        return Changed(How.DELETED, query.entity, key, after={}, version=GONE)
    after = dict(row) if isinstance(row, Mapping) and row else None
    version = stamp(odata.moment_of((after or {}).get(_STAMP)))
    return Changed(how, query.entity, key, {} if how is How.ADDED else None, after, version=version)


def _document(message: str, segments: Any) -> Changed | None:
    """Return what an IDoc is about: the document whose number its header gives, by the name of the message."""
    heads = segments.get("E1EDK01") if isinstance(segments, Mapping) else None
    number = heads[0].get("BELNR") if isinstance(heads, list) and heads and isinstance(heads[0], Mapping) else None
    return Changed(How.SAVED, message, number) if isinstance(number, str) and number else None


def _how(kind: str) -> How:
    """Read what happened off an event's type; whatever else befell a record, such as its approval, modified it."""
    return next((how for name, how in _HOW.items() if f".{name}." in kind), How.MODIFIED)


def _polled(entity: str, payload: Mapping[str, Any], settings: Any) -> Changed | None:
    names = odata.KEYS.get(entity)
    if names is None or not all(payload.get(name) for name in names):
        return None
    key = "/".join(str(payload[name]).lstrip("0") or "0" for name in names)
    field = next((one for text, one in watched_of(settings.watched) if text.rpartition("/")[2] == entity), _STAMP)
    version = stamp(odata.moment_of(payload.get(_STAMP)) or odata.moment_of(payload.get(field)))
    return Changed(How.SAVED, entity, key, after=dict(payload), version=version)
