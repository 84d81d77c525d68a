"""The one door to other systems. Every use passes here and leaves a ``Call`` row.

1. Our own rules first: known operation, valid arguments, enabled, pause over; for a write also the list of
   allowed operations, the effect key and the emergency stop.
2. The ``Call`` row is committed before the socket opens: a process that dies in between leaves its trace.
3. The row is closed in a second short transaction. No transaction is ever open while the network is waited for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Q
from pydantic import ValidationError

from audit.clock import db_now
from connectors import registry
from connectors.base import (
    Arguments,
    Blocked,
    Connector,
    ConnectorError,
    Health,
    Inbound,
    Operation,
    RateLimited,
    Record,
    Trace,
    Unanswered,
    Unauthorized,
    Write,
    Written,
)
from connectors.comparison import same
from connectors.models import Call, Connection, EmergencyStop
from connectors.payloads import storable_text
from connectors.redaction import Redactor

# Where a limit is reached and the target does not say for how long.
DEFAULT_PAUSE_SECONDS = 5.0
Result = TypeVar("Result")


@dataclass(frozen=True)
class Answer:
    """What a call came to: the records of a read, or what the target said of a write, and the row in the log."""

    records: list[Record]
    written: Written | None
    call: Call


@dataclass
class _Use:
    """One use on its way through the door."""

    connection: Connection
    operation: str
    direction: str
    actor: str
    incident: int | None = None
    effect_key: str = ""


def call(
    connection: Connection,
    operation: str,
    arguments: Mapping[str, Any],
    *,
    actor: str,
    incident: int | None = None,
    effect_key: str = "",
    version: str = "",
) -> Answer:
    """Use one operation of a connection and return its answer.

    A write needs ``effect_key`` (at most 64 letters) and is refused by the target where the record's version is no
    longer ``version`` (blank: no check). Raises only ``ConnectorError``; our own refusals are ``Blocked``. Must not
    be called inside a transaction (``RuntimeError``): rows would stay locked while the network is waited for.
    """
    declared = registry.operation_of(connection, operation)
    direction = "write" if isinstance(declared, Write) else "read"
    use = _Use(connection, operation, direction, actor, incident, effect_key)

    def act(connector: Connector, found: Operation, valid: Arguments) -> tuple[list[Record], Written | None]:
        if isinstance(found, Write):
            return [], connector.write(found, valid, effect_key=effect_key, version=version)
        return connector.read(found, valid), None

    (records, written), row = _through(use, arguments, act)
    return Answer(records, written, row)


def observe(
    connection: Connection, operation: str, arguments: Mapping[str, Any], *, actor: str, incident: int | None = None
) -> list[Record]:
    """Read afresh the records that a write touches, the one it writes first. Raises ``ConnectorError``."""

    def act(connector: Connector, found: Operation, valid: Arguments) -> list[Record]:
        return _write_only(found).observe(connector, valid)

    return _through(_Use(connection, operation, "observe", actor, incident), arguments, act)[0]


def find(
    connection: Connection,
    operation: str,
    arguments: Mapping[str, Any],
    *,
    effect_key: str,
    actor: str,
    incident: int | None = None,
) -> Written | None:
    """Look for the trace of an effect; ``None`` where there is none (yet). Raises ``ConnectorError``.

    A write that leaves no mark of its own is found by its values: the effect is there when every
    field that it sets stands as it would set it.
    """

    def act(connector: Connector, found: Operation, valid: Arguments) -> Written | None:
        write = _write_only(found)
        if write.find is not None:
            return write.find(connector, valid, effect_key)
        records = write.observe(connector, valid)
        wanted = [change for change in write.predict(valid, records) if not change.side_effect]
        if not wanted or any(not same(change.before, change.after) for change in wanted):
            return None
        return Written(version=records[0].version, result={"found_by": "values"})

    return _through(_Use(connection, operation, "find", actor, incident, effect_key), arguments, act)[0]


def check(connection: Connection, *, actor: str) -> Health:
    """Try a connection without changing anything; never raises because of the other system."""
    try:
        return _recorded(_Use(connection, "check", "check", actor), {}, lambda connector: connector.check())[0]
    except ConnectorError as error:
        tried = (f"{connection.label or connection.slug}: sign in and read",)
        return Health(ok=False, tried=tried, message=str(error))


def poll(connection: Connection, since: datetime | None, *, actor: str) -> list[Inbound]:
    """Ask a connection for news since ``since``. Raises ``ConnectorError``."""
    return _recorded(_Use(connection, "poll", "poll", actor), {}, lambda connector: connector.poll(since))[0]


def _write_only(operation: Operation) -> Write:
    if not isinstance(operation, Write):
        raise Blocked(f"{operation.name} changes nothing: there is no effect to look at.", code="operation")
    return operation


def _through(
    use: _Use, arguments: Mapping[str, Any], act: Callable[[Connector, Operation, Any], Result]
) -> tuple[Result, Call]:
    """Validate, then carry out ``act`` with an open Call row."""

    def with_operation(connector: Connector) -> Result:
        operation = connector.operation(use.operation)
        if operation is None:
            raise Blocked(f"{connector.label} has no operation “{use.operation}”.", code="operation")
        return act(connector, operation, operation.arguments.model_validate(dict(arguments)))

    return _recorded(use, arguments, with_operation)


def _recorded(use: _Use, arguments: Mapping[str, Any], act: Callable[[Connector], Result]) -> tuple[Result, Call]:
    """Do ``act`` between opening and closing the Call row; whatever fails is told without secrets."""
    fresh = Connection.objects.get(pk=use.connection.pk)
    try:
        connector = registry.connector_for(fresh)
    except ConnectorError as error:
        _close_failed(_open(use, _logged(use, None, arguments)), use, None, error)
        raise
    redactor = connector.redactor()
    refusal: ConnectorError | None = None
    try:
        _allowed(use, fresh, connector, arguments)
    except ConnectorError as error:
        refusal = error
    row = _open(use, redactor.data(_logged(use, connector, arguments)))
    try:
        if refusal is not None:
            raise refusal
        result = act(connector)
    except ConnectorError as error:
        _told(error, redactor)
        _close_failed(row, use, connector, error)
        raise
    except BaseException as error:
        # A fault of ours: the row must say so, and the error must rise.
        said = storable_text(redactor.text(f"{type(error).__name__}: {error}"))
        _finish(row, connector, outcome="failed", message=said[:2000])
        raise
    _finish(row, connector, outcome="ok", answer=redactor.data(_summary(result)))
    return result, row


def _allowed(use: _Use, connection: Connection, connector: Connector, arguments: Mapping[str, Any]) -> None:
    """Hold a use against our own rules. Raises ``Blocked``."""
    if not connection.enabled and use.direction != "check":
        raise Blocked(f"The connection {connection.slug} is disabled.", code="disabled")
    if use.direction not in ("check", "poll"):
        operation = connector.operation(use.operation)
        if operation is None:
            raise Blocked(f"{connector.label} has no operation “{use.operation}”.", code="operation")
        _validated(operation, arguments)
    if use.direction == "write":
        _may_write(use, connection)
    if connection.not_before is not None and use.direction != "check":
        left = (connection.not_before - db_now()).total_seconds()
        if left > 0:
            raise Blocked(
                f"{connection.slug} asked to wait; {left:.0f} s are left.", code="not_before", retry_after=left
            )


def _may_write(use: _Use, connection: Connection) -> None:
    stop = EmergencyStop.objects.filter(Q(connection=None) | Q(connection=connection), ended_at=None).first()
    if stop is not None:
        raise Blocked(f"Emergency stop by {stop.actor}: {stop.reason}", code="stopped")
    if use.operation not in connection.operations:
        raise Blocked(f"{use.operation} is not among the operations that {connection.slug} may do.", code="operation")
    key = use.effect_key
    if not key or len(key) > 64 or not key.isascii() or not key.isprintable():
        raise Blocked("A write needs an effect key of at most 64 letters.", code="effect_key")


def _validated(operation: Operation, arguments: Mapping[str, Any]) -> None:
    try:
        operation.arguments.model_validate(dict(arguments))
    except ValidationError as invalid:
        faults = [f"{'.'.join(map(str, error['loc'])) or 'arguments'}: {error['msg']}" for error in invalid.errors()]
        raise Blocked(f"{operation.name}: {'; '.join(faults)}"[:1000], code="arguments") from None


def _logged(use: _Use, connector: Connector | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    operation = connector.operation(use.operation) if connector else None
    try:
        if connector and operation:
            return connector.logged(operation, operation.arguments.model_validate(dict(arguments)))
    except ValidationError:
        # Refused arguments may hold anything at all: their names are enough.
        pass
    return {"names": sorted(storable_text(str(name))[:60] for name in arguments)[:50]} if arguments else {}


def _open(use: _Use, arguments: dict[str, Any]) -> Call:
    kind = registry.KINDS.get(use.connection.kind)
    direction = kind.reads_as if kind and use.direction == "read" else use.direction
    # Durable: Django itself refuses (RuntimeError) where the caller has a transaction open.
    with transaction.atomic(durable=True):
        return Call.objects.create(
            connection_id=use.connection.pk,
            operation=storable_text(use.operation)[:100],
            direction=direction,
            actor=use.actor[:200],
            incident_id=use.incident,
            effect_key=storable_text(use.effect_key)[:64],
            arguments=arguments,
            started_at=db_now(),
        )


def _finish(row: Call, connector: Connector | None, *, outcome: str, **columns: Any) -> None:
    trace = connector.trace if connector else Trace()
    row.finished_at, row.outcome = db_now(), outcome[:20]
    row.requests, row.request_id, row.tokens = trace.requests, trace.request_id[:100], trace.tokens
    row.status = columns.pop("status", None) or trace.status
    for name, value in columns.items():
        setattr(row, name, value)
    row.save(update_fields=["finished_at", "outcome", "requests", "request_id", "tokens", "status", *columns])


def _told(error: ConnectorError, redactor: Redactor) -> None:
    """Take secrets out of what an error says, and forget what caused it: a trace may hold headers."""
    error.args = (storable_text(redactor.text(str(error))),)
    error.__cause__ = None
    error.__suppress_context__ = True


def _close_failed(row: Call, use: _Use, connector: Connector | None, error: ConnectorError) -> None:
    with transaction.atomic():
        _finish(row, connector, outcome=type(error).__name__.lower(), status=error.status, message=str(error)[:2000])
        if isinstance(error, RateLimited) or (isinstance(error, Unanswered) and error.retry_after):
            _pause(use.connection, error.retry_after or DEFAULT_PAUSE_SECONDS)
        if isinstance(error, Unauthorized):
            Connection.objects.filter(pk=use.connection.pk).update(
                health="failing", health_message=str(error)[:2000], checked_at=db_now()
            )


def _pause(connection: Connection, seconds: float) -> None:
    """Let no worker send anything before the target's pause is over; a longer pause that stands is kept."""
    until = db_now() + timedelta(seconds=seconds)
    shorter = Q(not_before=None) | Q(not_before__lt=until)
    Connection.objects.filter(shorter, pk=connection.pk).update(not_before=until)


def _summary(result: Any) -> dict[str, Any]:
    """Say what came back without copying business data into the log: which records, in which version."""
    if isinstance(result, tuple):
        records, written = result
        return _summary(written if written is not None else records)
    if isinstance(result, Written):
        return {"version": result.version, "result": result.result}
    if isinstance(result, Health):
        return {"ok": result.ok, "tried": list(result.tried), "message": result.message}
    if isinstance(result, list):
        named = [f"{item.entity} {item.key}" for item in result if isinstance(item, Record)]
        return {"count": len(result), "records": named[:20]} if named else {"count": len(result)}
    return {"found": False} if result is None else {}
