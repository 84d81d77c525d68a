"""Dataverse's tables in the simulated environment: columns, choices, lookups, keys, and rows with their versions.

Facts (wire: dataverse 2): a PATCH is an upsert; an etag is the row's version; a lookup is read as ``_name_value``;
alternate keys are those that were declared; duplicates are known by a code, not by a status.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from connectors.simulator.fo.entities import cents, parse_moment
from connectors.simulator.messages import Refusal
from connectors.simulator.store import Fields, Record, Session

SYSTEM = "dv"
NAMESPACE = uuid.UUID("5d0c0b8e-9f1a-5a4e-8f43-0d2f6f6a1c77")
DELETED = "deleted rows"
FIRST_VERSION = 468_026
MISSING, CHANGED, TAKEN, DUPLICATE = "0x80040217", "0x80060882", "0x80040237", "0x80040333"
BAD = "0x80048d19"


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    kind: str = "text"  # text, money, whole, yes_no, choice, date, moment, lookup, id
    options: dict[int, str] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)  # navigation property → table
    default: Any = None

    @property
    def shown(self) -> str:
        """Name the property that a reader sees: a lookup shows an id."""
        return f"_{self.name}_value" if self.kind == "lookup" else self.name

    def coerce(self, value: Any) -> Any:
        """Check a JSON value; refuses with 400."""
        good: dict[str, tuple[type, ...]] = {
            "text": (str,), "money": (int, float), "whole": (int,), "yes_no": (bool,), "choice": (int,),
        }  # fmt: skip
        if value is None:
            return None
        wrong = not isinstance(value, good.get(self.kind, (str,)))
        if wrong or (isinstance(value, bool) and self.kind != "yes_no"):
            raise refused(f"Cannot convert the literal '{value}' to the expected type of '{self.name}'.")
        if self.kind == "choice" and value not in self.options:
            raise refused(f"A validation error occurred for {self.name}: the value {value} is not a valid option.")
        if self.kind == "moment" and parse_moment(value) is None:
            raise refused(f"Cannot convert the literal '{value}' to the expected type of '{self.name}'.")
        return cents(value) if self.kind == "money" else value


@dataclass(frozen=True)
class Table:
    """One table: logical name, entity set, id column, columns, alternate keys, and its many-to-many relationships."""

    name: str
    set: str
    id: str
    columns: dict[str, Column]
    keys: tuple[str, ...] = ()
    many: dict[str, str] = field(default_factory=dict)

    def column(self, name: str) -> Column:
        """Find a column by the name that a reader or writer uses, or refuse with 400."""
        found = self.columns.get(name) or next((c for c in self.columns.values() if c.shown == name), None)
        if found is None:
            raise refused(f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{self.name}'.")
        return found


def refused(text: str, status: int = 400, code: str = BAD) -> Refusal:
    """Make a refusal with its error code."""
    return Refusal(status, text, code=code)


def _table(name: str, plural: str, key: str, *columns: Column, keys: tuple[str, ...] = (), **many: str) -> Table:
    always = (Column(key, "id"), Column("createdon", "moment"), Column("modifiedon", "moment"))
    every = (*always, Column("versionnumber", "whole"), *columns)
    return Table(name, plural, key, {column.name: column for column in every}, keys, many)


STATES = {0: "Active", 1: "Inactive"}
CASES = 3  # that customers of the planted business have open about an order
SHIPPING = {1: "Economy", 2: "Ground", 3: "Express"}
# The ERP's delivery modes, as choices are numbered here.
METHODS = {label.upper(): number for number, label in SHIPPING.items()}
TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        _table(
            "account",
            "accounts",
            "accountid",
            Column("name"),
            Column("accountnumber"),
            Column("creditonhold", "yes_no", default=False),
            Column("creditlimit", "money"),
            Column("new_region"),
            Column("primarycontactid", "lookup", targets={"primarycontactid": "contact"}),
            Column("statecode", "choice", STATES, default=0),
            keys=("accountnumber",),
            new_account_contact="contact",
        ),
        _table("contact", "contacts", "contactid", Column("fullname"), Column("emailaddress1")),
        _table(
            "salesorder",
            "salesorders",
            "salesorderid",
            Column("ordernumber"),
            Column("name"),
            Column("customerid", "lookup", targets={"customerid_account": "account", "customerid_contact": "contact"}),
            Column("totalamount", "money"),
            Column("new_currency"),
            Column("shippingmethodcode", "choice", SHIPPING),
            Column("requestdeliverby", "date"),
            Column("new_onhold", "yes_no", default=False),
            Column("new_holdmark"),
            Column("statecode", "choice", {0: "Active", 1: "Submitted", 2: "Canceled", 3: "Fulfilled"}, default=0),
            keys=("ordernumber",),
        ),
        _table(
            "incident",
            "incidents",
            "incidentid",
            Column("ticketnumber"),
            Column("title"),
            Column("description"),
            Column("customerid", "lookup", targets={"customerid_account": "account", "customerid_contact": "contact"}),
            Column("prioritycode", "choice", {1: "High", 2: "Normal", 3: "Low"}, default=2),
            Column("statecode", "choice", {0: "Active", 1: "Resolved", 2: "Cancelled"}, default=0),
            Column("statuscode", "choice", {1: "In Progress", 5: "Problem Solved", 6: "Cancelled"}, default=1),
            Column("new_ordernumber"),
        ),
        _table(
            "annotation",
            "annotations",
            "annotationid",
            Column("subject"),
            Column("notetext"),
            Column("objectid", "lookup", targets={"objectid_incident": "incident", "objectid_account": "account"}),
            Column("createdby", "lookup", targets={"createdby": "systemuser"}),
        ),
        _table("systemuser", "systemusers", "systemuserid", Column("fullname")),
        _table(
            "task",
            "tasks",
            "activityid",
            Column("subject"),
            Column("description"),
            Column("regardingobjectid", "lookup", targets={"regardingobjectid_account": "account"}),
            Column("statecode", "choice", {0: "Open", 1: "Completed", 2: "Canceled"}, default=0),
        ),
    )
}
SETS = {table.set: table for table in TABLES.values()}


def id_of(table: str, name: str) -> str:
    """Make the id of a planted row: the same in every process for the same number."""
    return str(uuid.uuid5(NAMESPACE, f"{table}:{name}"))


RUN_AS, SERVICE_DESK = id_of("systemuser", "goldseam"), id_of("systemuser", "service desk")


def table_named(name: str) -> Table:
    """Find a table by its logical or set name, or refuse with 404."""
    found = TABLES.get(name) or SETS.get(name)
    if found is None:
        raise refused(f"Resource not found for the segment '{name}'.", 404, "0x8006088a")
    return found


def get(session: Session, table: Table, key: str) -> Record:
    """Find a row by its id, or refuse with 404 in Dataverse's words."""
    record = session.get(SYSTEM, table.name, key.lower())
    if record is None:
        raise refused(f"{table.name} With Id = {key} Does Not Exist", 404, MISSING)
    return record


def put(session: Session, table: Table, key: str, fields: Fields, *, kind: str | None) -> Record:
    """Write a row with the next row version of the whole environment."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    version = session.next_number("dv row version", FIRST_VERSION)
    whole = {**blank(table), **fields, table.id: key, "modifiedon": now, "versionnumber": version}
    whole["createdon"] = whole["createdon"] or now
    if "createdby" in table.columns and not whole["_createdby_value"]:
        # What did not come by the API people wrote.
        whole |= {"_createdby_value": RUN_AS if kind == "create" else SERVICE_DESK, "_createdby_value@": "systemuser"}
    if table.name == "incident" and not whole["ticketnumber"]:
        whole["ticketnumber"] = f"CAS-{session.next_number('dv cases', 1001):05d}"
    return session.put(SYSTEM, table.name, key, whole, kind=kind)


def blank(table: Table) -> Fields:
    """Give a row with every column and its default."""
    return {column.shown: column.default for column in table.columns.values()}


def remove(session: Session, table: Table, record: Record) -> None:
    """Delete a row and leave what change tracking tells of it."""
    session.remove(record, kind="delete")
    version = session.next_number("dv row version", FIRST_VERSION)
    gone = {"table": table.name, "id": record.key, "versionnumber": version}
    session.plant(SYSTEM, DELETED, [(f"{version:012d}", gone)])


def changes_of(session: Session, table: Table, body: Fields) -> Fields:
    """Read a body: plain columns, and lookups bound by their navigation property; refuses with 400."""
    found: Fields = {}
    for name, value in body.items():
        navigation, bound, _ = name.partition("@odata.bind")
        if not bound:
            column = table.column(name)
            if column.kind in ("lookup", "id") or name in ("createdon", "modifiedon", "versionnumber"):
                raise refused(f"The property '{name}' cannot be set.")
            found[column.shown] = column.coerce(value)
            continue
        column, target = _bound(table, navigation)
        found[column.shown] = None if value is None else _pointed(session, target, value)
        found[f"{column.shown}@"] = target if value is not None else None
    return found


def _bound(table: Table, navigation: str) -> tuple[Column, str]:
    for column in table.columns.values():
        if navigation in column.targets:
            return column, column.targets[navigation]
    raise refused(
        f"An undeclared property '{navigation}' which only has property annotations was found in the payload."
    )


def _pointed(session: Session, target: str, value: Any) -> str:
    """Read `/accounts(<id>)`; the row must exist."""
    table = TABLES[target]
    text = str(value).rpartition("/")[2]
    if not text.startswith(f"{table.set}(") or not text.endswith(")"):
        raise refused(f"Resource not found for '{value}'.")
    return get(session, table, text[len(table.set) + 1 : -1]).key


def etag(record: Record) -> str:
    """Write a row's version as its tag."""
    return f'W/"{record.fields["versionnumber"]}"'


def pair_key(key: str, other: str) -> str:
    """Name a pair of a many-to-many relationship."""
    return f"{key}/{other}"


def plant(session: Session, name: str, fields: Fields) -> Record:
    """Plant one row as if it had always been there; lookups may be given as `_column_value`."""
    table = table_named(name)
    known = {column.shown for column in table.columns.values()}
    strange = [given for given in fields if given not in known]
    if strange:
        raise refused(f"Could not find a property named '{strange[0]}' on '{table.name}'.")
    lookups = {c.shown: next(iter(c.targets.values())) for c in table.columns.values() if c.targets}
    pointing = {f"{shown}@": target for shown, target in lookups.items() if fields.get(shown)}
    number = next((str(fields[key]) for key in table.keys if fields.get(key)), "")
    key = str(fields.get(table.id) or (id_of(table.name, number) if number else uuid.uuid4()))
    return put(session, table, key.lower(), {**fields, **pointing}, kind=None)


def edit(session: Session, record: Record, changes: Fields, *, kind: str) -> Record:
    """Change a row as its environment does."""
    table = TABLES[record.entity]
    return put(session, table, record.key, {**record.fields, **changes_of(session, table, changes)}, kind=kind)


def plant_business(session: Session, accounts: list[Fields], orders: list[Fields]) -> None:
    """Plant the distributor's customers, orders and a few cases: as in the other systems, with ids of their own."""
    for key, name in ((RUN_AS, "Goldseam"), (SERVICE_DESK, "Service desk")):
        plant(session, "systemuser", {"systemuserid": key, "fullname": name})
    for account in accounts:
        plant(session, "account", account)
    for order in orders:
        customer = id_of("account", order["account"])
        plant(
            session,
            "salesorder",
            {**{name: value for name, value in order.items() if name != "account"}, "_customerid_value": customer},
        )
    for order in orders[:CASES]:
        number = order["ordernumber"]
        case = {"incidentid": id_of("incident", number), "title": f"When does {number} arrive?"}
        customer = id_of("account", order["account"])
        plant(session, "incident", {**case, "new_ordernumber": number, "_customerid_value": customer})
