"""Messages in a thread follow the incident that the thread is about: what people write there stands beside it.

A thread is about an incident where the message that began it became a signal, or where it is ours: a message that told
of the incident. What is written in it is text from outside: it can be read, and it moves nothing.
"""

from typing import Any

from audit.clock import db_now
from connectors.door import threads
from connectors.models import Delivery
from incidents.briefs import note
from incidents.fingerprints import normal
from incidents.models import Comment, ExceptionKind, Incident, Signal
from incidents.states import CLOSED

LONGEST = 10_000


def followed(delivery: Delivery) -> Incident | None:
    """Return the incident that a message's thread is about; ``None`` where it is in no thread, or in nobody's."""
    thread = delivery.payload.get("thread")
    # An automatic answer is nobody's word: it is judged as what it is, if at all.
    if not isinstance(thread, str) or not thread or delivery.payload.get("automatic"):
        return None
    return _signalled(delivery, thread) or _told(delivery, thread)


def adds_nothing_else(incident: Incident, payload: dict[str, Any]) -> bool:
    """Tell whether a message only belongs to its thread: the incident is open, and no other record is named."""
    if incident.status in CLOSED:
        # Nobody looks at it any more: whoever answers there has to be heard by somebody.
        return False
    own = (incident.entity_type, normal(incident.entity_key))
    named = payload.get("mentions")
    keys = named.items() if isinstance(named, dict) else ()
    return all((kind, normal(str(key))) == own for kind, found in keys for key in found)


def write_down(incident: Incident, delivery: Delivery) -> None:
    """Keep what was written in a thread with the incident that it is about."""
    payload = delivery.payload
    keep(incident, delivery, author=payload.get("author") or payload.get("from"), text=payload.get("text"))


def keep(incident: Incident, delivery: Delivery, *, author: Any, text: Any) -> None:
    """Keep what somebody wrote in another system, under the name of the system and theirs; nothing where it is empty.

    Nobody in the console has a name with a colon, so that the author says where it came from.
    """
    written_by = f"{delivery.connection.slug}:{author or 'somebody'}"[:200]
    words = str(text or "").replace("\x00", "").strip()[:LONGEST]
    if not words:
        return
    written = Comment.objects.create(incident=incident, author=written_by, text=words, created_at=db_now())
    data = {"comment": written.pk, "delivery": delivery.pk}
    note(incident, "incident.commented", actor=written_by, data=data)


def _signalled(delivery: Delivery, thread: str) -> Incident | None:
    """Return the incident of the message that began the thread. A signal's id is that of its message and its kind."""
    codes = ExceptionKind.objects.values_list("code", flat=True)
    ids = [f"{thread}/{code}" for code in codes]
    found = Signal.objects.filter(source=delivery.connection.slug, event_id__in=ids).order_by("id").first()
    return found.incident if found else None


def _told(delivery: Delivery, thread: str) -> Incident | None:
    """Return the incident that our own message, which began the thread, told of."""
    key = threads.incident_of(delivery.connection_id, thread)
    incident = Incident.objects.filter(pk=key).first() if key is not None else None
    return home_of(incident) if incident is not None else None


def home_of(incident: Incident) -> Incident:
    """Return where an incident went that was merged into another; itself where it was not."""
    while incident.merged_into is not None:
        incident = incident.merged_into
    return incident
