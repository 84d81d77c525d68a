"""Subscriptions, events in the ledger, and a herald that a test plays: it tells nobody and remembers everything."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.db import transaction

from audit.actions import record
from audit.clock import db_now
from audit.models import Entry
from connectors import actions as connections
from connectors.base import Arguments, Connector, Health, Read, Record, Refused, Tell, Write, Written
from connectors.models import Connection
from connectors.talk.messages import THREAD, Message
from incidents.models import Incident
from playbooks.telling import actions
from playbooks.telling.models import Outgoing, Subscription
from playbooks.telling.states import Event, OutState


class Herald(Connector):
    """A toy that tells: each message is remembered, and each answer is what the test has laid ready."""

    class Settings(Arguments):
        """Nothing to set."""

    slug = "herald"
    label = "Herald"
    config = Settings
    operations: ClassVar = (Tell("herald.cry", Message, "Cry out"),)
    told: ClassVar[list[tuple[str, Message]]] = []
    answers: ClassVar[list[Any]] = []

    def check(self) -> Health:
        """Always well."""
        return Health(True, ("nothing",), "Well.")

    def read(self, operation: Read, arguments: Any) -> list[Record]:
        """Hold nothing."""
        raise Refused("Heralds hold no records.")

    def write(self, operation: Write, arguments: Any, *, effect_key: str, version: str = "") -> Written:
        """Hold nothing."""
        raise Refused("Heralds hold no records.")

    def tell(self, operation: Tell, arguments: Message, *, key: str) -> Written:
        """Remember the message, then answer or fail as was laid ready."""
        self.told.append((key, arguments))
        answer = self.answers.pop(0) if self.answers else {}
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            answer = answer()
        return Written(result=dict(answer))

    @classmethod
    def titles(cls) -> list[str]:
        """What was told, by the events' names."""
        return [message.type.removeprefix("io.goldseam.") for _, message in cls.told]


def make_herald(slug: str = "herald", **columns: Any) -> Connection:
    """A connection of the toy kind that may tell."""
    return connections.create_connection(
        slug, "herald", actor="system:test", **{"operations": ["herald.cry"], **columns}
    )


def make_events(slug: str = "events") -> Connection:
    """A connection to a subscriber of CloudEvents, at an address that nobody has."""
    config = {"endpoint_url": "https://subscriber.test/events"}
    return connections.create_connection(
        slug, "cloudevents", actor="system:test", operations=["event.send"], config=config
    )


def begun(thread: str) -> Mapping[str, str]:
    """The answer of a target that begins a thread."""
    return {THREAD: thread}


def make_subscription(
    as_user: User | None, slug: str = "team", connection: Connection | None = None, **changes: Any
) -> Subscription:
    """A subscription to everything, from now on."""
    way = connection or Connection.objects.filter(kind="herald").first() or make_herald()
    values: dict[str, Any] = {
        "label": slug.capitalize(), "operation": "herald.cry", "events": Event.values, "as_user": as_user,
    }  # fmt: skip
    made = Subscription(slug=slug, connection=way, **{**values, **changes})
    actions.begin_now(made)
    made.save()
    return made


def happen(incident: Incident, event: Event = Event.RESOLVED, *, target: Any = None, **changes: Any) -> Entry:
    """Enter one event in the ledger, as whoever does it would."""
    values: dict[str, Any] = {"actor": "system:loop", "reason": "Read back from the source", **changes}
    with transaction.atomic():
        return record(
            event.value, target=target or incident, incident=incident.pk,
            business_unit=incident.business_unit, region=incident.region, **values,
        )  # fmt: skip


def make_outgoing(
    incident: Incident, subscription: Subscription, event: Event = Event.RESOLVED, **changes: Any
) -> Outgoing:
    """A message about something that has just happened."""
    entry, now = happen(incident, event), db_now()
    values: dict[str, Any] = {
        "event": event, "event_id": f"{entry.n}-{entry.hash[:16]}", "entry": entry.n,
        "occurred_at": entry.at, "created_at": now, "due_at": now - timedelta(seconds=1),
    }  # fmt: skip
    return Outgoing.objects.create(subscription=subscription, incident=incident, **{**values, **changes})


def due_now() -> None:
    """End every wait: the rows' time moves, never the clock."""
    Outgoing.objects.filter(state=OutState.PENDING).update(due_at=db_now() - timedelta(seconds=1))


def states() -> list[str]:
    """The states of all messages, in the order in which they were made."""
    return list(Outgoing.objects.order_by("id").values_list("state", flat=True))
