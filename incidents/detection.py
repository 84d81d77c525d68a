"""Turn what systems told us into signals: each delivery is judged once, by the detections of the kinds."""

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from pydantic import ValidationError

from audit.clock import db_now
from audit.errors import Invalid, Refusal
from connectors import gateway, registry
from connectors.base import Blocked, ConnectorError
from connectors.door import retry
from connectors.models import Delivery
from connectors.talk.tickets import Said, Ticket, is_ours
from incidents import direct, threads, tickets
from incidents.evidence import ask, plain
from incidents.expressions import ExpressionFailed, compile_expression, number
from incidents.intake import accept_many
from incidents.kinds import Detection, definition_of
from incidents.models import ExceptionKind, Incident
from incidents.normal import NormalSignal

logger = logging.getLogger(__name__)
ACTOR = "system:detection"
ATTEMPTS = 8
BATCH = 200


class TooEarly(Exception):
    """What was told before, or is under way, has to come first: it is judged again a little later."""


@dataclass
class _Judgement:
    """What the detections made of one delivery."""

    signals: list[NormalSignal] = field(default_factory=list)
    applied: int = 0
    doubts: list[str] = field(default_factory=list)
    follows: Incident | None = None  # what its thread is about
    ticket: Ticket | None = None  # the ticket that it tells of
    said: Said | None = None  # what somebody wrote on a ticket,
    said_to: list[Incident] = field(default_factory=list)  # and the incidents that it belongs to
    remark: str = ""
    identity: str = ""  # of what was told, however it was told

    @property
    def outcome(self) -> str:
        if self.signals:
            return "signal"
        if self.follows is not None or self.said_to:
            return "comment"
        if self.doubts:
            return "refused"
        return "nothing_wrong" if self.applied else "no_rule"


def process(delivery_id: int) -> str:
    """Judge one delivery and return the outcome; "" where another worker has it or it was judged before.

    ``signal``: it became signals · ``comment``: it belongs to a thread or ticket and stands with its incident ·
    ``nothing_wrong``: looked into, all is well · ``no_rule``: no kind asks for
    such events · ``refused``: a kind asks for it but it cannot be meant · ``failed``: what it needs to be
    judged by could not be read, time and again. While it is tried again its outcome stays blank.
    """
    delivery = _claim(delivery_id)
    if delivery is None:
        return ""
    try:
        judged = _judge(delivery)
    except ConnectorError as error:
        return _again(delivery, error)
    except TooEarly as early:
        # No attempt: nothing went wrong with it.
        pause = db_now() + timedelta(seconds=settings.SWEEP_SECONDS)
        _mine(delivery).update(not_before=pause, message=str(early), attempts=0)
        return ""
    return _settle(delivery, judged)


def sweep_deliveries() -> list[int]:
    """Return the deliveries that wait and whose bell seems lost, oldest first."""
    old = db_now() - timedelta(seconds=settings.SWEEP_SECONDS)
    waiting = _waiting().filter(received_at__lte=old).order_by("pk")
    return list(waiting.values_list("pk", flat=True)[:BATCH])


def _waiting() -> QuerySet[Delivery]:
    free = Q(not_before__isnull=True) | Q(not_before__lte=Now())
    return Delivery.objects.filter(free, processed_at=None)


def _claim(delivery_id: int) -> Delivery | None:
    """Take the delivery for a lease's time: of several workers the database lets one through."""
    until = db_now() + timedelta(seconds=settings.LEASE_SECONDS)
    if not _waiting().filter(pk=delivery_id).update(not_before=until, attempts=F("attempts") + 1):
        return None
    delivery = Delivery.objects.select_related("connection").get(pk=delivery_id)
    return delivery if delivery.not_before == until else None


def _mine(delivery: Delivery) -> QuerySet[Delivery]:
    return Delivery.objects.filter(pk=delivery.pk, processed_at=None, attempts=delivery.attempts)


def _settle(delivery: Delivery, judged: _Judgement) -> str:
    outcome, message = judged.outcome, "; ".join(judged.doubts) or judged.remark
    try:
        with transaction.atomic():
            # Marked and taken in together: a worker that dies in between leaves both undone.
            if not _mine(delivery).update(processed_at=db_now(), not_before=None, outcome=outcome, message=message):
                return ""
            if judged.follows is not None:
                threads.write_down(judged.follows, delivery)
            _take_in(delivery, judged)
    except Refusal as refusal:
        outcome = "refused"
        _mine(delivery).update(processed_at=db_now(), not_before=None, outcome=outcome, message=str(refusal))
    return outcome


def _take_in(delivery: Delivery, judged: _Judgement) -> None:
    """Keep what a delivery says: of its ticket, on its ticket, and as signals; in the caller's transaction."""
    codes = [signal.code for signal in judged.signals]
    # Before anything is entered in the ledger: whoever holds its end waits for nobody.
    ticket = tickets.remember(delivery, judged.ticket, codes) if judged.ticket is not None else None
    if judged.said is not None:
        tickets.write_down(judged.said_to, delivery, judged.said)
    accepted = accept_many(judged.signals, actor=ACTOR)
    if ticket is not None:
        tickets.attach(ticket, delivery, zip(codes, accepted, strict=True))


def _again(delivery: Delivery, error: ConnectorError) -> str:
    advice = retry.decide(error, wrote=False, attempt=delivery.attempts, key=f"delivery-{delivery.pk}")
    # What our own rules hold up goes on by itself: nothing was asked, so nothing speaks against the delivery.
    passes = isinstance(error, Blocked) and error.retryable
    if not error.retryable or (delivery.attempts >= ATTEMPTS and not passes):
        message = f"{error} {advice.guidance}"
        _mine(delivery).update(processed_at=db_now(), not_before=None, outcome="failed", message=message)
        logger.warning("delivery %s could not be judged: %s", delivery.pk, message)
        return "failed"
    pause = advice.after_seconds if advice.after_seconds is not None else settings.RETRY_CAP_SECONDS
    _mine(delivery).update(not_before=db_now() + timedelta(seconds=pause), message=str(error))
    return ""


def _judge(delivery: Delivery) -> _Judgement:
    judged = _Judgement(follows=threads.followed(delivery))
    if judged.follows is not None and threads.adds_nothing_else(judged.follows, delivery.payload):
        return judged
    event = _told(delivery, judged)
    if _on_a_ticket(delivery, event, judged):
        return judged
    asking = [
        (kind, detection)
        for kind in ExceptionKind.objects.filter(enabled=True).order_by("code")
        for detection in _detections(kind)
        if detection.connection == delivery.connection.slug and detection.event in (delivery.event, "*")
    ]
    for last_resort in (False, True):
        for kind, detection in asking:
            # What no kind asks for by name can be taken by one that asks for the rest.
            if detection.otherwise is last_resort and not (last_resort and judged.applied):
                _apply(kind, detection, delivery, event, judged)
    if not judged.applied and direct.is_signal(delivery.payload):
        _take(delivery, judged)
    return judged


def _told(delivery: Delivery, judged: _Judgement) -> dict[str, Any]:
    """Return what was told, completed, with the change of the record that it tells of as ``change``."""
    complete = plain(gateway.complete(delivery.connection, delivery.payload, actor=ACTOR))
    change = registry.change_of(delivery.connection, delivery.event, complete)
    judged.identity = registry.identity_of(delivery.connection, complete) or (change.identity if change else "")
    return complete if change is None else {**complete, "change": plain(change.told())}


def _on_a_ticket(delivery: Delivery, event: dict[str, Any], judged: _Judgement) -> bool:
    """Tell whether an event is dealt with because of the ticket that it is about. Raises ``TooEarly``."""
    judged.said, judged.ticket = tickets.said_in(delivery, event), tickets.ticket_of(delivery, event)
    if judged.said is not None:
        if is_ours(judged.said.text):
            judged.said, judged.applied, judged.remark = None, 1, "We wrote this ourselves."
            return True
        judged.said_to = tickets.concerned(delivery, judged.said.ticket)
        if not judged.said_to and tickets.overtakes(delivery):
            raise TooEarly("Waits for what was told before it.")
        return bool(judged.said_to)
    if judged.ticket is None:
        return False
    if tickets.closes_on_the_way(delivery, judged.ticket):
        raise TooEarly("Waits until the incident's records are read.")
    if tickets.says_nothing_new(delivery, judged.ticket):
        judged.applied, judged.remark = 1, "The ticket says nothing new."
        return True
    return False


def _take(delivery: Delivery, judged: _Judgement) -> None:
    """Take an event that is a signal already as it is."""
    judged.applied += 1
    try:
        judged.signals.append(direct.signal_of(delivery))
    except Invalid as wrong:
        judged.doubts += [f"{name}: {' '.join(texts)}" for name, texts in wrong.errors.items()] or [str(wrong)]


def _detections(kind: ExceptionKind) -> list[Detection]:
    try:
        return definition_of(kind).detect
    except ValidationError:
        # One kind that was broken by hand must not keep the others from being detected.
        logger.exception("the exception kind %s cannot be read", kind.code)
        return []


def _apply(
    kind: ExceptionKind, detection: Detection, delivery: Delivery, event: dict[str, Any], judged: _Judgement
) -> None:
    if not _asks_for(detection, event):
        return
    judged.applied += 1
    variables: dict[str, Any] = {"event": event}
    ask(detection.reads, variables, actor=ACTOR)
    try:
        if compile_expression(detection.when).holds(variables):
            judged.signals.append(_signal(kind, detection, delivery, variables, judged.identity))
    except ExpressionFailed as failure:
        judged.doubts.append(f"{kind.code}: {failure}")
    except ValidationError as wrong:
        judged.doubts += [f"{kind.code}: {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in wrong.errors()]


def _asks_for(detection: Detection, event: dict[str, Any]) -> bool:
    try:
        return compile_expression(detection.where).holds({"event": event})
    except ExpressionFailed:
        return False  # it lacks a field that the kind looks at, so it is not meant


def _signal(
    kind: ExceptionKind, detection: Detection, delivery: Delivery, variables: dict[str, Any], identity: str
) -> NormalSignal:
    def value(source: str | None) -> Any:
        return None if source is None else compile_expression(source).evaluate(variables)

    amount, told = value(detection.amount), delivery.connection
    texts = {name: value(getattr(detection, name)) for name in ("currency", "business_unit", "region", "text")}
    key = value(detection.entity_key)
    return NormalSignal(
        source=told.slug,
        # One event may tell of several kinds of exception; of each it tells once, by whichever way it came.
        id=f"{identity or delivery.external_id}/{kind.code}",
        time=delivery.occurred_at or delivery.received_at,
        type=delivery.event,
        channel=registry.channel_of(told, delivery.event, delivery.payload),
        code=kind.code,
        entity_type=kind.entity_type,
        entity_key="" if key is None else str(key),
        attributes={name: plain(value(source)) for name, source in detection.attributes.items()},
        amount=None if amount is None else number(amount),
        **{name: "" if text is None else str(text) for name, text in texts.items()},
        raw=delivery.payload,
        delivery_id=delivery.pk,
    )
