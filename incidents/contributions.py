"""What the floors above add to an incident, so that this floor shows it without knowing them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q

from incidents.models import Incident


@dataclass(frozen=True)
class Happening:
    """One line of an incident's timeline."""

    at: datetime
    what: str  # signal, comment, escalation, entry, or a word of the floor that tells it
    actor: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


Part = Callable[[Incident, Any], dict[str, Any] | None]
Teller = Callable[[Incident, Any], Iterable[Happening]]
Waiting = Callable[[Any], Q]

_parts: dict[str, Part] = {}
_tellers: dict[str, Teller] = {}
_waiting: dict[str, Waiting] = {}


def contribute(name: str, part: Part) -> None:
    """Add a member to the incident's JSON: ``part(incident, user)`` returns it, or ``None`` for nothing to show."""
    _parts[name] = part


def contribute_happenings(name: str, teller: Teller) -> None:
    """Add lines to the incident's timeline: ``teller(incident, user)`` yields them."""
    _tellers[name] = teller


def contribute_waiting(name: str, waiting: Waiting) -> None:
    """Add incidents to ``needs=me``: ``waiting(user)`` returns the condition on ``Incident``."""
    _waiting[name] = waiting


def parts_of(incident: Incident, user: Any) -> dict[str, Any]:
    """Return every contributed member of an incident."""
    return {name: part(incident, user) for name, part in _parts.items()}


def happenings_of(incident: Incident, user: Any) -> list[Happening]:
    """Return every contributed line of an incident's timeline."""
    return [line for teller in _tellers.values() for line in teller(incident, user)]


def waiting_for(user: Any) -> Q:
    """Return the condition on incidents that wait for something of the floors above from ``user``."""
    condition = Q(pk__in=[])
    for waiting in _waiting.values():
        condition |= waiting(user)
    return condition
