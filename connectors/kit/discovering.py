"""Which entities a connected system offers: asked of it, never guessed."""

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from connectors.base import Unanswered
from connectors.wire.payloads import storable_text

MOST = 20_000
_LONGEST = 200


@runtime_checkable
class Discovers(Protocol):
    """A connector whose system tells what it holds."""

    def entities(self) -> list[str]:
        """Return the names of the entities, as the connection's settings write them. Raises ``ConnectorError``."""


def names(found: Any) -> list[str]:
    """Return names as a system gave them: each once, in order. Raises ``Unanswered`` where they are none."""
    if not isinstance(found, Iterable) or isinstance(found, str | bytes | dict):
        raise Unanswered("The system answered with something that is no list of entities.", code="shape")
    told = [storable_text(name)[:_LONGEST] for name in found if isinstance(name, str) and name]
    return sorted(set(told))[:MOST]


def sets_of(document: Any) -> list[str]:
    """Return the entity sets of a service document, as OData 4 and OData 2 write it. Raises ``Unanswered``."""
    body = document if isinstance(document, dict) else {}
    if isinstance(old := body.get("d"), dict):
        return names(old.get("EntitySets"))
    rows = body.get("value")
    if not isinstance(rows, list):
        return names(None)
    # Functions and singletons stand beside the sets in a document of OData 4.
    held = (row for row in rows if isinstance(row, dict) and row.get("kind", "EntitySet") == "EntitySet")
    return names([row.get("name") for row in held])
