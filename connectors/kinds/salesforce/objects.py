"""Changes to objects that a connection opens: for what no operation of its own is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field, StringConstraints

from connectors.base import Arguments, Connector, NotFound, Record, Risk, Write, Written
from connectors.kinds.salesforce.arguments import Id, Name, Text
from connectors.kit import openrecords
from connectors.kit.declaredactions import Scalar
from connectors.kit.openlists import Opened, the_open
from connectors.kit.openrecords import Matched, to_be
from connectors.kit.rest import before_writing

if TYPE_CHECKING:
    from connectors.kinds.salesforce.connector import Salesforce

# A text, a number, a choice or a reference; null empties a field.
Values = Annotated[dict[Name, Scalar], Field(min_length=1, max_length=50, examples=[{"Priority": "High"}])]
Match = Annotated[list[Name], Field(min_length=1, max_length=10, examples=[["Priority"]])]
ObjectName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$")]


class ChangeArguments(Arguments):
    """Set fields of a record."""

    object: ObjectName
    id: Id
    values: Values


class MakeArguments(Matched):
    """Make a record. ``match`` names the fields by which one that says the same is recognised."""

    object: ObjectName
    values: Values
    match: Match


class UnmakeArguments(MakeArguments):
    """Delete the record that an effect made; Salesforce keeps it in its recycle bin."""

    reference: Text


# --- what is looked at -------------------------------------------------------------------------
def _sf(connector: Connector) -> Salesforce:
    return cast("Salesforce", connector)


def _opened(sf: Salesforce, args: Any) -> Opened:
    return the_open(sf.settings.opened(), args.object, args.values, sf.name)


def _row(connector: Connector, args: Any) -> list[Record]:
    sf = _sf(connector)
    _opened(sf, args)
    return sf.record(args.object, args.id, list(args.values))


def carrying(sf: Salesforce, args: Any, effect_key: str) -> list[Record]:
    """Fetch the records that carry an effect's key in the external id field."""
    opened = _opened(sf, args)
    return sf.matching(args.object, list(args.values), {sf.settings.key_field(opened): opened.mark_of(effect_key)})


def _to_be(connector: Connector, args: Any) -> list[Record]:
    """The record to be: those that say the same already count."""
    sf = _sf(connector)
    _opened(sf, args)
    rows = sf.matching(args.object, list(args.values), {name: args.values[name] for name in args.match})
    return [to_be(sf.name, args.object, [args.object, args.values], rows)]


def _made(connector: Connector, args: Any) -> list[Record]:
    """The record that an effect made, under the name that it had when it was foreseen."""
    rows = carrying(_sf(connector), args, args.reference)
    version = rows[0].version if rows else ""
    return [to_be(connector.name, args.object, [args.object, args.values], rows, version=version)]


# --- what is looked for after an unknown outcome -------------------------------------------------
def _find_made(connector: Connector, args: Any, effect_key: str) -> Written | None:
    rows = carrying(_sf(connector), args, effect_key)
    return Written(rows[0].version, {"found_by": "external id", "id": rows[0].key}) if rows else None


def _find_unmade(connector: Connector, args: Any, effect_key: str) -> Written | None:
    """A deletion leaves no mark: it is done when the record is not there."""
    return None if carrying(_sf(connector), args, args.reference) else Written(result={"found_by": "absence"})


# --- how it goes out ---------------------------------------------------------------------------
def _update(sf: Salesforce, args: Any, effect_key: str, version: str) -> Written:
    _opened(sf, args)
    return sf.change(args.object, args.id, args.values, effect_key, version)


def _create(sf: Salesforce, args: Any, effect_key: str, version: str) -> Written:
    """Upsert by our own key: the same again changes nothing that is not ours."""
    opened = _opened(sf, args)
    return sf.upsert(args.object, sf.settings.key_field(opened), opened.mark_of(effect_key), args.values, effect_key)


def _remove(sf: Salesforce, args: Any, effect_key: str, version: str) -> Written:
    with before_writing():
        rows = carrying(sf, args, args.reference)
    if len(rows) != 1:
        raise NotFound(f"{sf.label}: {len(rows)} records of {args.object} carry the key.", status=404)
    return sf.delete(args.object, rows[0].key, effect_key)


SENDERS: dict[str, Callable[[Salesforce, Any, str, str], Written]] = {
    "record.update": _update,
    "record.create": _create,
    "record.remove": _remove,
}
WRITES: tuple[Write, ...] = (
    Write(
        "record.update",
        ChangeArguments,
        "Change fields of a record",
        observe=_row,
        predict=openrecords.predict,
        undo=openrecords.undo,
        risk=Risk.MEDIUM,
    ),
    Write(
        "record.create",
        MakeArguments,
        "Make a record",
        observe=_to_be,
        predict=openrecords.predict_making,
        undo=openrecords.undo_making,
        risk=Risk.MEDIUM,
        find=_find_made,
    ),
    Write(
        "record.remove",
        UnmakeArguments,
        "Delete the record that an effect made",
        observe=_made,
        predict=openrecords.predict_unmaking,
        undo=openrecords.undo_unmaking,
        risk=Risk.MEDIUM,
        find=_find_unmade,
    ),
)
