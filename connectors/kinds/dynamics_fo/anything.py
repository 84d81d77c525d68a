"""Changes to entities that a connection opens, and calls of actions that it declares: for what no operation is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field, StringConstraints, model_validator

from connectors.base import (
    Blocked,
    Change,
    Connector,
    NotFound,
    Observed,
    Record,
    Reversible,
    Risk,
    Undo,
    Write,
    Written,
)
from connectors.kinds.dynamics_fo import odata
from connectors.kinds.dynamics_fo.odata import COMPANY, EMPTY_DATE
from connectors.kinds.dynamics_fo.reads import InCompany, Mark, Reason
from connectors.kit import declaredactions, openrecords
from connectors.kit.declaredactions import DeclaredAction, Name, Scalar, declared
from connectors.kit.openlists import the_open
from connectors.kit.openrecords import Matched, to_be

if TYPE_CHECKING:
    from connectors.kinds.dynamics_fo.connector import DynamicsFO

KeyValue = int | Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\r\n\t]+$")]
Key = Annotated[dict[Name, KeyValue], Field(min_length=1, max_length=6, examples=[{"SalesOrderNumber": "SO-000697"}])]
# F&O knows no null: what stands for nothing is an empty text, 0, or the first day of 1900.
Value = bool | int | Annotated[float, Field(allow_inf_nan=False)] | Annotated[str, StringConstraints(max_length=4000)]
Values = Annotated[dict[Name, Value], Field(min_length=1, max_length=50, examples=[{"DeliveryModeCode": "20"}])]
Match = Annotated[list[Name], Field(min_length=1, max_length=10, examples=[["DeliveryModeCode"]])]
_SHOWN = 100
_STEP = "[A-Za-z][A-Za-z0-9_]{0,99}"


class FOAction(DeclaredAction):
    """A bound action (``api`` is its name) or a custom service (``Group/Service/operation``) as it was declared.

    ``takes`` says which parameter of a service takes which field of the record's key, the company among them.
    """

    api: Annotated[str, StringConstraints(pattern=rf"^{_STEP}(?:/{_STEP}/{_STEP})?$")]
    takes: dict[Name, Name] = {}

    @property
    def service(self) -> bool:
        """Tell a custom service from a bound action."""
        return "/" in self.api

    @model_validator(mode="after")
    def _is_addressed(self) -> FOAction:
        if self.service and not self.takes:
            raise ValueError("a custom service says which parameter takes which field of the key (takes)")
        if not self.service and self.takes:
            raise ValueError("a bound action is called on its record and takes no key")
        return self


def actions_of(text: str) -> dict[str, FOAction]:
    """Read the declared actions. Raises ``ValueError``."""
    return declared(text, FOAction)


class OpenKey(InCompany):
    """One record of an entity that is open to changes, by the fields of its key without the company."""

    entity: Name
    key: Key


class ChangeArguments(OpenKey):
    """Set fields of a record; enum values by their symbols."""

    values: Values


class MakeArguments(Matched, InCompany):
    """Make a record. ``match`` names the fields (texts and numbers) by which one that says the same is recognised."""

    entity: Name
    values: Values
    match: Match


class UnmakeArguments(MakeArguments):
    """Delete the record that an effect made."""

    reference: Mark


class CallArguments(InCompany):
    """Call a declared action for the record of a key."""

    action: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    key: Key
    parameters: Annotated[dict[Name, Scalar], Field(max_length=50)] = {}
    reason: Reason = ""


# --- what is looked at -------------------------------------------------------------------------
def _fo(connector: Connector) -> DynamicsFO:
    return cast("DynamicsFO", connector)


def key_in(fo: DynamicsFO, entity: str, args: Any) -> dict[str, Any]:
    """Return the whole key of a record. Raises ``Blocked`` where it is not the entity's."""
    names = fo.key_of(entity)
    if not names:
        raise Blocked(
            f"{fo.name} knows no key of {entity}: write “{entity} by Field” at the connection.", code="entity"
        )
    if set(args.key) != set(names):
        raise Blocked(f"{fo.name}: the key of {entity} is {', '.join(names)}.", code="arguments")
    return {COMPANY: args.company, **args.key}


def mark_in(fo: DynamicsFO, entity: str, effect_key: str, fields: Any = ()) -> tuple[str, str]:
    """Return the field that takes our mark and what stands in it. Raises ``Blocked`` where none was named."""
    opened = the_open(fo.settings.opened(), entity, fields, fo.name)
    if not opened.mark:
        raise Blocked(
            f"{fo.name} names no field of {entity} that takes a mark: without it a record might be made twice.",
            code="entity",
        )
    return opened.mark, opened.mark_of(effect_key)


def _row(connector: Connector, args: Any) -> list[Record]:
    fo = _fo(connector)
    the_open(fo.settings.opened(), args.entity, args.values, fo.name)
    found = fo.one(args.entity, key_in(fo, args.entity, args))
    return [found] if found else []


def marked(fo: DynamicsFO, args: Any, effect_key: str) -> list[Record]:
    """Fetch the records that carry an effect's mark."""
    field, mark = mark_in(fo, args.entity, effect_key)
    return fo.listed(args.entity, odata.equal({COMPANY: args.company, field: mark}))


def _to_be(connector: Connector, args: Any) -> list[Record]:
    """The record to be: those that say the same already count."""
    fo = _fo(connector)
    mark_in(fo, args.entity, "", args.values)
    where = {COMPANY: args.company, **{name: args.values[name] for name in args.match}}
    rows = fo.listed(args.entity, odata.equal(where))
    return [to_be(fo.name, args.entity, [args.company, args.entity, args.values], rows)]


def _made(connector: Connector, args: Any) -> list[Record]:
    """The record that an effect made, under the name that it had when it was foreseen."""
    rows = marked(_fo(connector), args, args.reference)
    version = rows[0].version if rows else ""
    return [to_be(connector.name, args.entity, [args.company, args.entity, args.values], rows, version=version)]


def action_of(fo: DynamicsFO, args: Any) -> FOAction:
    """Return the declared action that is to be called. Raises ``Blocked``."""
    return declaredactions.one_of(fo.settings.declared_actions(), args.action, args.parameters, fo.name)


def _for_action(connector: Connector, args: Any) -> list[Record]:
    fo = _fo(connector)
    action = action_of(fo, args)
    found = fo.one(action.table, key_in(fo, action.table, args))
    return [declaredactions.acted(found, action)] if found else []


# --- what becomes of it ------------------------------------------------------------------------
def _predict(args: Any, records: Observed) -> list[Change]:
    openrecords.first(records)
    return openrecords.changed(records, {name: odata.plain(value) for name, value in args.values.items()})


def _undo(args: Any, records: Observed, effect_key: str) -> Undo:
    """Put the old values back; what was nothing was an empty date, the one value that reads so."""
    record = openrecords.first(records)
    if strange := [name for name in args.values if name not in record.fields]:
        raise NotFound(f"{record.entity} has no field {strange[0]}.", status=404)
    before = {name: record.fields[name] for name in args.values}
    old = {name: EMPTY_DATE if value is None else value for name, value in before.items()}
    return Undo("record.update", {**args.model_dump(mode="json"), "values": old})


# --- what is looked for after an unknown outcome -------------------------------------------------
def _find_made(connector: Connector, args: Any, effect_key: str) -> Written | None:
    rows = marked(_fo(connector), args, effect_key)
    return Written(rows[0].version, {"found_by": "mark", "key": rows[0].key[:_SHOWN]}) if rows else None


def _find_unmade(connector: Connector, args: Any, effect_key: str) -> Written | None:
    """A deletion leaves no mark: it is done when the record is not there."""
    return None if marked(_fo(connector), args, args.reference) else Written(result={"found_by": "absence"})


def _find_called(connector: Connector, args: Any, effect_key: str) -> Written | None:
    record = openrecords.first(_for_action(connector, args))
    return declaredactions.find(action_of(_fo(connector), args), args, record, effect_key)


WRITES: tuple[Write, ...] = (
    Write(
        "record.update",
        ChangeArguments,
        "Change fields of a record",
        observe=_row,
        predict=_predict,
        undo=_undo,
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
    Write(
        "action.call",
        CallArguments,
        "Call a declared action",
        observe=_for_action,
        predict=declaredactions.predict,
        undo=declaredactions.undo,
        risk=Risk.HIGH,
        # Nobody here knows what somebody else's code posts: its undo needs an approval of its own.
        financial=True,
        reversible=Reversible.NET_ZERO,
        find=_find_called,
        amount=declaredactions.amount,
    ),
)
