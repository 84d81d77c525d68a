"""How a change of an open entity, and the call of a declared action, goes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from connectors.base import NotFound, VersionConflict, Written
from connectors.kinds.dynamics_fo import anything, odata
from connectors.kinds.dynamics_fo.odata import COMPANY, NAMESPACE
from connectors.kit.openlists import the_open
from connectors.kit.rest import before_writing
from connectors.transport import Reply

if TYPE_CHECKING:
    from connectors.kinds.dynamics_fo.connector import DynamicsFO

_EVERYWHERE = {"cross-company": "true"}
_ANY = "*"


def _done(fo: DynamicsFO, reply: Reply, **result: Any) -> Written:
    return Written(reply.headers.get("etag", ""), result, fo.trace.request_id)


def _address(fo: DynamicsFO, entity: str, args: Any) -> str:
    return fo.url(odata.address(entity, anything.key_in(fo, entity, args), fo.key_of(entity)))


def update(fo: DynamicsFO, args: Any, effect_key: str, version: str) -> Written:
    """Set fields, and only those."""
    the_open(fo.settings.opened(), args.entity, args.values, fo.name)
    url, headers = _address(fo, args.entity, args), {"If-Match": version or _ANY}
    reply = fo.send("PATCH", url, params=_EVERYWHERE, json=args.values, headers=headers, effect_key=effect_key)
    return _done(fo, reply)


def create(fo: DynamicsFO, args: Any, effect_key: str, version: str) -> Written:
    """Make a record that carries our mark: its number may come from a sequence, so that a repeat would make another."""
    field, mark = anything.mark_in(fo, args.entity, effect_key, args.values)
    body = {**args.values, COMPANY: args.company, field: mark}
    reply = fo.send("POST", fo.url(args.entity), params=_EVERYWHERE, json=body, effect_key=effect_key)
    answer = fo.content(reply) if reply.body else {}
    row = answer if isinstance(answer, dict) else {}
    names = (COMPANY, *fo.key_of(args.entity))
    return _done(fo, reply, key="/".join(str(row.get(name, "")) for name in names)[:200])


def remove(fo: DynamicsFO, args: Any, effect_key: str, version: str) -> Written:
    """Delete the one record that carries the mark of an effect."""
    with before_writing():
        rows = anything.marked(fo, args, args.reference)
    if len(rows) != 1:
        raise NotFound(f"{fo.label}: {len(rows)} records of {args.entity} carry the mark.", status=404)
    names = fo.key_of(args.entity)
    url = fo.url(odata.address(args.entity, rows[0].fields, names))
    headers = {"If-Match": version or rows[0].version or _ANY}
    return _done(fo, fo.send("DELETE", url, params=_EVERYWHERE, headers=headers, effect_key=effect_key))


def call(fo: DynamicsFO, args: Any, effect_key: str, version: str) -> Written:
    """Call a declared action. A custom service knows no etag: the version is compared just before."""
    action = anything.action_of(fo, args)
    body = dict(args.parameters)
    if action.mark_parameter:
        body[action.mark_parameter] = effect_key
    if not action.service:
        url = f"{_address(fo, action.table, args)}/{NAMESPACE}.{action.api}"
        headers = {"If-Match": version or _ANY}
        return _done(fo, fo.send("POST", url, params=_EVERYWHERE, json=body, headers=headers, effect_key=effect_key))
    key = anything.key_in(fo, action.table, args)
    with before_writing():
        found = fo.one(action.table, key)
    if found is None:
        raise NotFound(f"{fo.label} has no such record in {action.table}.", status=404)
    if version not in ("", _ANY, found.version):
        raise VersionConflict(f"{action.table} {found.key} was changed by someone.", status=412)
    body |= {parameter: key.get(field, "") for parameter, field in action.takes.items()}
    url = f"{fo.settings.environment_url}/api/services/{action.api}"
    reply = fo.send("POST", url, json=body, effect_key=effect_key)
    if reply.body:
        fo.content(reply)
    return _done(fo, reply, service=action.api)


SENDERS: dict[str, Callable[[DynamicsFO, Any, str, str], Written]] = {
    "record.update": update,
    "record.create": create,
    "record.remove": remove,
    "action.call": call,
}
