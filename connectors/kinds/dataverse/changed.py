"""What Dataverse told of a row: by webhook with the images its step has, or by change tracking, which has none."""

import re
from collections.abc import Mapping
from typing import Any

from connectors.kinds.dataverse.events import moment_of
from connectors.kit.changed import Changed, How, by_stamps, stamp, without

_HOW = {"Create": How.ADDED, "Update": How.MODIFIED, "Delete": How.DELETED}
_LOOKUP = re.compile(r"_([a-z][a-z0-9_]*)_value\Z")
_OWN = ("PrimaryEntityName", "PrimaryEntityId", "Deleted", "Reason")
GONE = "deleted"


def change(event: str, payload: Mapping[str, Any], settings: Any) -> Changed | None:
    """Return the change; ``None`` for messages that are none of a row, such as one of a custom action."""
    table, key = payload.get("PrimaryEntityName"), payload.get("PrimaryEntityId")
    if not isinstance(table, str) or not isinstance(key, str):
        return None
    if event.startswith("record:"):
        return _tracked(table, key, payload)
    how = _HOW.get(str(payload.get("MessageName")))
    return _webhook(how, table, key, payload) if how else None


def _tracked(table: str, key: str, payload: Mapping[str, Any]) -> Changed:
    if payload.get("Deleted") is True:
        return Changed(How.DELETED, table, key, after={}, version=GONE)
    row = _named(without(payload, _OWN))
    changed = _moment(row.get("modifiedon"))
    how = by_stamps(_moment(row.get("createdon")), changed)
    return Changed(how, table, key, {} if how is How.ADDED else None, row, version=stamp(changed))


def _webhook(how: How, table: str, key: str, payload: Mapping[str, Any]) -> Changed:
    before, after = _image(payload.get("PreEntityImages")), _image(payload.get("PostEntityImages"))
    target = _named(payload.get("Target"))
    if how is How.DELETED or payload.get("Gone") is True:
        return Changed(How.DELETED, table, key, before, {}, version=GONE)
    state = {**(before or {}), **target, **(after or {})}
    # A message that was cut short is completed by the row as it stands: that does not say what changed of it.
    names = tuple(sorted(target)) if target and "Gone" not in payload else None
    first = {} if how is How.ADDED else before
    return Changed(how, table, key, first, state or None, names, stamp(_moment(state.get("modifiedon"))))


def _image(images: Any) -> dict[str, Any] | None:
    """Return the columns of the images of a step, ``None`` where it has none."""
    rows = [one.get("Attributes") for one in images.values() if isinstance(one, Mapping)] if images else []
    found = [row for row in rows if isinstance(row, Mapping)]
    return {name: value for row in found for name, value in _named(row).items()} if found else None


def _named(row: Any) -> dict[str, Any]:
    """Return columns by their own names: a lookup is the id of its row, whichever way it was told."""
    fields: dict[str, Any] = {}
    for name, value in row.items() if isinstance(row, Mapping) else ():
        found = _LOOKUP.match(name)
        fields[found[1] if found else name] = value.get("Id") if _is_reference(value) else value
    return fields


def _is_reference(value: Any) -> bool:
    return isinstance(value, Mapping) and "Id" in value and "LogicalName" in value


def _moment(value: Any) -> Any:
    return moment_of(value) if isinstance(value, str) else None
