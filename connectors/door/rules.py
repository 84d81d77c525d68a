"""The order in which a use is held against our own rules, and what follows once it is over.

Kill switch → allow-list → data class and labels → budget → rate and pauses of the credential → circuit breaker. What a
later rule refuses, an earlier one gives back: all of it is one transaction, and with nothing configured none at all.
"""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from django.db import transaction
from django.db.models import Q

from audit.clock import db_now
from connectors import registry
from connectors.base import Blocked, Connector, ConnectorError, Unanswered
from connectors.door import breaker, budgets, pacing, standing
from connectors.door.purposes import Purpose
from connectors.models import Connection, EmergencyStop
from connectors.wire import modelhosts
from connectors.wire.payloads import storable_text

_FRESH = """
SELECT {columns},
    EXISTS (SELECT 1 FROM connectors_budget b
        WHERE b.connection_id = c.id OR (b.team <> '' AND b.team = c.team)) budgeted,
    EXISTS (SELECT 1 FROM connectors_emergencystop s
        WHERE s.ended_at IS NULL AND (s.connection_id IS NULL OR s.connection_id = c.id)) stopped,
    EXISTS (SELECT 1 FROM connectors_gate g
        WHERE g.id = c.gate_id AND (g.failures > 0 OR g.opened_at IS NOT NULL)) unwell
FROM connectors_connection c WHERE c.id = %s
"""


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
    """Return the connection as it is now, and whether a stop, a budget or an unwell gate may concern it.

    One statement, written out: the ORM takes three times as long to put it together, on the way of every call.
    Raises ``Connection.DoesNotExist``.
    """
    found = next(iter(Connection.objects.raw(_fresh_sql(), [key])), None)
    if found is None:
        raise Connection.DoesNotExist(f"There is no connection {key} any more.")
    return found


@cache
def _fresh_sql() -> str:
    columns = ", ".join(f'c."{field.column}"' for field in Connection._meta.concrete_fields)
    return _FRESH.format(columns=columns)


def _told(connection: Connection, what: str) -> bool:
    """Return what ``fresh`` found out; of a connection that came another way everything may be so."""
    return bool(getattr(connection, what, True))


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
    if asked.direction not in ("write", "tell", "read") or not _told(connection, "stopped"):
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


def admit(asked: Asked, connection: Connection, connector: Connector, tokens: int) -> Passed:
    """Hold a use against budget, pauses, rate and breaker, in this order. Raises ``Blocked``.

    Inside the caller's transaction, which must end with what is raised: it gives back what was taken before.
    """
    limited = connection.rate_calls is not None or connection.rate_seconds is not None
    gated = limited or connection.gate_id is None or _told(connection, "unwell")
    budgeted = _told(connection, "budgeted")
    if not (gated or budgeted):
        if asked.direction != "check":
            rested(connection)
        return Passed()
    found, taken = standing.look(connection), budgets.Taken()
    if budgeted:
        forced = asked.purpose is not Purpose.NEW
        taken = budgets.take(connection, found, tokens=tokens, forced=forced, actor=asked.actor)
    if found.gate is not None:
        connection.gate = found.gate
    gate = pacing.gate_of(connection, connector) if gated else None
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
        _rested(connection, db_now())


def _rested(connection: Connection, now: datetime) -> None:
    left = (connection.not_before - now).total_seconds() if connection.not_before else 0.0
    if left > 0:
        raise Blocked(f"{connection.slug} asked to wait; {left:.0f} s are left.", code="not_before", retry_after=left)


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
    matters = breaker.is_failure(error) or _told(connection, "unwell")
    if matters and not isinstance(error, Blocked) and connection.gate:
        with transaction.atomic():
            breaker.settle(connection, connection.gate, error, actor=asked.actor)
