"""The one door to other systems. Every use passes here and leaves a ``Call`` row.

1. Our own rules first, in the order of ``connectors.door``: kill switch, allow-list (and valid arguments, and a
   write's effect key), data class, budget, rate and pauses, circuit breaker.
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
from connectors import door, notices, queries, registry
from connectors.base import (
    Arguments,
    Blocked,
    Connector,
    ConnectorError,
    FreeQuery,
    Health,
    Inbound,
    Operation,
    RateLimited,
    Read,
    Record,
    Trace,
    Unanswered,
    Unauthorized,
    Write,
    Written,
)
from connectors.comparison import same
from connectors.models import Call, Connection
from connectors.payloads import storable_text
from connectors.purposes import Purpose
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
    purpose: Purpose = Purpose.NEW

    @property
    def asked(self) -> door.Asked:
        """What the door's rules go by."""
        return door.Asked(self.operation, self.direction, self.actor, self.purpose)


def call(
    connection: Connection,
    operation: str,
    arguments: Mapping[str, Any],
    *,
    actor: str,
    incident: int | None = None,
    effect_key: str = "",
    version: str = "",
    purpose: Purpose = Purpose.NEW,
) -> Answer:
    """Use one operation of a connection and return its answer.

    A write needs ``effect_key`` (at most 64 letters) and is refused by the target where the record's version is no
    longer ``version`` (blank: no check). One that takes an effect back (``purpose``) asks no budget. Raises only
    ``ConnectorError``; our own refusals are ``Blocked``. Must not be called inside a transaction (``RuntimeError``):
    rows would stay locked while the network is waited for.
    """
    declared = registry.operation_of(connection, operation)
    direction = "write" if isinstance(declared, Write) else "read"
    use = _Use(connection, operation, direction, actor, incident, effect_key, purpose)

    def act(connector: Connector, found: Operation, valid: Arguments) -> tuple[list[Record], Written | None]:
        if isinstance(found, Write):
            return [], connector.write(found, valid, effect_key=effect_key, version=version)
        return connector.read(found, valid), None

    (records, written), row = _through(use, arguments, act)
    return Answer(records, written, row)


def observe(
    connection: Connection,
    operation: str,
    arguments: Mapping[str, Any],
    *,
    actor: str,
    incident: int | None = None,
    purpose: Purpose = Purpose.NEW,
) -> list[Record]:
    """Read afresh the records that a write touches, the one it writes first. Raises ``ConnectorError``.

    A read-back of what was sent (``purpose``) goes on where a budget is spent or a data class was changed since.
    """

    def act(connector: Connector, found: Operation, valid: Arguments) -> list[Record]:
        return _write_only(found).observe(connector, valid)

    use = _Use(connection, operation, "observe", actor, incident, purpose=purpose)
    return _through(use, arguments, act)[0]


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

    use = _Use(connection, operation, "find", actor, incident, effect_key, Purpose.SETTLE)
    return _through(use, arguments, act)[0]


def check(connection: Connection, *, actor: str) -> Health:
    """Try a connection without changing anything; never raises because of the other system."""
    try:
        return _recorded(_Use(connection, "check", "check", actor), {}, lambda connector: connector.check())[0]
    except ConnectorError as error:
        tried = (f"{connection.label or connection.slug}: sign in and read",)
        return Health(ok=False, tried=tried, message=str(error))


def poll(connection: Connection, since: datetime | None, *, actor: str) -> tuple[list[Inbound], dict[str, Any]]:
    """Ask a connection for news since ``since``; return them and where the next poll begins. Raises ``ConnectorError``.

    What begins there is only to be kept once the news are: until then the same are told again.
    """
    asked: list[Connector] = []

    def act(connector: Connector) -> list[Inbound]:
        asked.append(connector)
        return connector.poll(since)

    told = _recorded(_Use(connection, "poll", "poll", actor), {}, act)[0]
    return told, asked[0].bookmarks


def complete(connection: Connection, payload: dict[str, Any], *, actor: str) -> dict[str, Any]:
    """Return what a system told, with what it left out read from it. Raises ``ConnectorError``."""
    kind = registry.KINDS.get(connection.kind)
    if kind is None or not kind.lacks(payload):
        return payload
    return _recorded(_Use(connection, "complete", "poll", actor), {}, lambda connector: connector.complete(payload))[0]


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
    fresh = door.fresh(use.connection.pk)
    try:
        connector = registry.connector_for(fresh)
    except ConnectorError as error:
        _close_failed(_open(use, _logged(use, None, arguments)), use, None, error)
        raise
    redactor = connector.redactor()
    refusal: ConnectorError | None = None
    passed = door.Passed()
    try:
        passed = _allowed(use, fresh, connector, arguments)
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
        if refusal is None:
            door.settle(use.asked, fresh, connector, passed, error)
        raise
    except BaseException as error:
        # A fault of ours: the row must say so, and the error must rise.
        said = storable_text(redactor.text(f"{type(error).__name__}: {error}"))
        _finish(row, connector, outcome="failed", message=said[:2000])
        raise
    _finish(row, connector, outcome="ok", answer=redactor.data(_summary(result)))
    door.settle(use.asked, fresh, connector, passed, None)
    return result, row


def _allowed(use: _Use, connection: Connection, connector: Connector, arguments: Mapping[str, Any]) -> door.Passed:
    """Hold a use against our own rules, in the door's order. Raises ``Blocked``."""
    if not connection.enabled and use.direction != "check":
        raise Blocked(f"The connection {connection.slug} is disabled.", code="disabled")
    door.halt(use.asked, connection)
    tokens = 0
    if use.direction not in ("check", "poll"):
        operation = connector.operation(use.operation)
        if operation is None:
            raise Blocked(f"{connector.label} has no operation “{use.operation}”.", code="operation")
        tokens = connector.tokens_expected(operation, _validated(operation, arguments))
        if refused := _unasked(type(connector), connector.settings, operation, arguments):
            raise Blocked(f"{connection.slug}: {refused}", code="entity")
    door.may_read(use.asked, connection)
    if use.direction == "write":
        _may_write(use, connection)
    return door.admit(use.asked, connection, connector, arguments, tokens)


def _unasked(kind: type[Connector], settings: Any, operation: Operation, arguments: Mapping[str, Any]) -> str:
    """Say which entity of a free query the connection does not let it read; blank: it may."""
    if not (isinstance(operation, Read) and operation.query_language):
        return ""
    query = operation.arguments.model_validate(dict(arguments))
    if not isinstance(query, FreeQuery) or not (names := queries.strange(kind, settings, query)):
        return ""
    known = ", ".join(sorted(kind.queryable(settings))) or "none"
    return (
        f"saved queries may not read {', '.join(names)[:200]}. They may read {known[:600]}. Whoever configures the"
        " connection can name more."
    )


def faults(connection: Connection, operation: Read, arguments: Mapping[str, Any]) -> dict[str, list[str]]:
    """Say, by the name of each argument, why a read would not be sent; empty: it would be. Nothing is sent."""
    try:
        operation.arguments.model_validate(dict(arguments))
        kind = registry.kind_of(connection)
        settings = kind.config.model_validate(connection.config)
    except ValidationError as invalid:
        found: dict[str, list[str]] = {}
        for error in invalid.errors(include_url=False):
            message = str(error["msg"]).removeprefix("Value error, ")
            found.setdefault(str(error["loc"][0]) if error["loc"] else "arguments", []).append(message)
        return found
    refused = _unasked(kind, settings, operation, arguments)
    name = "entity" if "entity" in operation.arguments.model_fields else "query"
    return {name: [f"In {connection.slug} {refused}"]} if refused else {}


def _may_write(use: _Use, connection: Connection) -> None:
    if use.operation not in connection.operations:
        raise Blocked(f"{use.operation} is not among the operations that {connection.slug} may do.", code="operation")
    key = use.effect_key
    if not key or len(key) > 64 or not key.isascii() or not key.isprintable():
        raise Blocked("A write needs an effect key of at most 64 letters.", code="effect_key")


def _validated(operation: Operation, arguments: Mapping[str, Any]) -> Arguments:
    try:
        return operation.arguments.model_validate(dict(arguments))
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
