"""What a subscriber of CloudEvents needs to grant."""

from typing import Any

from connectors.kit.needs import Needs, Told


def needs(settings: Any) -> Told:
    """Return the one right; the bearer token goes out with every event."""
    right = ("sending events to the endpoint",) if settings.endpoint_url else ()
    return Told((), {"event.send": Needs(right)}, frozenset({"bearer_token"}))
