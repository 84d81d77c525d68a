"""The order in which a use is held against our own rules, and what follows once it is over.

Kill switch → allow-list → data class and labels → budget → rate and pauses of the credential → circuit breaker. What a
later rule refuses, an earlier one gives back: all of it is one transaction. Where as things stand every rule says yes,
it is taken all at once (``foresee``, ``connectors.door.at_once``), and that statement takes nothing where one says no.
"""

from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from audit.clock import db_now
from connectors import registry
from connectors.base import Blocked, Connector, ConnectorError, Unanswered
from connectors.door import breaker, budgets, pacing, standing
from connectors.door.at_once import Leaving, Taking
from connectors.door.purposes import Purpose
from connectors.models import Connection, EmergencyStop
from connectors.wire import modelhosts
from connectors.wire.payloads import storable_text


@dataclass(frozen=True)
class Asked:
    """What is asked of the door."""

    operation: str
    direction: str
    actor: str
    purpose: Purpose = Purpose.NEW


@dataclass(frozen=True)
class Passed:
    """What a use took on its way in, to be set right on its way out."""

    taken: budgets.Taken = field(default_factory=budgets.Taken)


def fresh(key: int) -> Connection:
    """Return the connection as it is now, and with it how things stand. Raises ``Connection.DoesNotExist``."""
    found = standing.fresh(key)
    if found is None:
        raise Connection.DoesNotExist(f"There is no connection {key} any more.")
    return found


def halt(asked: Asked, connection: Connection) -> None:
    """Raise ``Blocked`` where the kill switch of everything, of the connection or of the operation is thrown.

    The first two stop writing; reads go on, so that what is under way can be followed to its end. One that names an
    operation stops that, whatever it is; what became of an effect may still be looked up. A model is asked only where
    the installation lets models be asked, a test of the connection included.
    """
    kind = registry.KINDS.get(connection.kind)
    is_model = kind is not None and kind.reads_as == "model"
    if is_model and (said := modelhosts.objection(connection.slug, connection.config)):
        raise Blocked(said, code="class")
    if asked.direction not in ("write", "tell", "read") or not standing.look(connection).stopped:
        return
    every = Q(operation="") if asked.direction in ("write", "tell") else Q(pk=None)
    named = Q(operation=storable_text(asked.operation)) | every
    where = Q(connection=None) | Q(connection=connection)
    stop = EmergencyStop.objects.filter(named, where, ended_at=None).order_by("started_at").first()
    if stop is not None:
        raise Blocked(f"Emergency stop by {stop.actor}: {stop.reason}", code="stopped")


def may_read(asked: Asked, connection: Connection) -> None:
    """Raise ``Blocked`` where a read is not on the connection's list; an empty list names every read."""
    if asked.direction == "read" and connection.reads and asked.operation not in connection.reads:
        raise Blocked(
            f"{asked.operation} is not among the reads that {connection.slug} may be asked.", code="operation"
        )


def foresee(asked: Asked, connection: Connection, tokens: int) -> tuple[Taking, Passed] | None:
    """Return what ``admit`` would take, where as things stand no rule speaks against it; ``None``: ask ``admit``.

    The statement that takes it finds out whether things have changed.
    """
    found, paced = standing.look(connection), asked.direction != "check"
    if paced and _left(connection, found.now) > 0:
        return None
    draws = budgets.foresee(connection, found, tokens=tokens, forced=asked.purpose is not Purpose.NEW)
    if draws is None:
        return None
    place = None
    if _gated(connection, found):
        if found.gate is None or found.gate.opened_at is not None:
            return None
        if paced and _limited(connection):
            place = pacing.foresee(connection, found.gate, found.now)
            if place is None:
                return None
    return Taking(draws, place), Passed(budgets.Taken(tuple(draw.row for draw in draws), tokens if draws else 0))


def _limited(connection: Connection) -> bool:
    return connection.rate_calls is not None or connection.rate_seconds is not None


def _gated(connection: Connection, found: standing.Standing) -> bool:
    """Tell whether a use has to pass its credential's gate. The first one of a connection finds or makes it."""
    return _limited(connection) or connection.gate_id is None or found.unwell


def admit(asked: Asked, connection: Connection, connector: Connector, tokens: int) -> Passed:
    """Hold a use against budget, pauses, rate and breaker, in this order. Raises ``Blocked``.

    Inside the caller's transaction, which must end with what is raised: it gives back what was taken before.
    """
    found, taken = standing.look_again(connection), budgets.Taken()
    if found.budgets:
        forced = asked.purpose is not Purpose.NEW
        taken = budgets.take(connection, found, tokens=tokens, forced=forced, actor=asked.actor)
    gate = pacing.gate_of(connection, connector) if _gated(connection, found) else None
    if asked.direction != "check":
        _rested(connection, found.now)
        if gate is not None:
            pacing.admit(connection, gate, found.now)
    if gate is not None:
        breaker.admit(connection, gate, found.now)
    return Passed(taken)


def rested(connection: Connection) -> None:
    """Raise ``Blocked`` while the pause lasts that the target asked for."""
    if connection.not_before is not None:
        _rested(connection, standing.look(connection).now)


def _left(connection: Connection, now: datetime) -> float:
    return (connection.not_before - now).total_seconds() if connection.not_before else 0.0


def _rested(connection: Connection, now: datetime) -> None:
    left = _left(connection, now)
    if left > 0:
        raise Blocked(f"{connection.slug} asked to wait; {left:.0f} s are left.", code="not_before", retry_after=left)


def leaving(connection: Connection, connector: Connector) -> Leaving | None:
    """Return what the gate of a use that was answered is told together with the end of its row."""
    if connection.gate_id is None:
        return None
    more = pacing.further(connection, connector.trace.requests - 1)
    unwell = standing.look(connection).unwell
    return Leaving(connection.gate_id, more, unwell) if more or unwell else None


def answered(asked: Asked, connection: Connection, connector: Connector, passed: Passed, *, is_open: bool) -> None:
    """Set right what was taken by a use that was answered, and close the breaker where its gate ``is_open``."""
    budgets.settle(passed.taken, connection, connector.trace.tokens)
    if is_open and connection.gate and standing.look(connection).unwell:
        with transaction.atomic():
            breaker.settle(connection, connection.gate, None, actor=asked.actor)


def settle(
    asked: Asked, connection: Connection, connector: Connector, passed: Passed, error: ConnectorError | None
) -> None:
    """Set right what was taken, charge what a call needed beyond one request, and tell the breaker how it went."""
    trace = connector.trace
    unknown = isinstance(error, Unanswered) and not trace.tokens
    # Where no answer came the other side may still have charged for it: what was foreseen counts.
    budgets.settle(passed.taken, connection, passed.taken.tokens if unknown else trace.tokens)
    if connection.gate_id is None:
        return
    if trace.requests > 1 and connection.rate_calls and connection.gate:
        pacing.charge(connection, connection.gate, trace.requests - 1, db_now())
    matters = breaker.is_failure(error) or standing.look(connection).unwell
    if matters and not isinstance(error, Blocked) and connection.gate:
        with transaction.atomic():
            breaker.settle(connection, connection.gate, error, actor=asked.actor)
