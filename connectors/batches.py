"""A hook's body that holds one event, or several in an array."""

from typing import Any

from audit.strictjson import BadJson, loads
from connectors.base import Refused

LARGEST_BATCH = 1000


def events_of(body: bytes) -> list[Any]:
    """Read a body of strict JSON. Raises ``Refused``: 400 where it is none or empty, 413 where it holds too many."""
    try:
        value = loads(body)
    except BadJson as bad:
        raise Refused(str(bad), status=400, code="malformed") from None
    events = value if isinstance(value, list) else [value]
    if not events:
        raise Refused("The array holds no event.", status=400, code="empty")
    if len(events) > LARGEST_BATCH:
        raise Refused(f"At most {LARGEST_BATCH} events at once.", status=413, code="too_many")
    return events
