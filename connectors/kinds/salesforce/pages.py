"""Salesforce's record pages: one form of address for every object, by its name and the record's id."""

import re
from collections.abc import Mapping
from typing import Any

from connectors.kit.pages import ANY, Pages

_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")


def named(event: str, payload: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return object and id of the record that was polled or told of."""
    entity, key = event.partition(":")[2], payload.get("Id")
    return (entity, key) if entity and isinstance(key, str) and _ID.fullmatch(key) else None


PAGES = Pages(base="login_url", templates={ANY: "/lightning/r/{entity}/{key}/view"}, names=named)
