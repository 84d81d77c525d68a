"""The circuit breaker of one credential: a system that does not answer is left in peace, and tried now and then.

A failure is a use to which no whole answer came: refused connection, timeout, broken line, 5xx. An answer that says
no (400, 403, 404, 409, 412, 422, 429, a lock) shows that the system is there, and closes the breaker. One success too.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, Q

from audit.actions import record
from audit.clock import db_now
from connectors.base import Blocked, ConnectorError, Unanswered, Unreachable
from connectors.door.models import Gate
from connectors.models import Call, Connection

# At most two tries in a minute, whoever makes them.
PROBE_SECONDS = 30.0
# The share of failures is taken of so many calls.
LOOKED_AT = 20
_FAILED = ("unreachable", "unanswered")
_UNCOUNTED = ("blocked", "open", "failed")


def admit(connection: Connection, gate: Gate, now: datetime) -> None:
    """Let a use through while the breaker is closed, and one in 30 seconds while it is open. Raises ``Blocked``."""
    if gate.opened_at is None:
        return
    last = now - timedelta(seconds=PROBE_SECONDS)
    # A try that lies ahead was noted before the database's clock was set back: nobody waits until it comes round again.
    ahead = Q(probed_at__gt=now + timedelta(seconds=2 * PROBE_SECONDS))
    rested = Q(probed_at=None) | Q(probed_at__lte=last) | ahead
    if Gate.objects.filter(rested, pk=gate.pk, opened_at__isnull=False).update(probed_at=now):
        return
    probed = Gate.objects.values_list("probed_at", flat=True).get(pk=gate.pk)
    if probed is None:
        # Somebody else's try has just closed it.
        return
    left = max((probed - last).total_seconds(), 1.0)
    raise Blocked(
        f"{connection.slug} has not answered {gate.failures} times in a row and is tried twice a minute; the next try"
        f" is in {left:.0f} s. Check that the system is up.",
        code="breaker",
        retry_after=left,
    )


def is_failure(error: ConnectorError | None) -> bool:
    """Tell whether nothing whole came back: what our own rules refused was never sent."""
    return isinstance(error, Unreachable | Unanswered) and not isinstance(error, Blocked)


def settle(connection: Connection, gate: Gate, error: ConnectorError | None, *, actor: str) -> None:
    """Count what a use came to; opens or closes the breaker. Inside the caller's transaction."""
    if is_failure(error):
        _failed(connection, gate, error, actor)
    elif gate.failures or gate.opened_at is not None:
        _answered(connection, gate, actor)


def _failed(connection: Connection, gate: Gate, error: ConnectorError | None, actor: str) -> None:
    Gate.objects.filter(pk=gate.pk).update(failures=F("failures") + 1)
    if gate.opened_at is not None:
        return
    fresh = Gate.objects.get(pk=gate.pk)
    most = settings.BREAKER_FAILURES
    many = bool(most) and fresh.failures >= most
    if not (many or _shares(fresh)):
        return
    now = db_now()
    if Gate.objects.filter(pk=gate.pk, opened_at=None).update(opened_at=now, probed_at=now):
        data = {"name": connection.slug, "failures": fresh.failures}
        record("breaker.opened", actor=actor, target=connection, reason=str(error)[:2000], data=data)


def _shares(gate: Gate) -> bool:
    """Tell whether too large a share of the latest calls failed, the one that has just been closed among them."""
    if not settings.BREAKER_SHARE:
        return False
    rows = Call.objects.filter(connection__gate=gate).exclude(outcome__in=_UNCOUNTED).order_by("-id")
    latest = list(rows.values_list("outcome", flat=True)[:LOOKED_AT])
    failed = sum(outcome in _FAILED for outcome in latest)
    return len(latest) == LOOKED_AT and failed * 100 >= settings.BREAKER_SHARE * LOOKED_AT


def _answered(connection: Connection, gate: Gate, actor: str) -> None:
    rows = Gate.objects.filter(pk=gate.pk)
    closed = rows.filter(opened_at__isnull=False).update(failures=0, opened_at=None, probed_at=None)
    if closed:
        since = gate.opened_at.isoformat() if gate.opened_at else ""
        record("breaker.closed", actor=actor, target=connection, data={"name": connection.slug, "open_since": since})
    else:
        rows.update(failures=0)
