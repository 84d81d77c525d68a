"""The log of calls: a row before the socket opens, closed once it is known what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db import connection as database
from django.db.models import Field, Q
from pydantic import ValidationError

from audit.clock import db_now
from connectors import registry
from connectors.base import (
    Arguments,
    Blocked,
    Connector,
    ConnectorError,
    Health,
    Operation,
    RateLimited,
    Record,
    Trace,
    Unauthorized,
    Written,
)
from connectors.door import at_once, credential_uses, notices, threads
from connectors.door import rules as door
from connectors.door.purposes import Purpose
from connectors.door.standing import CLOCK, clock
from connectors.models import Call, Connection
from connectors.redaction import Redactor
from connectors.wire.payloads import storable_text

# Both statements of a row are written out: the ORM takes three times as long to put them together, for every call.
_FIELDS = tuple(field for field in Call._meta.concrete_fields if not field.primary_key)
_CLOSING = ("outcome", "requests", "request_id", "tokens", "status")
# Where a limit is reached and the target does not say for how long.
DEFAULT_PAUSE_SECONDS = 5.0


@dataclass
class Use:
    """One use on its way through the door."""

    connection: Connection
    operation: str
    direction: str
    actor: str
    incident: int | None = None
    effect_key: str = ""
    purpose: Purpose = Purpose.NEW

    @property
    def asked(self) -> door.Asked:
        """What the door's rules go by."""
        return door.Asked(self.operation, self.direction, self.actor, self.purpose)


@dataclass(frozen=True)
class Valid:
    """An operation that was found, with arguments that fit it."""

    operation: Operation
    arguments: Arguments


def logged(
    use: Use, connector: Connector | None, arguments: Mapping[str, Any], valid: Valid | None = None
) -> dict[str, Any]:
    """Return what the row keeps of the arguments."""
    if connector and valid:
        return connector.logged(valid.operation, valid.arguments)
    operation = connector.operation(use.operation) if connector else None
    try:
        if connector and operation:
            return connector.logged(operation, operation.arguments.model_validate(dict(arguments)))
    except ValidationError:
        # Refused arguments may hold anything at all: their names are enough.
        pass
    return {"names": sorted(storable_text(str(name))[:60] for name in arguments)[:50]} if arguments else {}


def opened(use: Use, arguments: dict[str, Any]) -> Call:
    """Write the row of a use that is about to begin. Inside the caller's transaction, which ends before it begins."""
    row = opened_with(use, arguments, at_once.Taking())
    if row is None:
        raise RuntimeError("The database says nothing of a row that it took.")
    return row


def opened_with(use: Use, arguments: dict[str, Any], taking: at_once.Taking) -> Call | None:
    """Write the row of a use and take what it takes, in one statement; ``None`` where there is no room for it.

    Outside a transaction it is committed by that: before the use begins.
    """
    kind = registry.KINDS.get(use.connection.kind)
    values = {
        **{field.attname: field.get_default() for field in _FIELDS},
        "connection_id": use.connection.pk,
        "operation": storable_text(use.operation)[:100],
        "direction": kind.reads_as if kind and use.direction == "read" else use.direction,
        "actor": use.actor[:200],
        "incident_id": use.incident,
        "effect_key": storable_text(use.effect_key)[:64],
        "arguments": arguments,
    }
    names, kinds = _columns(database.vendor)
    given = [_saved(values[field.attname], field) for field in _FIELDS if field.column != "started_at"]
    found = at_once.enter(taking, names, kinds, given)
    if found is None:
        return None
    values["id"], values["started_at"] = found[0], clock(found[1])
    every = [field.attname for field in Call._meta.concrete_fields]
    return Call.from_db(DEFAULT_DB_ALIAS, every, [values[name] for name in every])


@cache
def _columns(vendor: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of a row's columns, and of each its type, or in brackets what the database fills it with."""
    names = tuple(str(field.column) for field in _FIELDS)
    clocks = {"started_at": f"({CLOCK[vendor]})"}
    return names, tuple(clocks.get(str(field.column)) or str(field.db_type(database)) for field in _FIELDS)


def finish(
    row: Call, connector: Connector | None, *, outcome: str, leaving: at_once.Leaving | None = None, **columns: Any
) -> bool:
    """Close a row with what the use cost and came to, and tell its gate; return whether the gate is open."""
    trace = connector.trace if connector else Trace()
    row.outcome, row.status = outcome[:20], columns.pop("status", None) or trace.status
    row.requests, row.tokens = trace.requests, trace.tokens
    # The target's own words, like its errors: it may say back what it was sent.
    row.request_id = connector.redactor().text(trace.request_id)[:100] if connector and trace.request_id else ""
    for name, value in columns.items():
        setattr(row, name, value)
    if row.direction == "tell" and outcome == "ok":
        # First: whoever dies in between leaves a thread that is known, and never an answer that is nobody's.
        threads.note(row)
    changed, statement = _closing(database.vendor, tuple(columns))
    values = [*(_saved(getattr(row, field.attname), field) for field in changed), row.pk]
    ended, is_open = at_once.leave(leaving, statement, values)
    row.finished_at = clock(ended)
    credential_uses.note(row.connection_id, trace.secrets)
    return is_open


@cache
def _closing(vendor: str, more: tuple[str, ...]) -> "tuple[list[Field[Any, Any]], str]":
    changed = [field for field in _FIELDS if field.column in _CLOSING or field.column in more]
    sets = ", ".join([f"finished_at = {CLOCK[vendor]}", *(f"{field.column} = %s" for field in changed)])
    return changed, f"UPDATE connectors_call SET {sets} WHERE id = %s RETURNING finished_at"  # noqa: S608 - own names


def _saved(value: Any, field: "Field[Any, Any]") -> Any:
    return field.get_db_prep_save(value, database)


def told(error: ConnectorError, redactor: Redactor) -> None:
    """Take secrets out of what an error says, and forget what caused it: a trace may hold headers."""
    error.args = (storable_text(redactor.text(str(error))),)
    error.code = redactor.text(error.code)
    error.__cause__ = error.__context__ = None
    error.__suppress_context__ = True


def close_failed(row: Call, use: Use, connector: Connector | None, error: ConnectorError) -> None:
    with transaction.atomic():
        finish(row, connector, outcome=type(error).__name__.lower(), status=error.status, message=str(error)[:2000])
        if isinstance(error, RateLimited) or (error.retry_after and not isinstance(error, Blocked)):
            _pause(use.connection, error.retry_after or DEFAULT_PAUSE_SECONDS)
        if isinstance(error, Blocked):
            about = error.about or use.operation
            notices.refused(use.connection, error.code, about, str(error), actor=use.actor, scope=error.scope)
        if isinstance(error, Unauthorized):
            Connection.objects.filter(pk=use.connection.pk).update(
                health="failing", health_message=str(error)[:2000], checked_at=db_now()
            )


def _pause(connection: Connection, seconds: float) -> None:
    """Let no worker send anything before the target's pause is over; a longer pause that stands is kept.

    It holds for every connection of the same credential.
    """
    until = db_now() + timedelta(seconds=seconds)
    shorter = Q(not_before=None) | Q(not_before__lt=until)
    same_gate = Q(gate__isnull=False, gate__connections=connection.pk)
    Connection.objects.filter(shorter, Q(pk=connection.pk) | same_gate).update(not_before=until)


def summary(result: Any) -> dict[str, Any]:
    """Say what came back without copying business data into the log: which records, in which version."""
    if isinstance(result, tuple):
        records, written = result
        return summary(written if written is not None else records)
    if isinstance(result, Written):
        return {"version": result.version, "result": result.result}
    if isinstance(result, Health):
        return {"ok": result.ok, "tried": list(result.tried), "message": result.message}
    if isinstance(result, list):
        named = [f"{item.entity} {item.key}" for item in result if isinstance(item, Record)]
        return {"count": len(result), "records": named[:20]} if named else {"count": len(result)}
    return {"found": False} if result is None else {}
