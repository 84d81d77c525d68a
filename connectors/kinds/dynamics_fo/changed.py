"""What F&O told of a record: by a business event, or by reading back what one should have told.

An event names itself and its data, not an entity: which one it tells of stands in the setting *Events to read back*.
Of other events nothing is known but what they say.
"""

from collections.abc import Mapping
from typing import Any

from connectors.kinds.dynamics_fo import reconciling
from connectors.kinds.dynamics_fo.events import moment_of
from connectors.kinds.dynamics_fo.odata import COMPANY, KEYS
from connectors.kit.changed import Changed, How, stamp


def change(event: str, payload: Mapping[str, Any], settings: Any) -> Changed | None:
    """Return the change; ``None`` for events of which no line says what they tell of, or that leave its key out."""
    line = next((one for one in reconciling.lines_of(settings.reconcile) if one.event == event), None)
    if line is None:
        return None
    after = {field: payload.get(member) for member, field in line.fields}
    after[COMPANY] = payload.get("BusinessEventLegalEntity")
    names = (COMPANY, *KEYS[line.entity])
    if not all(after.get(name) for name in names):
        return None
    key = "/".join(str(after[name]) for name in names)
    moment = after.get(line.stamp)
    # Without the time among its members, the same event about the same record twice is not told from one told twice.
    told = stamp(moment_of(moment)) if isinstance(moment, str) else ""
    version = f"{event} {told}" if told else ""
    return Changed(How.SAVED, line.entity, key, after=after, version=version)
