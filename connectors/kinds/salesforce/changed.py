"""What Salesforce told of a record: by change event, outbound message or poll. None of them says what stood before."""

from collections.abc import Mapping
from typing import Any

from connectors.kinds.salesforce import soql, told
from connectors.kit.changed import Changed, How, by_stamps, stamp, without

_HOW = {"CREATE": How.ADDED, "UNDELETE": How.ADDED, "UPDATE": How.MODIFIED, "DELETE": How.DELETED}
_FORMS = ("record", "changed", "gap", "deleted")


def change(event: str, payload: Mapping[str, Any], settings: Any) -> Changed | None:
    """Return the change; ``None`` for platform events and for gaps of unknown size, which name no record."""
    form, mark, entity = event.partition(":")
    key, about = payload.get("Id"), payload.get(told.ABOUT)
    if not mark or form not in _FORMS or not isinstance(key, str):
        return None
    about = about if isinstance(about, Mapping) else {}
    fields = without(payload, (told.ABOUT, "gone"))
    changed = soql.moment_of(fields.get("SystemModstamp")) or soql.moment_of(fields.get("LastModifiedDate"))
    how = _HOW.get(str(about.get("changeType") or "").removeprefix("GAP_"))
    if form == "deleted" or payload.get("gone") is True or how is How.DELETED:
        return Changed(How.DELETED, entity, key, after={}, version=told.GONE)
    how = how or by_stamps(soql.moment_of(fields.get("CreatedDate")), changed)
    names = about.get("changedFields")
    listed = tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) and names else None
    known = form != "gap"  # of a gap nothing is told but that there was one
    before: dict[str, Any] | None = {} if how is How.ADDED else None
    return Changed(how, entity, key, before, fields if known else None, listed, stamp(changed))
