"""The pace of one credential: so many calls in so many seconds, and the pauses that a system asked for.

Both hold for every worker and for every connection that signs in as the same account of the same system.
"""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.db import connection as database
from django.db.models import Max, Q
from django.utils.crypto import salted_hmac

from connectors.base import Blocked, Connector
from connectors.door.at_once import NEVER, Place
from connectors.door.models import Gate
from connectors.models import Connection

_SALT = "goldseam.gate"


def gate_of(connection: Connection, connector: Connector) -> Gate:
    """Return the gate of the connection's credential; the first call of a connection finds or makes it.

    What a system has asked another connection of the same account to wait, this one waits too.
    """
    if connection.gate is not None:
        return connection.gate
    key = salted_hmac(_SALT, "\x00".join(connector.credential()), algorithm="sha256").hexdigest()
    try:
        with transaction.atomic():
            gate, _ = Gate.objects.get_or_create(key=key)
    except IntegrityError:
        gate = Gate.objects.get(key=key)
    mine = Connection.objects.filter(pk=connection.pk)
    mine.update(gate=gate)
    shared = Connection.objects.filter(gate=gate).aggregate(until=Max("not_before"))["until"]
    if shared is not None and (connection.not_before is None or connection.not_before < shared):
        connection.not_before = shared
        # A longer pause, which another worker has met meanwhile, stays.
        mine.filter(Q(not_before=None) | Q(not_before__lt=shared)).update(not_before=shared)
    connection.gate = gate
    return gate


def spacing(calls: int, seconds: int) -> tuple[int, int]:
    """Return how many microseconds lie between two calls, and by how many a burst may run ahead.

    With ``burst`` calls at once and one more each ``spacing``, no stretch of ``seconds`` ever holds more than
    ``calls``: burst − 1 + seconds / spacing = calls.
    """
    burst = max(1, calls // 10)
    step = -(-seconds * 1_000_000 // (calls - burst + 1))
    return step, (burst - 1) * step


def admit(connection: Connection, gate: Gate, now: datetime) -> None:
    """Take the next place of the connection's rate, where it has one. Raises ``Blocked`` with the seconds to wait."""
    if not connection.rate_calls or not connection.rate_seconds:
        if connection.rate_calls is not None or connection.rate_seconds is not None:
            message = f"The rate of {connection.slug} is half set: enter both calls and seconds, or neither."
            raise Blocked(message, code="rate", retry_after=60.0)
        return
    step, ahead = spacing(connection.rate_calls, connection.rate_seconds)
    moment = _microseconds(now)
    if _move(gate, moment, step, limit=moment + ahead):
        return
    free = Gate.objects.values_list("free_at", flat=True).get(pk=gate.pk)
    left = max((free - ahead - moment) / 1_000_000, 0.001)
    said = f"{connection.rate_calls} calls in {connection.rate_seconds} s"
    raise Blocked(f"{connection.slug} is at its rate of {said}; {left:.1f} s are left.", code="rate", retry_after=left)


def foresee(connection: Connection, gate: Gate, now: datetime) -> Place | None:
    """Return the place that ``admit`` would take; ``None`` where it would refuse a rate that is half set."""
    if not connection.rate_calls or not connection.rate_seconds:
        return None
    step, ahead = spacing(connection.rate_calls, connection.rate_seconds)
    moment = _microseconds(now)
    return Place(gate.pk, moment, step, moment + ahead)


def further(connection: Connection, more: int) -> int:
    """Return by how many microseconds ``charge`` would move the next free place."""
    if more <= 0 or not connection.rate_calls or not connection.rate_seconds:
        return 0
    return more * spacing(connection.rate_calls, connection.rate_seconds)[0]


def charge(connection: Connection, gate: Gate, more: int, now: datetime) -> None:
    """Take places for the further requests of a call that needed several; nothing is refused by that."""
    if step := further(connection, more):
        _move(gate, _microseconds(now), step)


def _move(gate: Gate, moment: int, step: int, limit: int | None = None) -> bool:
    """Move the next free place on, where it lies not behind ``limit``. Written out: on the way of every paced call."""
    later = "CASE WHEN free_at > %s THEN free_at ELSE %s END + %s"
    statement = f"UPDATE connectors_gate SET free_at = {later} WHERE id = %s AND free_at <= %s"  # noqa: S608
    with database.cursor() as cursor:
        cursor.execute(statement, [moment, moment, step, gate.pk, NEVER if limit is None else limit])
        return bool(cursor.rowcount)


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
