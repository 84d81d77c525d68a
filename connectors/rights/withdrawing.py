"""Take rights away from a connection, and give them back: each one entry in the ledger and one in its history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db import transaction

from audit.clock import db_now
from audit.errors import Invalid, Refusal
from connectors import actions, registry
from connectors.base import Read
from connectors.models import Connection
from connectors.rights import report as rights


class StillNeeded(Refusal):
    """Something in use names the operation, or it takes back what was done."""

    code = "still_needed"


@dataclass(frozen=True)
class Withdrawn:
    """A right that was taken away and not given back since."""

    name: str
    at: datetime
    by: str
    reason: str


@transaction.atomic
def withdraw(
    connection: Connection, names: Sequence[str], *, actor: str, reason: str = "", days: int = rights.DAYS
) -> list[str]:
    """Allow these operations no more; returns those that were allowed. Raises ``StillNeeded`` and ``Invalid``.

    What it was judged by is looked at again under the lock: a playbook that was switched on meanwhile keeps its own.
    """
    row = Connection.objects.select_for_update().get(pk=connection.pk)
    known = {one.name: one for one in rights.report(row, days).rights}
    gone = [name for name in dict.fromkeys(names) if name in known and known[name].allowed]
    for name in gone:
        if said := _needed(known[name]):
            raise StillNeeded(f"{name} stays: {said}.")
    if not gone:
        return []
    reads, writes = _split(row, gone)
    columns: dict[str, Any] = {"operations": [name for name in row.operations if name not in writes]}
    if reads:
        columns["reads"] = _without(row, reads)
    why = reason.strip() or _why(known[gone[0]], days)
    actions.update_connection(row, actor=actor, reason=why, **columns)
    return gone


def _needed(one: rights.Right) -> str:
    if one.named:
        return f"{one.named[0].text} names it"
    return f"it takes back {', '.join(one.undo_of)}" if one.undo_of else ""


def _why(one: rights.Right, days: int) -> str:
    return "Nothing in use names it." if one.used.calls else f"Not used in {days} days."


def _split(connection: Connection, names: Sequence[str]) -> tuple[set[str], set[str]]:
    reads = {name for name in names if isinstance(registry.operation_of(connection, name), Read)}
    return reads, set(names) - reads


def _without(connection: Connection, reads: set[str]) -> list[str]:
    """Return the list of reads without these. Raises ``Invalid``: an empty list would let every read through."""
    every = [one.name for one in registry.operations_of(connection) if isinstance(one, Read)]
    left = [name for name in (connection.reads or every) if name not in reads]
    if not left:
        raise Invalid(
            "One read has to stay: an empty list of reads means every read.",
            {"reads": ["Switch the connection off, or block its data class, where nothing may be read at all."]},
        )
    return left


@transaction.atomic
def give_back(connection: Connection, name: str, *, actor: str, reason: str = "") -> bool:
    """Allow an operation again; ``False`` where it is allowed already. Raises ``Invalid`` for what it does not have."""
    row = Connection.objects.select_for_update().get(pk=connection.pk)
    operation = registry.operation_of(row, name)
    if operation is None:
        raise Invalid(f"{row.slug} has no operation {name}.", {"operation": ["Unknown."]})
    if rights.allowed(row, operation):
        return False
    column = "reads" if isinstance(operation, Read) else "operations"
    wider: dict[str, Any] = {column: [*getattr(row, column), name]}
    actions.update_connection(row, actor=actor, reason=reason.strip() or f"{name} is needed again.", **wider)
    return True


def withdrawn(connection: Connection, days: int = rights.DAYS) -> list[Withdrawn]:
    """Return what was taken away in the last days and is not allowed now, the latest first."""
    history: Any = connection.history
    since = db_now() - timedelta(days=days)
    rows = list(history.filter(history_date__gte=since).order_by("-history_date", "-history_id")[:200])
    before = history.filter(history_date__lt=since).order_by("-history_date", "-history_id").first()
    rows += [before] if before else []
    known = {one.name: one for one in registry.operations_of(connection)}
    found: dict[str, Withdrawn] = {}
    for newer, older in pairwise(rows):
        who = newer.history_user.get_username() if newer.history_user else ""
        for name in sorted(_listed(older, known) - _listed(newer, known)):
            gone = Withdrawn(name, newer.history_date, who, newer.history_change_reason or "")
            if not rights.allowed(connection, known[name]):
                found.setdefault(name, gone)
    return list(found.values())


def _listed(row: Any, known: dict[str, Any]) -> set[str]:
    every = {name for name, one in known.items() if isinstance(one, Read)}
    return {*(row.operations or []), *(row.reads or every)} & set(known)
