"""Model-driven apps open any record by the name of its table and its id."""

from collections.abc import Mapping
from typing import Any

from connectors.kinds.dataverse.tables import GUID
from connectors.kit.pages import ANY, Pages


def named(event: str, payload: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return table and id of the record that an event or a change is about."""
    table, key = payload.get("PrimaryEntityName"), payload.get("PrimaryEntityId")
    if not isinstance(table, str) or not isinstance(key, str):
        return None
    return (table, key) if table.isidentifier() and GUID.match(key) else None


PAGES = Pages(
    base="environment_url",
    templates={ANY: "/main.aspx?pagetype=entityrecord&etn={entity}&id={key}"},
    names=named,
)
