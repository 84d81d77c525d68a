"""Tickets of other systems: which incidents they belong to, what people write on them, and whether they are closed.

A ticket belongs to an incident where its own event raised it, or where the records name it, as the exception kind
declares under ``tickets``. What is written on it is text from outside: it can be read, and it moves nothing. A ticket
that was closed in its own system only has its incident looked into afresh: what the records say then counts.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from pydantic import ValidationError

from audit.clock import db_now
from audit.errors import IllegalMove, LostRace
from audit.proofs import canonical
from connectors import registry
from connectors.models import Connection, Delivery
from connectors.talk import tickets as kinds
from incidents import threads
from incidents.expressions import ExpressionFailed, compile_expression
from incidents.intake import Accepted
from incidents.kinds import KindDefinition, TicketOf, definition_of
from incidents.models import ExceptionKind, Incident
from incidents.moves import look_again
from incidents.states import CLOSED, Status
from incidents.ticket_models import Ticket

MOST = 50
TRIES = 5
ACTOR = "system:tickets"
# The loop passes these by itself and reads the records on its way: whoever waits a little meets it where it rests.
_PASSING = frozenset({Status.NEW, Status.TRIAGED, Status.DIAGNOSED, Status.PLANNED})
# Here it waits for people. On hold it waits because they want it to, and what is being carried out is carried out.
_RESTING = frozenset({Status.NEEDS_OPERATOR, Status.AWAITING_APPROVAL})


# --- out ---------------------------------------------------------------------------------------
def told_on(connection: Connection, operation: str) -> bool:
    """Tell whether an operation of a connection writes on tickets."""
    kind = registry.tickets_of(connection)
    return kind is not None and kind.tells == operation


def addresses(incident: Incident, connection: Connection) -> tuple[str, ...]:
    """Return the ids of the tickets of a connection that an incident belongs to, the oldest first, at most ``MOST``."""
    kind = registry.tickets_of(connection)
    if kind is None:
        return ()
    rows = _of(incident).filter(system=connection.slug, entity=kind.entity)
    return tuple(rows.values_list("key", flat=True)[:MOST])


def _of(incident: Incident) -> QuerySet[Ticket]:
    """Return the tickets of an incident and of those that were merged into it."""
    mine = Q(incidents=incident) | Q(incidents__merged_into=incident)
    return Ticket.objects.filter(mine).order_by("id").distinct()


@dataclass(frozen=True)
class Linked:
    """A ticket as the page of its incident shows it; without an address where its system's kind knows none."""

    label: str
    url: str
    closed: bool


def linked(incident: Incident) -> list[Linked]:
    """Return the tickets that an incident belongs to, with where people open them."""
    rows = list(_of(incident).only("system", "entity", "key", "closed")[:MOST])
    known = {one.slug: one for one in Connection.objects.filter(slug__in={row.system for row in rows})} if rows else {}
    found = []
    for row in rows:
        connection = known.get(row.system)
        page = registry.page_of(connection, row.entity, row.key) if connection is not None else None
        named = connection.label or connection.slug if connection is not None else row.system
        found.append(Linked(f"{named} {row}", page.url if page is not None and page.exact else "", row.closed))
    return found


# --- which tickets an incident belongs to ------------------------------------------------------
def learn(incident: Incident, definition: KindDefinition, variables: Mapping[str, Any]) -> None:
    """Keep the tickets that an incident's records name, as its kind declares. What cannot be worked out names none."""
    for declared in definition.tickets:
        connection = Connection.objects.filter(slug=declared.connection).first()
        kind = registry.tickets_of(connection) if connection is not None else None
        if connection is None or kind is None:
            continue
        for key in _keys(declared, kind, variables):
            with transaction.atomic():
                row, _ = Ticket.objects.get_or_create(
                    system=connection.slug, entity=kind.entity, key=key, defaults={"first_seen_at": db_now()}
                )
                row.incidents.add(incident)


def _keys(declared: TicketOf, kind: kinds.Tickets, variables: Mapping[str, Any]) -> list[str]:
    try:
        named = compile_expression(declared.id).evaluate(dict(variables))
    except ExpressionFailed:
        return []
    values: Iterable[Any] = named if isinstance(named, list) else [named]
    return list(dict.fromkeys(filter(None, map(kind.key, values))))[:MOST]


def declared_by(kind: ExceptionKind | None) -> list[TicketOf]:
    """Return what a kind says of tickets; of one that is unknown or cannot be read, nothing."""
    try:
        return definition_of(kind).tickets if kind is not None else []
    except ValidationError:
        return []


def _declared(code: str, connection: Connection) -> list[TicketOf]:
    """Return what the kind of this code says of a connection's tickets."""
    found = declared_by(ExceptionKind.objects.filter(code=code).first())
    return [one for one in found if one.connection == connection.slug]


# --- in: what an event tells of a ticket -------------------------------------------------------
def ticket_of(delivery: Delivery, event: Mapping[str, Any]) -> kinds.Ticket | None:
    """Return the ticket that a complete event is about; ``None``: it is about none."""
    kind = registry.tickets_of(delivery.connection)
    return kind.ticket(delivery.event, event, delivery.connection.config) if kind is not None else None


def said_in(delivery: Delivery, event: Mapping[str, Any]) -> kinds.Said | None:
    """Return what a complete event says that somebody wrote on a ticket; ``None``: nothing was written."""
    kind = registry.tickets_of(delivery.connection)
    return kind.said(delivery.event, event) if kind is not None else None


def concerned(delivery: Delivery, key: str) -> list[Incident]:
    """Return the incidents that hear of what is written on a ticket: the open ones, or the one closed last."""
    found: dict[int, Incident] = {}
    for row in _rows(delivery, key):
        for incident in row.incidents.select_related("kind").order_by("id"):
            home = threads.home_of(incident)
            found[home.pk] = home
    still_open = [incident for incident in found.values() if incident.status not in CLOSED]
    return still_open or sorted(found.values(), key=lambda incident: incident.pk)[-1:]


def write_down(incidents: Iterable[Incident], delivery: Delivery, said: kinds.Said) -> None:
    """Keep what was written on a ticket with the incidents that it belongs to; in the caller's transaction."""
    for incident in incidents:
        threads.keep(incident, delivery, author=said.author, text=said.text)


def overtakes(delivery: Delivery) -> bool:
    """Tell whether the same system told something before that is not judged yet, and may bring a ticket's incident."""
    earlier = Delivery.objects.filter(connection=delivery.connection, processed_at=None, pk__lt=delivery.pk)
    return earlier.exists()


def says_nothing_new(delivery: Delivery, told: kinds.Ticket) -> bool:
    """Tell whether a ticket was told of with these very values before: a comment on it made it look changed."""
    row = _rows(delivery, told.key).first()
    return row is not None and bool(row.seen) and _digests(told).items() <= row.seen.items()


def closes_on_the_way(delivery: Delivery, told: kinds.Ticket) -> bool:
    """Tell whether a ticket was closed while the loop is still reading the records of an incident that is that ticket.

    It may have read them before, so that nobody could say which of the two came first.
    """
    row = _rows(delivery, told.key).first()
    if row is None or not told.closed or row.closed:
        return False
    return any(incident.status in _PASSING for incident in _that_it_is(row, delivery.connection))


def remember(delivery: Delivery, told: kinds.Ticket, codes: Iterable[str]) -> Ticket | None:
    """Keep what was told of a ticket, where it is known or a kind of ``codes`` declares it.

    One that was closed since has the incidents that are this ticket, and wait for a person, looked into afresh; what
    an approver was asked about them is taken back.
    Call inside the transaction that judges the delivery.
    """
    row = _rows(delivery, told.key).select_for_update().first()
    if row is None:
        kind = registry.tickets_of(delivery.connection)
        if kind is None or not any(_declared(code, delivery.connection) for code in set(codes)):
            return None
        named = {"system": delivery.connection.slug, "entity": kind.entity, "key": told.key}
        row, _ = Ticket.objects.get_or_create(**named, defaults={"first_seen_at": db_now()})
    closing = bool(told.closed) and not row.closed
    row.closed = row.closed if told.closed is None else told.closed
    row.seen = {**row.seen, **_digests(told)}
    row.save(update_fields=["closed", "seen"])
    if closing:
        _look_again(row, delivery.connection)
    return row


def attach(row: Ticket, delivery: Delivery, accepted: Iterable[tuple[str, Accepted]]) -> None:
    """Let a ticket belong to the incidents that its own event raised, where their kinds declare such tickets."""
    for code, one in accepted:
        if _declared(code, delivery.connection):
            row.incidents.add(one.joined)


def _look_again(row: Ticket, connection: Connection) -> None:
    for incident in _that_it_is(row, connection):
        _afresh(incident, f"{row} was closed in {connection.slug}: looked into.")


def _afresh(incident: Incident, reason: str) -> None:
    for _ in range(TRIES):
        if incident.status not in _RESTING:
            return  # somebody works on it: what they do counts
        try:
            look_again(incident, actor=ACTOR, reason=reason)
        except (LostRace, IllegalMove):
            # It, or only its plan, was moved just now: look where it stands.
            incident.refresh_from_db()
        else:
            return


def _that_it_is(row: Ticket, connection: Connection) -> list[Incident]:
    """Return the open incidents that are nothing but this ticket."""
    waiting = row.incidents.filter(merged_into=None).exclude(status__in=CLOSED).order_by("pk")
    return [one for one in waiting if any(declared.closes for declared in _declared(one.code, connection))]


def _rows(delivery: Delivery, key: str) -> QuerySet[Ticket]:
    kind = registry.tickets_of(delivery.connection)
    entity = kind.entity if kind is not None else ""
    return Ticket.objects.filter(system=delivery.connection.slug, entity=entity, key=key)


def _digests(told: kinds.Ticket) -> dict[str, str]:
    return {name: hashlib.sha256(canonical(value).encode()).hexdigest()[:16] for name, value in told.fields.items()}
