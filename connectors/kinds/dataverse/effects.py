"""What each write of Dataverse changes and how it is taken back. Pure functions over records."""

from typing import Any

from connectors.base import Change, NotFound, Observed, Record, Undo
from connectors.kit import openrecords


def first(records: Observed) -> Record:
    """Return the record that is written. Raises ``NotFound``."""
    if not records:
        raise NotFound("Dataverse has no such record.", status=404)
    return records[0]


def change(record: Record, column: str, after: Any) -> Change:
    """Say what becomes of one column."""
    return Change(record.entity, record.key, column, record.fields.get(column), after)


def lookup(column: str) -> str:
    """Return the column in which a lookup shows the id that it points to."""
    return column if column.startswith("_") else f"_{column}_value"


# --- columns -----------------------------------------------------------------------------------
def predict_update(args: Any, records: Observed) -> list[Change]:
    """Each named column gets its value."""
    record = first(records)
    return [change(record, column, value) for column, value in args.values.items()]


def undo_update(args: Any, records: Observed, effect_key: str) -> Undo:
    """Put the old values back."""
    return Undo("record.update", _back(args, first(records)))


def _back(args: Any, record: Record) -> dict[str, Any]:
    return {"table": args.table, "id": args.id, "values": {name: record.fields.get(name) for name in args.values}}


def predict_together(args: Any, records: Observed) -> list[Change]:
    """Each named column of each record gets its value."""
    first(records)
    return [change(_of(records, part), column, value) for part in args.changes for column, value in part.values.items()]


def undo_together(args: Any, records: Observed, effect_key: str) -> Undo:
    """Put the old values of all records back, together."""
    first(records)
    return Undo("records.update", {"changes": [_back(part, _of(records, part)) for part in args.changes]})


def _of(records: Observed, part: Any) -> Record:
    wanted = (part.table.lower(), part.id)
    found = next((record for record in records if (record.entity, record.key) == wanted), None)
    if found is None:
        raise NotFound(f"Dataverse has no {part.table} {part.id}.", status=404)
    return found


# --- lookups and relationships -------------------------------------------------------------------
def predict_link(args: Any, records: Observed) -> list[Change]:
    """The lookup points to the target, or to nothing."""
    return [change(first(records), lookup(args.lookup), args.target or None)]


def undo_link(args: Any, records: Observed, effect_key: str) -> Undo:
    """Let the lookup point to what it pointed to before."""
    record = first(records)
    column = lookup(args.lookup)
    before = record.fields.get(column)
    to = str(record.fields.get(f"{column}_table") or args.to) if before else args.to
    # A lookup that takes several tables has a name for each: customerid_account, customerid_contact.
    navigation = f"{args.lookup}_{to}" if args.navigation == f"{args.lookup}_{args.to}" else args.navigation
    same = {"table": args.table, "id": args.id, "lookup": args.lookup, "navigation": navigation}
    return Undo("record.link", {**same, "to": to, "target": before or ""})


def predict_associate(args: Any, records: Observed) -> list[Change]:
    """The two records are associated."""
    return [change(first(records), "associated", True)]


def predict_disassociate(args: Any, records: Observed) -> list[Change]:
    """The two records are not associated any more."""
    return [change(first(records), "associated", False)]


def undo_associate(args: Any, records: Observed, effect_key: str) -> Undo:
    """Part them again."""
    first(records)
    return Undo("record.disassociate", args.model_dump())


def undo_disassociate(args: Any, records: Observed, effect_key: str) -> Undo:
    """Bring them together again."""
    first(records)
    return Undo("record.associate", args.model_dump())


# --- new records -------------------------------------------------------------------------------
def to_be(args: Any) -> str:
    """Name a record that has no id before it is made: by what it will say."""
    links = [[link.lookup, link.id] for link in args.links]
    return openrecords.named([args.table.lower(), args.values, links])


def columns_of(args: Any) -> dict[str, Any]:
    """Return what a new record will say, lookups as they are read."""
    return {**args.values, **{lookup(link.lookup): link.id for link in args.links}}


def predict_create(args: Any, records: Observed) -> list[Change]:
    """There is one more record that says this."""
    return openrecords.made(first(records), columns_of(args))


def undo_create(args: Any, records: Observed, effect_key: str) -> Undo:
    """Delete the record that carries the id made from our key."""
    first(records)
    return Undo("record.remove", {**args.model_dump(mode="json"), "reference": effect_key})


def predict_remove(args: Any, records: Observed) -> list[Change]:
    """The record is gone."""
    return openrecords.unmade(first(records), columns_of(args))


def undo_remove(args: Any, records: Observed, effect_key: str) -> Undo:
    """Make it again, under an id of its own."""
    first(records)
    kept = args.model_dump(mode="json", exclude={"reference"})
    return Undo("record.create", kept)
