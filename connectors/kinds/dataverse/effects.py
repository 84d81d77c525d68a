"""What each write of Dataverse changes and how it is taken back. Pure functions over records."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from audit.proofs import canonical
from connectors.base import Change, NotFound, Observed, Record, Undo
from connectors.kinds.dataverse.settings import DeclaredAction

_BEFORE = "before:"


@dataclass(frozen=True)
class Acted(Record):
    """A record with the declaration of the action that is to be called for it."""

    action: DeclaredAction | None = field(default=None, repr=False)


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
    said = canonical([args.table.lower(), args.values, links])
    return f"new:{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def columns_of(args: Any) -> dict[str, Any]:
    """Return what a new record will say, lookups as they are read."""
    return {**args.values, **{lookup(link.lookup): link.id for link in args.links}}


def predict_create(args: Any, records: Observed) -> list[Change]:
    """There is one more record that says this."""
    record = first(records)
    count = record.fields["Count"]
    if count:
        return [Change(record.entity, record.key, "Count", count, count + 1)]
    return [Change(record.entity, record.key, name, None, value) for name, value in columns_of(args).items()]


def undo_create(args: Any, records: Observed, effect_key: str) -> Undo:
    """Delete the record that carries the id made from our key."""
    first(records)
    return Undo("record.remove", {**args.model_dump(mode="json"), "reference": effect_key})


def predict_remove(args: Any, records: Observed) -> list[Change]:
    """The record is gone."""
    record = first(records)
    gone = [change(record, name, None) for name in columns_of(args)]
    return [Change(record.entity, record.key, "Count", record.fields["Count"], 0), *gone]


def undo_remove(args: Any, records: Observed, effect_key: str) -> Undo:
    """Make it again, under an id of its own."""
    first(records)
    kept = args.model_dump(mode="json", exclude={"reference"})
    return Undo("record.create", kept)


# --- actions -----------------------------------------------------------------------------------
def _acted(records: Observed) -> tuple[Record, DeclaredAction]:
    record = first(records)
    action = record.action if isinstance(record, Acted) else None
    if action is None:
        raise NotFound("Dataverse has no such record.", status=404)
    return record, action


def filled(value: Any, parameters: Mapping[str, Any]) -> Any:
    """Return a declared value, with the parameter in its place where it names one."""
    return parameters.get(value[1:]) if isinstance(value, str) and value.startswith("=") else value


def predict_action(args: Any, records: Observed) -> list[Change]:
    """The record says what the declaration promises."""
    record, action = _acted(records)
    return [change(record, column, filled(value, args.parameters)) for column, value in action.sets.items()]


def undo_action(args: Any, records: Observed, effect_key: str) -> Undo | None:
    """Call the action that was declared to take it back; none where none was."""
    record, action = _acted(records)
    if not action.undo:
        return None
    given = {name: _taken_back(value, record, args.parameters) for name, value in action.undo_parameters.items()}
    reason = f"Undo: {args.reason}"[:250]
    return Undo("action.call", {"action": action.undo, "id": args.id, "parameters": given, "reason": reason})


def _taken_back(value: Any, record: Record, parameters: Mapping[str, Any]) -> Any:
    if isinstance(value, str) and value.startswith(_BEFORE):
        return record.fields.get(value.removeprefix(_BEFORE))
    return filled(value, parameters)


def amount_action(args: Any, records: Observed) -> tuple[str, str] | None:
    """Return what stands in the declared columns; ``None`` where none were declared: then a person is asked."""
    record, action = _acted(records)
    amount, currency = record.fields.get(action.amount_column), record.fields.get(action.currency_column)
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not isinstance(currency, str):
        return None
    return str(amount), currency
