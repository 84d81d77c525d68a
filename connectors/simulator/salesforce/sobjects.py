"""Salesforce's objects in the simulated org: fields, ids, create, update, delete, external-id upsert.

Facts (wire: salesforce 2): ids have 15 characters and three to check them; times have milliseconds and no colon in
the offset; only an external id that is declared unique is held to be so; an emptied text is null.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.simulator.messages import Refusal
from connectors.simulator.store import SIDE_EFFECT, Fields, Record, Session

SYSTEM = "sf"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
DAY = re.compile(r"\d{4}-\d\d-\d\d")
STAMPS = ("CreatedDate", "LastModifiedDate", "SystemModstamp")
RUN_AS, SERVICE_DESK = "005gs0000000001AAA", "005gs0000000002AAA"


@dataclass(frozen=True)
class SField:
    """One field of an object."""

    name: str
    kind: str = "string"
    length: int = 255
    values: tuple[str, ...] = ()
    default: Any = None
    required: bool = False
    read_only: bool = False
    external: bool = False
    unique: bool = False
    refers_to: str = ""


@dataclass(frozen=True)
class SObject:
    """One kind of object: its id prefix and its fields."""

    name: str
    prefix: str
    fields: dict[str, SField]

    def field(self, name: str) -> SField:
        """Find a field by its name in any case, or refuse with INVALID_FIELD."""
        found = self.fields.get(name) or next((f for f in self.fields.values() if f.name.lower() == name.lower()), None)
        if found is None:
            text = f"No such column '{name}' on sobject of type {self.name}"
            raise Refusal(400, text, code="INVALID_FIELD", fields=(name,))
        return found


def _object(name: str, prefix: str, *fields: SField) -> SObject:
    stamps = tuple(SField(stamp, "datetime", read_only=True) for stamp in STAMPS)
    every = (SField("Id", "id", read_only=True), *fields, *stamps)
    return SObject(name, prefix, {field.name: field for field in every})


CASE_TYPES = (
    "Duplicate invoice", "Freight", "Credit hold", "Order stopped", "Price", "Back order", "Wrong invoice", "Other",
)  # fmt: skip
SOBJECTS: dict[str, SObject] = {
    sobject.name: sobject
    for sobject in (
        _object(
            "Account",
            "001",
            SField("Name", required=True),
            # Marked as an external id but not unique: the way an upsert comes to answer 300.
            SField("AccountNumber", length=40, external=True),
            SField("Region__c"),
        ),
        _object(
            "Order",
            "801",
            SField("OrderNumber", read_only=True),
            SField("OrderReferenceNumber"),
            SField("AccountId", "reference", refers_to="Account"),
            SField("Status", "picklist", values=("Draft", "Activated"), default="Draft"),
            SField("EffectiveDate", "date"),
            SField("Amount__c", "currency"),
        ),
        _object(
            "Case",
            "500",
            SField("CaseNumber", read_only=True),
            SField("Subject"),
            SField("Description", length=32000),
            SField("Status", "picklist", values=("New", "Working", "Closed"), default="New"),
            SField("Priority", "picklist", values=("High", "Medium", "Low"), default="Medium"),
            SField("OwnerId", "reference", default=SERVICE_DESK),
            SField("AccountId", "reference", refers_to="Account"),
            SField("Order_Number__c"),
            SField("Invoice_Number__c"),
            SField("Type", "picklist", values=CASE_TYPES),
            SField("Origin", "picklist", values=("Email", "Phone", "Web")),
            SField("Business_Unit__c"),
            SField("Region__c"),
            SField("Goldseam_Key__c", external=True, unique=True),
        ),
        _object(
            "CaseComment",
            "00a",
            SField("ParentId", "reference", required=True, refers_to="Case"),
            SField("CommentBody", length=4000),
            SField("IsPublished", "boolean", default=False),
            SField("CreatedById", "reference", read_only=True),
        ),
    )
}


def stamp(moment: datetime | None = None) -> str:
    """Write a time as Salesforce does: milliseconds, and no colon in the offset."""
    moment = (moment or datetime.now(UTC)).astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"


def full_id(short: str) -> str:
    """Add the three check characters that make a 15-character id 18 long."""
    suffix = ""
    for start in range(0, 15, 5):
        bits = sum(1 << index for index, char in enumerate(short[start : start + 5]) if char.isupper())
        suffix += ALPHABET[bits]
    return short + suffix


def make_id(sobject: SObject, number: int) -> str:
    """Make the id of the n-th object of a kind."""
    text = ""
    while number:
        number, rest = divmod(number, 62)
        text = DIGITS[rest] + text
    return full_id(f"{sobject.prefix}gs0000{text.zfill(6)}")


def sobject_named(name: str) -> SObject:
    """Find a kind of object by its name in any case, or refuse with 404."""
    found = next((item for item in SOBJECTS.values() if item.name.lower() == name.lower()), None)
    if found is None:
        raise Refusal(404, "The requested resource does not exist", code="NOT_FOUND")
    return found


def get(session: Session, sobject: SObject, id_: str) -> Record:
    """Find an object by its 15- or 18-character id, or refuse with 404."""
    record = session.get(SYSTEM, sobject.name, full_id(id_[:15])) if len(id_) in (15, 18) else None
    if record is None:
        text = f"Provided external ID field does not exist or is not accessible: {id_}"
        raise Refusal(404, text, code="NOT_FOUND")
    return record


def by_external(session: Session, sobject: SObject, field: SField, value: str) -> list[Record]:
    """Find the objects that carry an external id."""
    if not field.external:
        text = f"Provided external ID field does not exist or is not accessible: {field.name}"
        raise Refusal(404, text, code="NOT_FOUND")
    wanted = value.casefold()
    return [
        record
        for record in session.records(SYSTEM, sobject.name)
        if (record.fields[field.name] or "").casefold() == wanted and wanted
    ]


def coerce(field: SField, value: Any) -> Any:
    """Check one value; refuses with the code that Salesforce uses."""
    if value is None:
        return field.default if field.kind == "boolean" else None
    if field.kind == "boolean":
        if not isinstance(value, bool):
            raise Refusal(400, f"Cannot deserialize instance of boolean from {value!r}", code="JSON_PARSER_ERROR")
        return value
    if field.kind == "currency":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refusal(400, f"Cannot deserialize instance of currency from {value!r}", code="JSON_PARSER_ERROR")
        return value
    if not isinstance(value, str):
        raise Refusal(400, f"Cannot deserialize instance of string from {value!r}", code="JSON_PARSER_ERROR")
    if field.kind == "date" and value and not DAY.fullmatch(value):
        raise Refusal(400, f"Cannot deserialize instance of date from {value!r}", code="JSON_PARSER_ERROR")
    if len(value) > field.length:
        text = f"{field.name}: data value too large (max length={field.length})"
        raise Refusal(400, text, code="STRING_TOO_LONG", fields=(field.name,))
    if field.kind == "picklist" and value and value not in field.values:
        text = f"{field.name}: bad value for restricted picklist field: {value}"
        raise Refusal(400, text, code="INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", fields=(field.name,))
    # An emptied text is null afterwards: Salesforce keeps no empty strings.
    return value or None


def _checked(session: Session, sobject: SObject, body: Fields, *, self_id: str = "") -> Fields:
    changes: Fields = {}
    for name, value in body.items():
        if name == "attributes":
            continue
        field = sobject.field(name)
        if field.read_only:
            text = f"Unable to create/update fields: {field.name}. Please check the security settings of this field."
            raise Refusal(400, text, code="INVALID_FIELD_FOR_INSERT_UPDATE", fields=(field.name,))
        changes[field.name] = coerce(field, value)
        if field.refers_to and changes[field.name]:
            changes[field.name] = _reference(session, field, changes[field.name])
        if field.unique and changes[field.name]:
            _require_unique(session, sobject, field, changes[field.name], self_id)
    return changes


def _reference(session: Session, field: SField, value: str) -> str:
    try:
        return get(session, SOBJECTS[field.refers_to], value).key
    except Refusal:
        text = f"invalid cross reference id: {value}"
        raise Refusal(400, text, code="INVALID_CROSS_REFERENCE_KEY", fields=(field.name,)) from None


def _require_unique(session: Session, sobject: SObject, field: SField, value: str, self_id: str) -> None:
    for other in by_external(session, sobject, field, value):
        if other.key != self_id:
            text = f"duplicate value found: {field.name} duplicates value on record with id: {other.key}"
            raise Refusal(400, text, code="DUPLICATE_VALUE")


def create(session: Session, sobject: SObject, body: Fields, *, kind: str | None = "create") -> Record:
    """Insert an object; a plain POST is not repeatable, each makes another."""
    changes = _checked(session, sobject, body)
    missing = [field.name for field in sobject.fields.values() if field.required and not changes.get(field.name)]
    if missing:
        text = f"Required fields are missing: [{', '.join(missing)}]"
        raise Refusal(400, text, code="REQUIRED_FIELD_MISSING", fields=tuple(missing))
    number = session.next_number(f"sf:{sobject.name}", 1)
    time = stamp()
    fields = {name: field.default for name, field in sobject.fields.items()}
    fields.update(changes, **dict.fromkeys(STAMPS, time))
    fields["Id"] = make_id(sobject, number)
    if "CreatedById" in fields:
        # What did not come by the API people wrote.
        fields["CreatedById"] = RUN_AS if kind == "create" else SERVICE_DESK
    if "CaseNumber" in fields:
        fields["CaseNumber"] = f"{1000 + number:08d}"
    if "OrderNumber" in fields:
        fields["OrderNumber"] = f"{100 + number:08d}"
    return session.put(SYSTEM, sobject.name, fields["Id"], fields, kind=kind)


def update(session: Session, sobject: SObject, record: Record, body: Fields, *, kind: str = "update") -> Record:
    """Change the named fields; the time stamps move even when the values are equal."""
    changes = _checked(session, sobject, body, self_id=record.key)
    emptied = [name for name, value in changes.items() if sobject.fields[name].required and not value]
    if emptied:
        text = f"Required fields are missing: [{', '.join(emptied)}]"
        raise Refusal(400, text, code="REQUIRED_FIELD_MISSING", fields=tuple(emptied))
    time = stamp()
    fields = {**record.fields, **changes, "LastModifiedDate": time, "SystemModstamp": time}
    return session.put(SYSTEM, sobject.name, record.key, fields, kind=kind)


def delete(session: Session, sobject: SObject, record: Record) -> None:
    """Delete an object; a case takes its comments with it."""
    session.remove(record, kind="delete")
    if sobject.name == "Case":
        for comment in session.records(SYSTEM, "CaseComment"):
            if comment.fields["ParentId"] == record.key:
                session.remove(comment, kind=SIDE_EFFECT)


def describe(sobject: SObject) -> Fields:
    """Describe a kind of object."""
    return {
        "name": sobject.name,
        "keyPrefix": sobject.prefix,
        "fields": [
            {
                "name": field.name,
                "type": field.kind,
                "length": field.length,
                "externalId": field.external,
                "unique": field.unique,
                "updateable": not field.read_only,
                "picklistValues": [{"value": value, "active": True} for value in field.values],
            }
            for field in sobject.fields.values()
        ],
    }
