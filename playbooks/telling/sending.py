"""Send what is due: claimed by one worker, through the door, in the order in which it happened to each incident.

1. Claim the row for a lease's time by compare and swap; ``claims`` is the fence of everything that follows.
2. Fix the message, before it is first sent: whoever dies between sending and saving leaves the same one, under the
   same id, to whoever takes the row over, and a receiver can drop the second.
3. Send it, and write down what came of it. What our own rules hold up costs no attempt.
"""

import logging
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Now

from audit.clock import db_now
from audit.errors import LostRace
from connectors import gateway
from connectors.base import Blocked, ConnectorError, Refused, Unauthorized
from connectors.door import retry
from connectors.talk.messages import THREAD
from connectors.wire.payloads import storable_text
from incidents import tickets
from incidents.states import Status
from playbooks.telling import actions, audience, content
from playbooks.telling.content import Happened
from playbooks.telling.models import Outgoing
from playbooks.telling.reading import ACTOR
from playbooks.telling.states import Event, OutState

logger = logging.getLogger(__name__)
BATCH = 200
SIZING_SECONDS = 120.0  # an incident that is not sized up by then is told of as it stands
GONE = "gone"  # the code of a receiver that wants nothing more
# Refusals of our own door that a person ends: nothing was sent and nothing is wrong with the message.
_HELD_UP = frozenset({"stopped", "disabled"})
# Which tickets an incident belongs to may stand in records that the loop has not read yet.
_UNREAD = frozenset({Status.NEW, Status.TRIAGED})


def due(limit: int = BATCH) -> list[int]:
    """Return the messages that may be sent now, the longest due first."""
    return list(_ready().order_by("due_at", "pk").values_list("pk", flat=True)[:limit])


def send(outgoing_id: int) -> str:
    """Send one message and return its state; "" where it is not due, or another worker has it."""
    row = _claim(outgoing_id)
    if row is None:
        return ""
    try:
        return _send(row)
    except LostRace:
        logger.info("outgoing message %s: another worker has taken over", outgoing_id)
    except ConnectorError as error:
        return _failed(row, error)
    except (OperationalError, InterfaceError):
        raise  # the database was in the way: nothing is wrong with the message, and its lease ends by itself
    except Exception as fault:
        logger.exception("outgoing message %s could not be made", outgoing_id)
        return _failed(row, Refused(f"Goldseam itself failed: {type(fault).__name__}. See the log.", code="fault"))
    return ""


def following(outgoing_id: int) -> int | None:
    """Return the next message of the same incident to the same subscription, where it has waited for this one."""
    row = Outgoing.objects.get(pk=outgoing_id)
    rest = _ready().filter(subscription=row.subscription_id, incident=row.incident_id, entry__gt=row.entry)
    return rest.order_by("entry").values_list("pk", flat=True).first()


def _ready() -> QuerySet[Outgoing]:
    """Return what is due, of subscriptions that go on, and waits for no earlier message about its incident."""
    earlier = Outgoing.objects.filter(
        subscription=OuterRef("subscription"), incident=OuterRef("incident"),
        entry__lt=OuterRef("entry"), state=OutState.PENDING,
    )  # fmt: skip
    live = Outgoing.objects.filter(
        state=OutState.PENDING, due_at__lte=Now(), subscription__enabled=True, subscription__paused_at=None
    )
    return live.exclude(Exists(earlier))


def _claim(outgoing_id: int) -> Outgoing | None:
    """Take the message for a lease's time: of several workers the database lets one through."""
    row = _ready().select_related("subscription__connection", "subscription__as_user").filter(pk=outgoing_id).first()
    if row is None:
        return None
    until = db_now() + timedelta(seconds=settings.LEASE_SECONDS)
    # On its own columns alone: a condition on other rows would be judged by what they were before the race.
    mine = Outgoing.objects.filter(pk=row.pk, state=OutState.PENDING, claims=row.claims)
    if not mine.update(due_at=until, claims=F("claims") + 1):
        return None
    row.due_at, row.claims = until, row.claims + 1
    return row


def _write(row: Outgoing, **columns: Any) -> None:
    """Write while the message is still ours to send. Raises ``LostRace``."""
    mine = Outgoing.objects.filter(pk=row.pk, state=OutState.PENDING, claims=row.claims)
    if not mine.update(**columns):
        raise LostRace("Another worker has taken this message over.")
    row.__dict__.update(columns)


def _send(row: Outgoing) -> str:
    happened = content.gather(row)
    if _unsized(happened):
        return _later(row, settings.SWEEP_SECONDS, "Waits until the incident is sized up.")
    if not _meant(happened):
        # What was fixed may have been sent, so that its row stays; any other was only the question.
        return _skip(row, "The subscription was narrowed to others.") if row.message else _drop(row)
    if why := _unwanted(happened):
        return _skip(row, why)
    if not row.message:
        recipients, nobody = _recipients(happened)
        if nobody and happened.incident.status in _UNREAD and _waited(happened) < SIZING_SECONDS:
            return _later(row, settings.SWEEP_SECONDS, "Waits until the incident's records are read.")
        if nobody:
            return _skip(row, nobody)
        _write(row, message=content.compose(happened, recipients=recipients, thread=_thread_of(row)))
        # As it is kept, to the letter: a database may give the names of an object back in another order.
        row.refresh_from_db(fields=["message"])
    answer = gateway.call(
        row.subscription.connection, row.subscription.operation, row.message,
        actor=ACTOR, incident=row.incident_id, effect_key=row.effect_key,
    )  # fmt: skip
    told = answer.written.result if answer.written is not None else {}
    thread = storable_text(str(told.get(THREAD) or row.message.get("thread", "")))[:500]
    ended = {"sent_at": db_now(), "thread": thread, "call_id": answer.call.pk, "attempts": row.attempts + 1}
    _write(row, state=OutState.SENT, state_reason="", guidance="", **ended)
    return OutState.SENT


def _recipients(happened: Happened) -> tuple[tuple[str, ...], str]:
    """Return whom a message is addressed to, and where that is nobody although somebody is needed, why."""
    subscription, incident = happened.row.subscription, happened.incident
    if tickets.told_on(subscription.connection, subscription.operation):
        found = tickets.addresses(incident, subscription.connection)
        return found, "" if found else f"{incident} belongs to no ticket of {subscription.connection.slug}."
    found = audience.recipients_of(subscription, happened.event, happened.approval)
    asked = subscription.ask_approvers and happened.event is Event.ASKED
    return found, "Nobody who may decide this has a mail address." if asked and not found else ""


def _waited(happened: Happened) -> float:
    return float((db_now() - happened.row.occurred_at).total_seconds())


def _unsized(happened: Happened) -> bool:
    fresh = happened.event is Event.OPENED and happened.incident.status == Status.NEW
    return fresh and _waited(happened) < SIZING_SECONDS


def _unwanted(happened: Happened) -> str:
    """Say why this is not to be told, as things stand now; blank: it is."""
    row, incident, approval = happened.row, happened.incident, happened.approval
    number = approval.pk if approval is not None else None
    requests = [] if number is None else [number]
    sight = audience.sight_of(row.subscription.as_user, [incident.pk], requests)
    if not sight.covers(happened.event, incident.pk, number):
        return "The subscription's user may not see this."
    if happened.event is Event.COMMENTED and happened.entry.actor.startswith(f"{row.subscription.connection.slug}:"):
        return "It was written there."
    return ""


def _meant(happened: Happened) -> bool:
    """Tell whether the subscription was narrowed to such incidents, which is known once this one is sized up."""
    return happened.event is not Event.OPENED or audience.wants(happened.row.subscription, happened.incident)


def _thread_of(row: Outgoing) -> str:
    """Return the thread that the first message about the incident began, as the target called it."""
    begun = Outgoing.objects.filter(
        subscription=row.subscription_id, incident=row.incident_id, state=OutState.SENT
    ).exclude(thread="")
    return begun.order_by("entry").values_list("thread", flat=True).first() or ""


def _drop(row: Outgoing) -> str:
    """Take the row away of what is not meant: where that is known when the ledger is read, none is made at all."""
    if not Outgoing.objects.filter(pk=row.pk, state=OutState.PENDING, claims=row.claims).delete()[0]:
        raise LostRace("Another worker has taken this message over.")
    return ""


def _skip(row: Outgoing, why: str) -> str:
    _write(row, state=OutState.SKIPPED, state_reason=why)
    return OutState.SKIPPED


def _later(row: Outgoing, seconds: float, why: str, **columns: Any) -> str:
    _write(row, due_at=db_now() + timedelta(seconds=seconds), state_reason=why, **columns)
    return OutState.PENDING


def _failed(row: Outgoing, error: ConnectorError) -> str:
    """Write down what went wrong: held up, tried again later, or given up with what to do."""
    try:
        return _settled(row, error)
    except LostRace:
        return ""


def _settled(row: Outgoing, error: ConnectorError) -> str:
    if isinstance(error, Blocked) and (error.retryable or error.code in _HELD_UP):
        return _later(row, error.retry_after or settings.RETRY_CAP_SECONDS, str(error))
    if isinstance(error, Refused) and error.code == GONE:
        reason = f"{error} Nothing more is sent until somebody goes on with the subscription."
        actions.pause(row.subscription, actor=ACTOR, reason=reason)
        return _later(row, 0.0, str(error), attempts=row.attempts + 1)
    attempt = row.attempts + 1
    advice = retry.decide(error, wrote=False, attempt=attempt, key=row.effect_key)
    wait = advice.after_seconds if advice.again else _much_later(error, attempt)
    if wait is not None:
        return _later(row, wait, str(error), attempts=attempt)
    gone = {"attempts": attempt, "guidance": _guidance(error)}
    actions.move(row, OutState.DEAD, "outgoing.dead_lettered", actor=ACTOR, reason=str(error), **gone)
    return OutState.DEAD


_AGAIN = "send it again: a receiver that has it already can drop the second."
_WHAT_TO_DO: tuple[tuple[type[ConnectorError], str], ...] = (
    (
        Blocked,
        f"Look at the connection: is the operation allowed, are address, secrets and data class right? Then {_AGAIN}",
    ),
    (Unauthorized, f"Renew the connection's credentials, test it, then {_AGAIN}"),
    (Refused, f"Read the receiver's reason, correct it there or at the connection, then {_AGAIN}"),
    (ConnectorError, f"See that the receiver is up and its address right (Test connection), then {_AGAIN}"),
)


def _guidance(error: ConnectorError) -> str:
    return next(text for kind, text in _WHAT_TO_DO if isinstance(error, kind))


def _much_later(error: ConnectorError, attempt: int) -> float | None:
    """Return the long wait after the short ones are used up; ``None``: it is given up.

    A receiver may be away for hours, and unlike an effect a message does no harm when it comes late.
    """
    turn = max(attempt - settings.RETRY_LIMIT, 0)
    if not error.retryable or turn >= len(settings.TELL_LATER_SECONDS):
        return None
    return float(max(settings.TELL_LATER_SECONDS[turn], error.retry_after or 0.0))
