"""How each write of Dataverse goes out: the condition, the body, and what its answer means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from connectors.base import Blocked, Record, Refused, VersionConflict, Written
from connectors.kinds.dataverse import batch
from connectors.kinds.dataverse.settings import DataverseAction, number_of
from connectors.kinds.dataverse.tables import Table, id_for
from connectors.kit.queries import listed
from connectors.kit.rest import before_writing
from connectors.transport import Reply

if TYPE_CHECKING:
    from connectors.kinds.dataverse.connector import Dataverse

HEADERS = {"OData-MaxVersion": "4.0", "OData-Version": "4.0"}
# Only what is there: without it a PATCH to a deleted row would make it anew.
THERE = "*"
TAKEN = number_of("0x80040237")


def _headers(dv: Dataverse, **more: str) -> dict[str, str]:
    # The header's name reads the other way round: false is what switches the search on.
    looked = {"MSCRM.SuppressDuplicateDetection": "false"} if dv.settings.detect_duplicates else {}
    return {**HEADERS, **looked, **{name.replace("_", "-"): value for name, value in more.items()}}


def _condition(dv: Dataverse, table: Table, key: str, version: str) -> str:
    """Return the If-Match of a write. Where the table has no row versions that count, the row is compared here."""
    if not version or table.name not in {name.lower() for name in listed(dv.settings.unversioned)}:
        return version or THERE
    _still(dv, table.name, key, version)
    return THERE


def _still(dv: Dataverse, table: str, key: str, version: str) -> list[Record]:
    """Read a record and hold it against the version that was seen. Raises ``VersionConflict``."""
    with before_writing():
        rows = dv.row(table, key)
    if version and rows and rows[0].version != version:
        raise VersionConflict(f"{dv.label}: {table} {key} was changed after it was read.", status=412)
    return rows


def _done(dv: Dataverse, reply: Reply, **result: Any) -> Written:
    return Written(reply.headers.get("etag", ""), result, dv.trace.request_id)


def _bind(dv: Dataverse, lookup: str, navigation: str, to: str, key: str) -> dict[str, Any]:
    name = f"{navigation or lookup}@odata.bind"
    return {name: f"/{dv.table(to).set}({key})" if key else None}


def _url(dv: Dataverse, table: Table, key: str) -> str:
    return f"{dv.root}/{table.set}({key})"


def update(dv: Dataverse, args: Any, effect_key: str, version: str) -> Written:
    """Set columns, and only those."""
    table = dv.table(args.table)
    if not args.values:
        raise Refused("There is nothing to change.", code="arguments")
    headers = _headers(dv, If_Match=_condition(dv, table, args.id, version))
    reply = dv.send("PATCH", _url(dv, table, args.id), json=args.values, headers=headers, effect_key=effect_key)
    return _done(dv, reply)


def link(dv: Dataverse, args: Any, effect_key: str, version: str) -> Written:
    """Let a lookup point to a record or to none."""
    table = dv.table(args.table)
    headers = _headers(dv, If_Match=_condition(dv, table, args.id, version))
    body = _bind(dv, args.lookup, args.navigation, args.to, args.target)
    return _done(dv, dv.send("PATCH", _url(dv, table, args.id), json=body, headers=headers, effect_key=effect_key))


def create(dv: Dataverse, args: Any, effect_key: str, version: str) -> Written:
    """Make a record under the id that our key gives it. Where that id is taken, it is the same effect again."""
    table = dv.table(args.table)
    if not args.values:
        raise Refused("A record without any column is not made.", code="arguments")
    body = dict(args.values)
    for one in args.links:
        body |= _bind(dv, one.lookup, one.navigation, one.to, one.id)
    return make(dv, table, id_for(effect_key, table.name), body, effect_key)


def make(dv: Dataverse, table: Table, key: str, body: Mapping[str, Any], effect_key: str) -> Written:
    """Make a record under an id of ours. Where that id is taken, it is the same effect again."""
    headers = _headers(dv, If_None_Match=THERE)
    try:
        reply = dv.send("PATCH", _url(dv, table, key), json=body, headers=headers, effect_key=effect_key)
    except (VersionConflict, Refused) as taken:
        if taken.status != 412 and number_of(taken.code) != TAKEN:
            raise
        rows = dv.row(table.name, key)
        if not rows:
            raise
        return Written(rows[0].version, {"id": key, "found_by": "id"}, dv.trace.request_id)
    return _done(dv, reply, id=key)


def remove(dv: Dataverse, args: Any, effect_key: str, version: str) -> Written:
    """Delete the record that an effect made."""
    table = dv.table(args.table)
    key = id_for(args.reference, table.name)
    headers = _headers(dv, If_Match=_condition(dv, table, key, version))
    return _done(dv, dv.send("DELETE", _url(dv, table, key), headers=headers, effect_key=effect_key))


def associate(dv: Dataverse, args: Any, effect_key: str, version: str) -> Written:
    """Bring two records of a many-to-many relationship together."""
    url, other = _relationship(dv, args)
    body = {"@odata.id": _url(dv, other, args.target)}
    return _done(dv, dv.send("POST", f"{url}/$ref", json=body, headers=_headers(dv), effect_key=effect_key))


def disassociate(dv: Dataverse, args: Any, effect_key: str, version: str) -> Written:
    """Part two records of a many-to-many relationship."""
    url, _ = _relationship(dv, args)
    return _done(dv, dv.send("DELETE", f"{url}({args.target})/$ref", headers=_headers(dv), effect_key=effect_key))


def _relationship(dv: Dataverse, args: Any) -> tuple[str, Table]:
    table, other = dv.table(args.table), dv.table(args.to)
    name = f"{table.name}.{args.relationship}"
    allowed = {entry.casefold() for entry in dv.settings.relationships()}
    if name.casefold() not in allowed:
        known = ", ".join(sorted(dv.settings.relationships())) or "none"
        raise Blocked(
            f"{dv.name} may not change the relationship {name}: its relationships are {known}. Of one to many, set"
            " the lookup instead.",
            code="operation",
        )
    return f"{_url(dv, table, args.id)}/{args.relationship}", other


def together(dv: Dataverse, args: Any, effect_key: str, version: str) -> Written:
    """Change several records in one change set: all of it, or nothing."""
    changes: list[batch.Change] = []
    for number, part in enumerate(args.changes):
        table = dv.table(part.table)
        if not part.values:
            raise Refused("There is nothing to change in one of the records.", code="arguments")
        # The plan's version guards the first record; the others are held to what stands there now.
        seen = version if number == 0 else _seen(dv, part)
        condition = _condition(dv, table, part.id, seen)
        changes.append(batch.Change("PATCH", _url(dv, table, part.id), part.values, {"If-Match": condition}))
    boundary = batch.boundary_of(effect_key)
    raw = batch.written(changes, boundary)
    headers = {**_headers(dv), "Content-Type": f'multipart/mixed; boundary="{boundary}"'}
    reply = dv.send("POST", f"{dv.root}/$batch", raw=raw, headers=headers, effect_key=effect_key, allow=batch.LOOKED_AT)
    batch.judge(reply, len(changes), label=dv.label, explain=dv.explain)
    return _done(dv, reply, changes=len(changes))


def _seen(dv: Dataverse, part: Any) -> str:
    rows = _still(dv, part.table, part.id, "")
    return rows[0].version if rows else ""


def act(dv: Dataverse, args: Any, effect_key: str, version: str) -> Written:
    """Call a declared action for a record that is still as it was seen."""
    action = dv.action(args.action, args.parameters)
    table = dv.table(action.table)
    # An action takes no If-Match: the row is compared here.
    if not _still(dv, table.name, args.id, version):
        raise Refused(f"{dv.label} has no {table.name} {args.id}.", status=404)
    url = f"{_url(dv, table, args.id)}/{_full(action)}" if action.bound else f"{dv.root}/{action.api}"
    body = _body(action, args.parameters, args.id, effect_key)
    reply = dv.send("POST", url, json=body, headers=_headers(dv), effect_key=effect_key)
    answer = dv.content(reply) if reply.body else {}
    plain = (bool, int, float, str)
    told = answer.items() if isinstance(answer, dict) else ()
    said = {name: value for name, value in told if "@" not in name and isinstance(value, plain)}
    return _done(dv, reply, **({"answer": said} if said else {}))


def _full(action: DataverseAction) -> str:
    return action.api if "." in action.api else f"Microsoft.Dynamics.CRM.{action.api}"


def _body(action: DataverseAction, parameters: Mapping[str, Any], key: str, effect_key: str) -> dict[str, Any]:
    body = dict(parameters)
    if not action.bound:
        body[action.record] = key
    if action.mark_parameter:
        body[action.mark_parameter] = effect_key
    return body


SENDERS: dict[str, Callable[[Dataverse, Any, str, str], Written]] = {
    "record.update": update,
    "records.update": together,
    "record.link": link,
    "record.associate": associate,
    "record.disassociate": disassociate,
    "record.create": create,
    "record.remove": remove,
    "action.call": act,
}
