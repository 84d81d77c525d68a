"""A hook's body that holds one event, or several in an array."""

from typing import Any

from audit.strictjson import BadJson, loads
from connectors.base import Refused

LARGEST_BATCH = 1000


def value_of(body: bytes) -> Any:
    """Read a body of strict JSON. Raises ``Refused`` (400) where it is none."""
    try:
        return loads(body)
    except BadJson as bad:
        raise Refused(str(bad), status=400, code="malformed") from None


def events_of(body: bytes) -> list[Any]:
    """Read one event or several. Raises ``Refused``: 400 where there is none, 413 where there are too many."""
    return events_in(value_of(body))


def events_in(value: Any) -> list[Any]:
    """Return the events of a body that was read already. Raises ``Refused`` as ``events_of`` does."""
    events = bounded(value) if isinstance(value, list) else [value]
    if not events:
        raise Refused("The array holds no event.", status=400, code="empty")
    return events


def bounded(events: list[Any]) -> list[Any]:
    """Return the events. Raises ``Refused`` (413) where they are too many at once."""
    if len(events) > LARGEST_BATCH:
        raise Refused(f"At most {LARGEST_BATCH} events at once.", status=413, code="too_many")
    return events
