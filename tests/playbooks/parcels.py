"""Parcels that are late, and signals that may say why: a cause that only a signal can give, and no system to ask."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from audit.models import Entry
from incidents import leases, news
from incidents.intake import NormalSignal, accept
from incidents.models import ExceptionKind, Incident
from incidents.states import Status
from playbooks import loop
from tests.incidents.factories import later, make_kind, make_signal

CODE, LOST = "late_parcel", "lost"
CAUSES = [
    {
        "id": LOST,
        "label": "The carrier lost it",
        "statements": [
            {
                "text": "A signal says so.",
                "grade": "observed",
                "checks": [{"check": "signals.exists(s, 'lost' in s.attributes)", "cites": ["signals"]}],
            }
        ],
    }
]


def make_parcels() -> ExceptionKind:
    """The kind of a parcel that is late."""
    return make_kind(CODE, causes=CAUSES)


def parcel(number: int = 1, *, about: str = "P-1", **changes: Any) -> NormalSignal:
    """The n-th signal about a parcel; it says what the first said, unless changed."""
    return make_signal(
        id=f"{about}-{number}", time=later(number), code=CODE, entity_type="parcel", entity_key=about, **changes
    )


def waiting(about: str = "P-1") -> Incident:
    """An incident that was looked into, found no cause, and waits for a person."""
    if not ExceptionKind.objects.filter(code=CODE).exists():
        make_parcels()
    incident = carry_on(accept(parcel(about=about)).incident)
    assert (incident.status, looks(incident)) == (Status.NEEDS_OPERATOR, 1)
    return incident


def carry_on(incident: Incident) -> Incident:
    """Do what the sweep would do: advance what is due now."""
    for key in leases.due():
        loop.advance(key)
    incident.refresh_from_db()
    return incident


def looks(incident: Incident) -> int:
    """Count how often the incident was looked into."""
    return Entry.objects.filter(incident_id=incident.pk, verb="evidence.collected").count()


def again(incident: Incident) -> list[str]:
    """Return why it was looked at again because of a signal, each time."""
    entries = Entry.objects.filter(incident_id=incident.pk, verb="incident.triaged", actor=news.ACTOR)
    return list(entries.order_by("n").values_list("reason", flat=True))


def cause_of(incident: Incident) -> str:
    """Return the cause that was found last; blank: none."""
    found = incident.root_causes.order_by("-round").first()
    return found.cause if found else ""


def before(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, act: Callable[[], Any], *, call: int = 1) -> None:
    """Let something happen once, immediately before the so-manieth call of a function."""
    original, calls = getattr(module, name), count(1)

    def replacement(*args: Any, **options: Any) -> Any:
        if next(calls) == call:
            act()
        return original(*args, **options)

    monkeypatch.setattr(module, name, replacement)
