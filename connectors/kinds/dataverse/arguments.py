"""What Dataverse's operations take."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from connectors.base import Arguments
from connectors.kinds.dataverse.tables import Column, Guid, Name, bare
from connectors.kit.declaredactions import Scalar

Values = Annotated[dict[Column, Scalar], Field(max_length=50)]
Columns = Annotated[list[Column], Field(max_length=100)]
Expand = Annotated[dict[Name, list[Column]], Field(max_length=10)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=100)]
MaybeGuid = Annotated[
    str,
    BeforeValidator(bare),
    StringConstraints(pattern=r"^(?:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})?$"),
    AfterValidator(str.lower),
]
MaybeName = Annotated[str, StringConstraints(pattern=r"^(?:[A-Za-z][A-Za-z0-9_]{0,99})?$")]


class RowKey(Arguments):
    """One record of a table."""

    table: Name
    id: Guid


class RowById(RowKey):
    """A record by its id, with chosen columns, and with records behind its lookups."""

    columns: Columns = []
    expand: Expand = {}


class RowByKey(Arguments):
    """A record by an alternate key."""

    table: Name
    key: Values
    columns: Columns = []


class Condition(Arguments):
    """One column compared with one value."""

    column: Column
    op: Literal["eq", "ne", "gt", "ge", "lt", "le", "contains"] = "eq"
    value: Scalar = None


class RowsArguments(Arguments):
    """Records for which all conditions hold."""

    table: Name
    where: list[Condition] = Field(default=[], max_length=20)
    columns: Columns = []
    expand: Expand = {}
    orderby: Annotated[str, StringConstraints(pattern=r"^(?:_?[A-Za-z][A-Za-z0-9_]{0,99})?$")] = ""
    descending: bool = False
    rows: int = Field(default=500, ge=1, le=5000)


class RelatedArguments(RowKey):
    """The records on the other side of a relationship. ``to`` is their table."""

    relationship: Name
    to: Name
    columns: Columns = []


class Link(Arguments):
    """What a lookup points to. ``navigation`` is its name in a body where that is not the column's."""

    lookup: Column
    to: Name
    id: Guid
    navigation: MaybeName = ""


class CreateArguments(Arguments):
    """Make a record. ``match`` names the columns by which one that says the same is recognised."""

    table: Name
    values: Values
    links: list[Link] = Field(default=[], max_length=20)
    match: Columns = []


class RemoveArguments(CreateArguments):
    """Delete the record that an effect made."""

    reference: Text


class UpdateArguments(RowKey):
    """Set columns of a record."""

    values: Values


class TogetherArguments(Arguments):
    """Set columns of several records: all of it or nothing."""

    changes: list[UpdateArguments] = Field(min_length=1, max_length=100)


class LinkArguments(RowKey):
    """Let a lookup point to another record, or to none."""

    lookup: Column
    to: Name
    target: MaybeGuid = ""
    navigation: MaybeName = ""


class AssociateArguments(RowKey):
    """Two records of a many-to-many relationship."""

    relationship: Name
    to: Name
    target: Guid


class ActionArguments(Arguments):
    """Call a declared action for a record."""

    action: Text
    id: Guid
    parameters: Annotated[dict[Name, Scalar], Field(max_length=50)] = {}
    reason: Annotated[str, StringConstraints(max_length=250)] = ""
