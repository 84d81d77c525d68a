"""What can be asked of and changed in Dataverse, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from connectors.base import Connector, NotFound, Read, Record, Refused, Reversible, Risk, Tell, Write, Written
from connectors.kinds.dataverse import effects
from connectors.kinds.dataverse.arguments import (
    ActionArguments,
    AssociateArguments,
    CreateArguments,
    LinkArguments,
    RelatedArguments,
    RemoveArguments,
    RowById,
    RowByKey,
    RowsArguments,
    TogetherArguments,
    UpdateArguments,
)
from connectors.kinds.dataverse.fetchxml import ASK
from connectors.kinds.dataverse.tables import id_for
from connectors.kit import declaredactions
from connectors.talk.messages import Message

if TYPE_CHECKING:
    from connectors.kinds.dataverse.connector import Dataverse

LONGEST_MATCH = 100


def _dv(connector: Connector) -> Dataverse:
    return cast("Dataverse", connector)


def _row(connector: Connector, args: Any) -> list[Record]:
    return _dv(connector).row(args.table, args.id)


def _rows(connector: Connector, args: Any) -> list[Record]:
    """Every record of the change; none where one is missing, because then nothing is written."""
    found = [_dv(connector).row(part.table, part.id) for part in args.changes]
    return [row[0] for row in found] if all(found) else []


def _pair(connector: Connector, args: Any) -> list[Record]:
    """Whether the two are associated, then the first of them."""
    dv = _dv(connector)
    row = dv.row(args.table, args.id)
    if not row:
        return []
    there = dv.related(args.table, args.id, args.relationship, args.to, only=args.target)
    entity = f"{args.table.lower()}.{args.relationship}"
    return [Record(dv.name, entity, f"{args.id}/{args.target}", "", {"associated": bool(there)}), *row]


def _new(connector: Connector, args: Any) -> list[Record]:
    """The record to be: one that says the same already counts."""
    rows = _dv(connector).matching(args.table, _recognised_by(args))
    fields = dict(rows[0].fields) if rows else {}
    return [Record(connector.name, args.table.lower(), effects.to_be(args), "", {**fields, "Count": len(rows)})]


def _recognised_by(args: Any) -> dict[str, Any]:
    """Return the columns by which an equal record is found: those chosen, else what can be compared exactly."""
    said = effects.columns_of(args)
    if args.match:
        return {name: said.get(name) for name in args.match}
    found = {
        name: value
        for name, value in said.items()
        if isinstance(value, int | str) and 0 < len(str(value)) <= LONGEST_MATCH
    }
    if not found:
        raise Refused("Nothing in this record could be recognised again: name the columns in match.", code="match")
    return found


def _made(connector: Connector, args: Any) -> list[Record]:
    """The record that an effect made, under the name that it had when it was foreseen."""
    rows = _dv(connector).row(args.table, id_for(args.reference, args.table.lower()))
    fields, version = (dict(rows[0].fields), rows[0].version) if rows else ({}, "")
    entity = args.table.lower()
    return [Record(connector.name, entity, effects.to_be(args), version, {**fields, "Count": len(rows)})]


def _for_action(connector: Connector, args: Any) -> list[Record]:
    """The record that the action is called for, with the action's declaration."""
    dv = _dv(connector)
    action = dv.action(args.action, args.parameters)
    return [declaredactions.acted(row, action) for row in dv.row(action.table, args.id)]


# --- what is looked for after an unknown outcome --------------------------------------------------
def _find_made(connector: Connector, args: Any, effect_key: str) -> Written | None:
    rows = _dv(connector).row(args.table, id_for(effect_key, args.table.lower()))
    return Written(rows[0].version, {"found_by": "id", "id": rows[0].key}) if rows else None


def _find_removed(connector: Connector, args: Any, effect_key: str) -> Written | None:
    """A deletion leaves no mark: it is done when the record is not there."""
    there = _dv(connector).row(args.table, id_for(args.reference, args.table.lower()))
    return None if there else Written(result={"found_by": "absence"})


def _find_acted(connector: Connector, args: Any, effect_key: str) -> Written | None:
    dv = _dv(connector)
    action = dv.action(args.action, args.parameters)
    rows = dv.row(action.table, args.id)
    if not rows:
        raise NotFound(f"Dataverse has no {action.table} {args.id}.", status=404)
    return declaredactions.find(action, args, rows[0], effect_key)


READS: tuple[Read, ...] = (
    Read("record.get", RowById, "Record by its id"),
    Read("record.by_key", RowByKey, "Record by an alternate key"),
    Read("records.list", RowsArguments, "Records that meet conditions"),
    Read("records.related", RelatedArguments, "Records of a relationship"),
    ASK,
)
WRITES: tuple[Write, ...] = (
    Write(
        "record.update",
        UpdateArguments,
        "Change columns of a record",
        observe=_row,
        predict=effects.predict_update,
        undo=effects.undo_update,
        risk=Risk.MEDIUM,
    ),
    Write(
        "records.update",
        TogetherArguments,
        "Change several records, all or none",
        observe=_rows,
        predict=effects.predict_together,
        undo=effects.undo_together,
        risk=Risk.MEDIUM,
    ),
    Write(
        "record.link",
        LinkArguments,
        "Let a lookup point elsewhere",
        observe=_row,
        predict=effects.predict_link,
        undo=effects.undo_link,
        risk=Risk.MEDIUM,
    ),
    Write(
        "record.associate",
        AssociateArguments,
        "Associate two records",
        observe=_pair,
        predict=effects.predict_associate,
        undo=effects.undo_associate,
    ),
    Write(
        "record.disassociate",
        AssociateArguments,
        "Part two associated records",
        observe=_pair,
        predict=effects.predict_disassociate,
        undo=effects.undo_disassociate,
    ),
    Write(
        "record.create",
        CreateArguments,
        "Make a record",
        observe=_new,
        predict=effects.predict_create,
        undo=effects.undo_create,
        find=_find_made,
    ),
    Write(
        "record.remove",
        RemoveArguments,
        "Delete the record that an effect made",
        observe=_made,
        predict=effects.predict_remove,
        undo=effects.undo_remove,
        risk=Risk.MEDIUM,
        find=_find_removed,
    ),
    Write(
        "action.call",
        ActionArguments,
        "Call a declared action",
        observe=_for_action,
        predict=declaredactions.predict,
        undo=declaredactions.undo,
        risk=Risk.HIGH,
        # Nobody here knows what somebody else's code posts: its undo needs an approval of its own.
        financial=True,
        reversible=Reversible.NET_ZERO,
        find=_find_acted,
        amount=declaredactions.amount,
    ),
)
TELLS: tuple[Tell, ...] = (Tell("case.tell", Message, "Note on the cases that an incident belongs to"),)
