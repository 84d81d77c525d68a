"""The one door to other systems. Every use passes here and leaves a ``Call`` row.

1. Our own rules first, in the order of ``connectors.door``: kill switch, allow-list (and valid arguments, and a
   write's effect key), data class, budget, rate and pauses, circuit breaker.
2. The ``Call`` row is committed before the socket opens: a process that dies in between leaves its trace.
3. The row is closed in a second short transaction. No transaction is ever open while the network is waited for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from django.db import transaction
from pydantic import ValidationError

from connectors import registry, texts
from connectors.base import (
    Arguments,
    Blocked,
    Connector,
    ConnectorError,
    Health,
    Inbound,
    Operation,
    Read,
    Record,
    Tell,
    Trace,
    Write,
    Written,
)
from connectors.door import calls, classes, entering
from connectors.door import rules as door
from connectors.door.purposes import Purpose
from connectors.freely import FreeQuery
from connectors.kit import fetching, queries
from connectors.kit.comparison import same
from connectors.kit.discovering import Discovers
from connectors.models import Call, Connection
from connectors.redaction import Redactor
from connectors.transport import Http
from connectors.wire.payloads import storable_text

Result = TypeVar("Result")


@dataclass(frozen=True)
class Answer:
    """What a call came to: the records of a read, or what the target said of a write, and the row in the log."""

    records: list[Record]
    written: Written | None
    call: Call


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

    A write and a message need ``effect_key`` (at most 64 letters). A write is refused by the target where the record's
    version is no longer ``version`` (blank: no check); one that takes an effect back (``purpose``) asks no budget.
    Raises only ``ConnectorError``; our own refusals are ``Blocked``. Must not be called inside a transaction
    (``RuntimeError``): rows would stay locked while the network is waited for.
    """
    direction = _direction(registry.operation_of(connection, operation))
    use = calls.Use(connection, operation, direction, actor, incident, effect_key, purpose)

    def act(connector: Connector, found: Operation, valid: Arguments) -> tuple[list[Record], Written | None]:
        if isinstance(found, Write):
            return [], connector.write(found, valid, effect_key=effect_key, version=version)
        if isinstance(found, Tell):
            return [], connector.tell(found, valid, key=effect_key)
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

    use = calls.Use(connection, operation, "observe", actor, incident, purpose=purpose)
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

    use = calls.Use(connection, operation, "find", actor, incident, effect_key, Purpose.SETTLE)
    return _through(use, arguments, act)[0]


def check(connection: Connection, *, actor: str) -> Health:
    """Try a connection without changing anything; never raises because of the other system."""
    try:
        return _recorded(calls.Use(connection, "check", "check", actor), {}, _tried)[0]
    except ConnectorError as error:
        tried = (f"{connection.label or connection.slug}: sign in and read",)
        return Health(ok=False, tried=tried, message=str(error))


def _tried(connector: Connector, _: calls.Valid | None) -> Health:
    health = connector.check()
    return replace(health, message=connector.redactor().text(health.message))


def fetch(url: str, *, actor: str, connection: Connection | None = None) -> str:
    """Return the text at an address that a person entered and asked for: no secret goes out, nothing is followed.

    Of a saved connection a Call row is kept. Raises ``ConnectorError`` saying what to do instead.
    """
    use = calls.Use(connection, "document", "check", actor) if connection is not None else None
    row = _opened(use, {"address": Redactor().text(url)}) if use is not None else None
    http = Http("", Trace())
    try:
        text = fetching.fetched(http, url)
    except ConnectorError as error:
        calls.told(error, Redactor())
        if use is not None and row is not None:
            calls.close_failed(row, use, None, error)
        raise
    if row is not None:
        told = {"bytes": len(text.encode()), "document": texts.reference_to(text)}
        calls.finish(row, None, outcome="ok", status=http.trace.status, requests=http.trace.requests, answer=told)
    return text


def discover(connection: Connection, *, actor: str) -> list[str]:
    """Ask a system which entities it offers. Raises ``ConnectorError``; ``Blocked`` where its kind cannot ask."""

    def act(connector: Connector, _: calls.Valid | None) -> list[str]:
        if not isinstance(connector, Discovers):
            raise Blocked(f"{connector.label} tells nothing of its entities.", code="operation")
        return connector.entities()

    return _recorded(calls.Use(connection, "discover", "check", actor), {}, act)[0]


def poll(connection: Connection, since: datetime | None, *, actor: str) -> tuple[list[Inbound], dict[str, Any]]:
    """Ask a connection for news since ``since``; return them and where the next poll begins. Raises ``ConnectorError``.

    What begins there is only to be kept once the news are: until then the same are told again.
    """
    asked: list[Connector] = []

    def act(connector: Connector, _: calls.Valid | None) -> list[Inbound]:
        asked.append(connector)
        return connector.poll(since)

    told = _recorded(calls.Use(connection, "poll", "poll", actor), {}, act)[0]
    return told, asked[0].bookmarks


def complete(connection: Connection, payload: dict[str, Any], *, actor: str) -> dict[str, Any]:
    """Return what a system told, with what it left out read from it. Raises ``ConnectorError``."""
    kind = registry.KINDS.get(connection.kind)
    if kind is None or not kind.lacks(payload):
        return payload
    use = calls.Use(connection, "complete", "poll", actor)
    return _recorded(use, {}, lambda connector, _: connector.complete(payload))[0]


def _direction(operation: Operation | None) -> str:
    return "write" if isinstance(operation, Write) else "tell" if isinstance(operation, Tell) else "read"


def _write_only(operation: Operation) -> Write:
    if not isinstance(operation, Write):
        raise Blocked(f"{operation.name} changes nothing: there is no effect to look at.", code="operation")
    return operation


def _through(
    use: calls.Use, arguments: Mapping[str, Any], act: Callable[[Connector, Operation, Any], Result]
) -> tuple[Result, Call]:
    """Validate, then carry out ``act`` with an open Call row."""

    def with_operation(connector: Connector, valid: calls.Valid | None) -> Result:
        if valid is None:
            raise Blocked(f"{connector.label} has no operation “{use.operation}”.", code="operation")
        return act(connector, valid.operation, valid.arguments)

    return _recorded(use, arguments, with_operation)


def _recorded(
    use: calls.Use, arguments: Mapping[str, Any], act: Callable[[Connector, calls.Valid | None], Result]
) -> tuple[Result, Call]:
    """Do ``act`` between opening and closing the Call row; whatever fails is told without secrets."""
    fresh = door.fresh(use.connection.pk)
    try:
        connector = registry.connector_for(fresh)
    except ConnectorError as error:
        calls.close_failed(_opened(use, calls.logged(use, None, arguments)), use, None, error)
        raise
    entry = _admitted(use, fresh, connector, arguments)
    row = entry.row
    if use.direction == "write":
        connector.http.guard = lambda: _still_allowed(use)
    try:
        if entry.refusal is not None:
            raise entry.refusal
        result = act(connector, entry.valid)
    except ConnectorError as error:
        calls.told(error, connector.redactor())
        calls.close_failed(row, use, connector, error)
        if entry.refusal is None:
            door.settle(use.asked, fresh, connector, entry.passed, error)
        raise
    except BaseException as error:
        # A fault of ours: the row must say so, and the error must rise.
        said = storable_text(connector.redactor().text(f"{type(error).__name__}: {error}"))
        calls.finish(row, connector, outcome="failed", message=said[:2000])
        raise
    answer, leaving = connector.redactor().data(calls.summary(result)), door.leaving(fresh, connector)
    is_open = calls.finish(row, connector, outcome="ok", answer=answer, leaving=leaving)
    door.answered(use.asked, fresh, connector, entry.passed, is_open=is_open)
    return result, row


def _admitted(use: calls.Use, fresh: Connection, connector: Connector, arguments: Mapping[str, Any]) -> entering.Entry:
    """Let a use in and open its row, in one transaction; or say why not, in a row that outlives what was taken."""
    redactor = connector.redactor()
    kept: dict[str, Any] | None = None
    try:
        valid, tokens = _allowed(use, fresh, connector, arguments)
        kept = redactor.data(calls.logged(use, connector, arguments, valid))
        row, passed = entering.entered(use, fresh, connector, kept, tokens)
        return entering.Entry(row, passed, valid)
    except ConnectorError as error:
        if kept is None:
            kept = redactor.data(calls.logged(use, connector, arguments))
        return entering.Entry(_opened(use, kept), refusal=error)


def _opened(use: calls.Use, arguments: dict[str, Any]) -> Call:
    with transaction.atomic(durable=True):
        return calls.opened(use, arguments)


def _allowed(
    use: calls.Use, connection: Connection, connector: Connector, arguments: Mapping[str, Any]
) -> tuple[calls.Valid | None, int]:
    """Hold a use against the rules that count nothing, in the door's order.

    Returns the operation with its arguments, where the use is of one, and the tokens that it may cost. Raises
    ``Blocked``.
    """
    _unstopped(use, connection)
    valid, tokens = None, 0
    if use.direction not in ("check", "poll"):
        operation = connector.operation(use.operation)
        if operation is None:
            raise Blocked(f"{connector.label} has no operation “{use.operation}”.", code="operation")
        if use.direction in ("read", "write", "tell") and use.direction != _direction(operation):
            # What was asked for is by now something else: its own rules were never asked.
            raise Blocked(f"{use.operation} of {connection.slug} has been changed; ask again.", code="operation")
        valid = calls.Valid(operation, _validated(operation, arguments))
        tokens = connector.tokens_expected(operation, valid.arguments)
        if refused := _unasked(type(connector), connector.settings, operation, valid.arguments):
            raise Blocked(f"{connection.slug}: {refused}", code="entity")
    door.may_read(use.asked, connection)
    if use.direction in ("write", "tell"):
        _may_change(use, connection)
    classes.admit(connection, use.direction, arguments, use.purpose)
    return valid, tokens


def _unstopped(use: calls.Use, connection: Connection) -> None:
    if not connection.enabled and use.direction != "check":
        raise Blocked(f"The connection {connection.slug} is disabled.", code="disabled")
    door.halt(use.asked, connection)


def _still_allowed(use: calls.Use) -> None:
    """Hold a write once more against what somebody may have changed since it was let in. Raises ``Blocked``."""
    now = door.fresh(use.connection.pk)
    _unstopped(use, now)
    _may_change(use, now)
    door.rested(now)


def _unasked(kind: type[Connector], settings: Any, operation: Operation, query: Arguments) -> str:
    """Say which entity of a free query the connection does not let it read; blank: it may."""
    if not (isinstance(operation, Read) and operation.query_language):
        return ""
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
        query = operation.arguments.model_validate(dict(arguments))
        kind, settings = registry.kind_of(connection), registry.settings_of(connection)
    except ValidationError as invalid:
        found: dict[str, list[str]] = {}
        for error in invalid.errors(include_url=False):
            message = str(error["msg"]).removeprefix("Value error, ")
            found.setdefault(str(error["loc"][0]) if error["loc"] else "arguments", []).append(message)
        return found
    refused = _unasked(kind, settings, operation, query)
    name = "entity" if "entity" in operation.arguments.model_fields else "query"
    return {name: [f"In {connection.slug} {refused}"]} if refused else {}


def _may_change(use: calls.Use, connection: Connection) -> None:
    if use.operation not in connection.operations:
        raise Blocked(f"{use.operation} is not among the operations that {connection.slug} may do.", code="operation")
    key = use.effect_key
    if not key or len(key) > 64 or not key.isascii() or not key.isprintable():
        raise Blocked(f"A {use.direction} needs an effect key of at most 64 letters.", code="effect_key")


def _validated(operation: Operation, arguments: Mapping[str, Any]) -> Arguments:
    try:
        return operation.arguments.model_validate(dict(arguments))
    except ValidationError as invalid:
        faults = [f"{'.'.join(map(str, error['loc'])) or 'arguments'}: {error['msg']}" for error in invalid.errors()]
        raise Blocked(f"{operation.name}: {'; '.join(faults)}"[:1000], code="arguments") from None
