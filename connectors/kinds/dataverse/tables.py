"""Which tables a connection may use, what they are called on the wire, and the names that fit into an address."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from connectors.base import Blocked

GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_NAME = r"[A-Za-z][A-Za-z0-9_]{0,99}"
_ENTRY = re.compile(rf"({_NAME})(?::({_NAME}))?(?::({_NAME}))?\Z")
_TRACKED = re.compile(rf"\s*({_NAME})\s*(?:\(([^()]*)\))?\s*(?:,|\Z)")
# Effects of one installation must not meet those of another that chose the same names.
_NAMESPACE = uuid.UUID("8f1f9b5e-3f0f-5a39-9c1e-6b8d3f0a7c21")

Name = Annotated[str, StringConstraints(pattern=rf"^{_NAME}$")]
Column = Annotated[str, StringConstraints(pattern=r"^_?[A-Za-z][A-Za-z0-9_]{0,99}$")]


def bare(value: object) -> object:
    """Take off the braces that other Microsoft systems put around an id."""
    return value.strip().strip("{}") if isinstance(value, str) else value


Guid = Annotated[
    str,
    BeforeValidator(bare),
    StringConstraints(pattern=r"^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"),
    AfterValidator(str.lower),
    Field(examples=["2f0c1c1e-0000-0000-0000-000000000001"]),
]


@dataclass(frozen=True)
class Table:
    """One table: its logical name, its name in addresses, and the column that holds the id."""

    name: str
    set: str
    id: str


# Names that do not follow the rule "name + s, name + id".
STANDARD: Mapping[str, Table] = {
    table.name: table
    for table in (
        Table("opportunity", "opportunities", "opportunityid"),
        Table("task", "tasks", "activityid"),
        Table("email", "emails", "activityid"),
        Table("phonecall", "phonecalls", "activityid"),
        Table("transactioncurrency", "transactioncurrencies", "transactioncurrencyid"),
    )
}


def table_of(entry: str) -> Table:
    """Read one entry of the list: ``account``, or ``new_box:new_boxes`` or ``new_box:new_boxes:new_boxid``.

    Raises ``ValueError``.
    """
    found = _ENTRY.match(entry.strip())
    if not found:
        raise ValueError(f"“{entry.strip()[:60]}” is no table: write name, name:set or name:set:idcolumn")
    name = found[1].lower()
    standard = STANDARD.get(name) or Table(name, f"{name}s", f"{name}id")
    return Table(name, found[2] or standard.set, found[3] or standard.id)


def tables_of(text: str) -> dict[str, Table]:
    """Read the list of tables, separated by commas. Raises ``ValueError``."""
    return {table.name: table for table in (table_of(entry) for entry in text.split(",") if entry.strip())}


def tracked_of(text: str) -> dict[str, tuple[str, ...]]:
    """Read which tables are watched and which columns of each: ``account(name,creditonhold), incident``.

    Raises ``ValueError``.
    """
    found: dict[str, tuple[str, ...]] = {}
    at = 0
    while at < len(text.rstrip()):
        match = _TRACKED.match(text, at)
        if not match:
            raise ValueError(f"Cannot be read from here on: “{text[at : at + 30]}”")
        columns = tuple(part.strip() for part in (match[2] or "").split(",") if part.strip())
        strange = [column for column in columns if not re.fullmatch(r"_?" + _NAME, column)]
        if strange:
            raise ValueError(f"“{strange[0][:60]}” is no column")
        found[match[1].lower()] = columns
        at = match.end()
    return found


def the_table(tables: Mapping[str, Table], name: str, connection: str) -> Table:
    """Return a table that may be used. Raises ``Blocked``."""
    table = tables.get(name.lower())
    if table is None:
        known = ", ".join(sorted(tables)) or "none"
        raise Blocked(f"{connection} may not use the table {name}: its tables are {known}.", code="entity")
    return table


def id_for(effect_key: str, table: str) -> str:
    """Return the id that an effect gives to the record it makes: the same for life, so that a repeat is recognised."""
    return str(uuid.uuid5(_NAMESPACE, f"{table}:{effect_key}"))
