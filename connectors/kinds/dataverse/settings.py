"""How a connection to Dataverse is set up: where it is, what it may use, and what is only known per environment."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator

from connectors.base import Arguments
from connectors.kinds.dataverse.tables import Table, tables_of, tracked_of
from connectors.kit.declaredactions import DeclaredAction, declared
from connectors.kit.entra import AUTHORITY, Tenant
from connectors.kit.finding import SETTING
from connectors.kit.openlists import Findable, findable_of
from connectors.kit.pages import FrontEnd, front_end
from connectors.wire.roots import Root

_CODE = re.compile(r"(?:0x[0-9a-fA-F]{8}|-?\d{1,10})\Z")


class DataverseAction(DeclaredAction):
    """A custom API or action as an administrator declared it."""

    api: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.]{0,199}$")]
    bound: bool = True  # it is called on the record of its table; else the parameter ``record`` takes the record's id
    record: str = ""

    @model_validator(mode="after")
    def _is_addressed(self) -> "DataverseAction":
        if not self.bound and not self.record:
            raise ValueError("an action that is not bound says which parameter takes the record's id")
        return self


class DataverseConfig(Arguments):
    """Where the environment is and who signs in."""

    environment_url: Root = Field(
        title="Environment URL", description="The root, such as https://contoso.crm4.dynamics.com"
    )
    tenant: Tenant = Field(title="Tenant", description="The Microsoft Entra tenant's id or domain.")
    client_id: Annotated[str, StringConstraints(min_length=1)] = Field(
        title="Client id",
        description="The app registration; an application user with a security role must exist for it.",
    )
    authority: Root = Field(default=AUTHORITY, title="Sign-in address")
    api_version: Annotated[str, StringConstraints(pattern=r"^v\d{1,2}\.\d{1,2}$")] = Field(
        default="v9.2", title="API version"
    )
    tables: Annotated[str, StringConstraints(max_length=4000)] = Field(
        default="account, contact, incident, invoice, salesorder, salesorderdetail, task",
        title="Tables it may use",
        description="By logical name, separated by commas; a custom one as name:set or name:set:idcolumn.",
    )
    tracked: Annotated[str, StringConstraints(max_length=4000)] = Field(
        default="",
        title="Tables to watch",
        description="Change tracking, with the columns wanted: account(name,creditonhold), incident(title).",
    )
    query_entities: Annotated[str, StringConstraints(max_length=4000)] = Field(
        default="", title="Tables for saved queries", description="Separated by commas; empty: all that it may use."
    )
    findable: Annotated[str, StringConstraints(max_length=20_000)] = Field(
        default="",
        title=SETTING,
        description="One table a line, such as “salesorder(statecode) by ordernumber, _customerid_value:id”: what is"
        " read, and what it is found by; a column that holds no text says what: number, whole (a choice too), yes_no,"
        " date, time or id.",
        json_schema_extra={"multiline": True},
        examples=["salesorder(name) by ordernumber"],
    )
    many_to_many: Annotated[str, StringConstraints(max_length=4000)] = Field(
        default="",
        title="Relationships it may change",
        description="Many-to-many only, as table.relationship. A lookup is set with its own operation.",
    )
    actions: Annotated[str, StringConstraints(max_length=20_000)] = Field(
        default="",
        title="Actions it may call (JSON)",
        description="Custom APIs and actions by a name of yours, each with its parameters, effect and undo.",
        json_schema_extra={"multiline": True},
    )
    organization: Annotated[str, StringConstraints(max_length=200)] = Field(
        default="", title="Organization of its webhooks", description="Empty: any that knows the secret."
    )
    page_size: int = Field(default=500, ge=1, le=5000, title="Page size")
    lookback_days: int = Field(default=30, ge=1, le=365, title="Days to look back at the first poll")
    labels: bool = Field(default=True, title="Read labels of choices and lookups")
    detect_duplicates: bool = Field(default=False, title="Let Dataverse look for duplicates when it is written to")
    unversioned: Annotated[str, StringConstraints(max_length=2000)] = Field(
        default="", title="Tables without row versions", description="Where optimistic concurrency is switched off."
    )
    refused_codes: str = Field(
        default="0x80040333, 0x80040237, 0x80040265",
        title="Error codes that mean no",
        description="Whatever the status: a duplicate was found, a key is taken, a plug-in said no.",
    )
    locked_codes: str = Field(default="0x80044151", title="Error codes that mean locked")
    expired_codes: str = Field(default="0x80044352", title="Error codes of an expired change token")
    limit_codes: str = Field(
        default="0x80072322, 0x80072321, 0x80072326", title="Error codes of the service protection limits"
    )
    limit_pause_seconds: float = Field(
        default=30, ge=1, le=3600, title="Pause at a limit (s)", description="Where Dataverse does not say how long."
    )
    front_end_url: FrontEnd = front_end()

    @field_validator("tables", "tracked", "actions")
    @classmethod
    def can_be_read(cls, value: str, info: ValidationInfo) -> str:
        """Hold that a list or an object is one, beside its own field."""
        found = {"tables": tables_of, "tracked": tracked_of, "actions": _actions_of}[str(info.field_name)](value)
        if info.field_name == "tables" and not found:
            raise ValueError("name at least one table")
        return value

    @field_validator("findable")
    @classmethod
    def can_be_found(cls, value: str) -> str:
        """Say which line cannot be read, or says what Dataverse has not."""
        for one in findable_of(value).values():
            if one.key:
                raise ValueError(f"{one.entity}: Dataverse knows records by their ids; leave “key” away")
            if enums := [name for name, sort in one.by.items() if sort[0].isupper()]:
                raise ValueError(f"{one.entity}: {enums[0]} of a choice holds a number; write {enums[0]}:whole")
        return value

    @field_validator("refused_codes", "locked_codes", "expired_codes", "limit_codes")
    @classmethod
    def codes_are_codes(cls, value: str) -> str:
        """Hold that every code is one."""
        for code in _listed(value):
            if not _CODE.match(code):
                raise ValueError(f"“{code[:40]}” is no error code such as 0x80040333")
        return value

    @model_validator(mode="after")
    def _holds_together(self) -> "DataverseConfig":
        tables = self.known_tables()
        named = {"tracked": set(tracked_of(self.tracked))}
        named |= {
            field: {name.lower() for name in _listed(getattr(self, field))}
            for field in ("query_entities", "unversioned")
        }
        named["many_to_many"] = {entry.partition(".")[0].lower() for entry in self.relationships()}
        named["actions"] = {action.table.lower() for action in self.declared_actions().values()}
        named["findable"] = {one.entity.lower() for one in self.may_find().values()}
        for field, names in named.items():
            if strange := names - set(tables):
                raise ValueError(f"{field} names {min(strange)}, which is not among the tables it may use")
        return self

    def known_tables(self) -> dict[str, Table]:
        """Return the tables by logical name. Raises ``ValueError``."""
        return tables_of(self.tables)

    def relationships(self) -> frozenset[str]:
        """Return the relationships that may be changed, as table.relationship. Raises ``ValueError``."""
        found = frozenset(_listed(self.many_to_many))
        for entry in found:
            if not re.fullmatch(r"[A-Za-z]\w{0,99}\.[A-Za-z]\w{0,99}", entry, re.ASCII):
                raise ValueError(f"“{entry[:60]}” is no relationship: write table.relationship")
        return found

    def may_find(self) -> Mapping[str, Findable]:
        """Return the tables whose records may be found, by their names in small letters."""
        return findable_of(self.findable)

    def declared_actions(self) -> dict[str, DataverseAction]:
        """Return the actions that may be called, by name. Raises ``ValueError``."""
        return _actions_of(self.actions)

    def codes(self, field: str) -> frozenset[int]:
        """Return the error codes of one setting as numbers."""
        return frozenset(number_of(code) for code in _listed(getattr(self, field)))


def _actions_of(text: str) -> dict[str, DataverseAction]:
    return declared(text, DataverseAction)


def number_of(code: str) -> int:
    """Read an error code, written as 0x80040333 or as the signed number of the same 32 bits; -1 where it is none."""
    if not _CODE.match(code):
        return -1
    return int(code, 16 if code.startswith("0x") else 10) & 0xFFFFFFFF


def _listed(text: str) -> list[str]:
    return [part for part in re.split(r"[,\s]+", text) if part]
