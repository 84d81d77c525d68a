"""What messages about records have alike: names, ids, and which record is to be read before it is judged."""

import re
from collections.abc import Mapping
from typing import Any

from connectors.kinds.salesforce.arguments import full_id

ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?\Z")
OBJECT = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}\Z")
# Where a message says what it is: Salesforce's own name for what surrounds a record, so no field is called so.
ABOUT = "attributes"
GONE = "gone"  # the version of a record that there is none of any more
_DUE, _DONE = "due", "done"


def payload(
    entity: str, key: str, *, fields: Mapping[str, Any], form: str, reading: bool, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a message's payload: the fields it carries, and what it is.

    A message carries chosen or changed fields only, at times late and out of order. With ``reading`` the record as it
    stands is read before anything is judged by it.
    """
    due = {"reading": _DUE} if reading else {}
    return {**fields, "Id": full_id(key), ABOUT: {"type": entity, "told": form, **about, **due}}


def due(payload: Mapping[str, Any]) -> bool:
    """Tell whether a payload's record is to be read first."""
    return _about(payload).get("reading") == _DUE


def named(payload: Mapping[str, Any]) -> tuple[str, str]:
    """Return object and id of a payload's record."""
    return str(_about(payload).get("type")), str(payload.get("Id"))


def as_read(payload: Mapping[str, Any], record: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a payload with its record as it stands; ``gone`` says that there is none any more."""
    about = {**_about(payload), "reading": _DONE}
    if record is None:
        return {"Id": payload.get("Id"), "gone": True, ABOUT: about}
    return {**record, ABOUT: about}


def identity(payload: Mapping[str, Any]) -> str:
    """Return record and version, which name the same thing however it was told; blank where the version is not known.

    A record that was polled and one that was read because of a message look alike here: one version, one signal.
    """
    known = ABOUT not in payload or _about(payload).get("reading") == _DONE
    key, version = payload.get("Id"), payload.get("SystemModstamp") or payload.get("LastModifiedDate")
    return f"{key}:{version}" if known and isinstance(key, str) and isinstance(version, str) else ""


def external_id(entity: str, key: str, otherwise: str) -> str:
    """Return the id that a message about a record has for good: a comment is one thing, whatever brings it."""
    return comment_id(key) if entity == "CaseComment" else otherwise


def comment_id(key: str) -> str:
    """Return the id of a delivered comment."""
    return f"comment:{full_id(key)}"


def _about(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    about = payload.get(ABOUT)
    return about if isinstance(about, Mapping) else {}
