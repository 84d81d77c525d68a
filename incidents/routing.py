"""Give what needs a person to the member of its queue who has the skill, is on duty and has the least to do.

Nothing of this happens while a signal is taken in: an incident is offered once it waits for a person, at once by a
bell and again by a sweep, which also finds those that nobody could take before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Q

from audit.access import has_role
from audit.clock import db_now
from audit.errors import LostRace
from incidents.briefs import note
from incidents.calendars import is_open
from incidents.judgements import Offer
from incidents.models import Incident, Queue
from incidents.moves import change, lock
from incidents.states import Assign, Status
from incidents.triage import route

__all__ = ["offer", "sweep"]
ACTOR = "system:routing"
WORKERS = ("operator", "automation_admin")
CAPACITY = 10  # of a member for whom none is given
BATCH = 200  # incidents per sweep; the next sweep takes the rest


@dataclass(frozen=True)
class Pick:
    """Who is to have an incident, and why; ``None`` for nobody."""

    person: User | None
    reason: str


def sweep() -> int:
    """Offer what waits for a person and was offered to nobody yet; returns how many found one."""
    waiting = Incident.objects.filter(status=Status.NEEDS_OPERATOR, assignee=None, closed_at=None)
    routed = Q(queue=None) | ~Q(queue__assign=Assign.OFF)
    if not Queue.objects.exclude(assign=Assign.OFF).exists():
        return 0
    found = waiting.filter(routed, Q(offer=None) | Q(offer__person=None)).order_by("severity_rank", "pk")
    return sum(offer(pk) for pk in found.values_list("pk", flat=True)[:BATCH])


def offer(incident_id: int) -> bool:
    """Assign or suggest one incident as its queue says; ``False`` where nobody new has it. Harmless when called twice.

    The candidates' rows are held while their load is counted: of two incidents at once, the second counts the first.
    """
    with transaction.atomic():
        incident = lock(incident_id)
        made = Offer.objects.filter(incident=incident).first()
        settled = made is not None and made.person_id is not None
        if incident.status != Status.NEEDS_OPERATOR or incident.assignee_id is not None or settled:
            return False
        columns = _queued(incident)
        queue = columns.get("queue", incident.queue)
        if queue is None or queue.assign == Assign.OFF:
            return False
        now = db_now()
        pick = _pick(queue, incident, now)
        if pick.person is None and made is not None and made.reason == pick.reason:
            return False
        _keep(incident, queue, pick, now, columns)
        return pick.person is not None


def _queued(incident: Incident) -> dict[str, Any]:
    """Return the queue of an incident that triage never saw, because nobody has described its kind."""
    if incident.queue_id is not None:
        return {}
    queue, why = route(incident.domain, incident.business_unit)
    return {"queue": queue, "queue_reason": why}


def _keep(incident: Incident, queue: Queue, pick: Pick, now: datetime, columns: dict[str, Any]) -> None:
    given = pick.person is not None and queue.assign == Assign.LEAST_LOADED
    Offer.objects.update_or_create(
        incident=incident,
        defaults={"person": pick.person, "assigned": given, "reason": pick.reason, "made_at": now},
    )
    if given and pick.person is not None:
        change(incident, "incident.assigned", actor=ACTOR, reason=pick.reason, assignee_id=pick.person.pk, **columns)
        return
    change(incident, "incident.queued", actor=ACTOR, reason=columns.get("queue_reason", ""), **columns)
    name = pick.person.get_username() if pick.person else None
    note(incident, "incident.offered", actor=ACTOR, reason=pick.reason, data={"to": name})


def _pick(queue: Queue, incident: Incident, now: datetime) -> Pick:
    if not queue.members:
        return Pick(None, f"{queue.label} has no members.")
    if queue.calendar is not None and not is_open(queue.calendar, now):
        return Pick(None, f"Nobody of {queue.label} is on duty now ({queue.calendar.label}).")
    skilled = {one["user"]: one for one in queue.members if _has_skill(one.get("skills", []), incident)}
    if not skilled:
        return Pick(None, f"Nobody of {queue.label} has the skill {incident.domain or incident.code}.")
    people = [person for person in _held(list(skilled)) if _may_take(person, incident)]
    if not people:
        return Pick(None, f"Nobody of {queue.label} who has the skill may see and work on it.")
    loads = _loads(people)
    free = [one for one in people if loads[one.pk] < skilled[one.get_username()].get("capacity", CAPACITY)]
    if not free:
        return Pick(None, f"Everybody of {queue.label} who could take it has as much as they can do.")
    best = min(free, key=lambda one: (loads[one.pk], one.get_username()))
    capacity, skills = (skilled[best.get_username()].get(name) for name in ("capacity", "skills"))
    skill = f"has the skill {_shared(skills, incident)}" if skills else "takes every kind"
    among = f"the least of {len(free)}" if len(free) > 1 else "the only one free"
    return Pick(
        best, f"{best.get_username()} {skill} and has {loads[best.pk]} of {capacity or CAPACITY} open, {among}."
    )


def _has_skill(skills: Sequence[str], incident: Incident) -> bool:
    return not skills or bool({incident.code, incident.domain} & set(skills))


def _shared(skills: Sequence[str], incident: Incident) -> str:
    return incident.code if incident.code in skills else incident.domain


def _held(usernames: list[str]) -> list[User]:
    """Return these people, their rows held in one order, so that two offers at once take turns and never block."""
    # Not for their keys: rows that point at a person may be written meanwhile.
    rows = User.objects.filter(username__in=usernames, is_active=True).order_by("pk")
    return list(rows.select_for_update(no_key=True))


def _may_take(person: User, incident: Incident) -> bool:
    return has_role(person, *WORKERS) and Incident.objects.visible_to(person).filter(pk=incident.pk).exists()


def _loads(people: list[User]) -> dict[int, int]:
    """Count what each has open: incidents of theirs, and those suggested to them that nobody has taken."""
    keys = [person.pk for person in people]
    loads = dict.fromkeys(keys, 0)
    mine = Incident.objects.filter(assignee__in=keys, closed_at=None).order_by()
    offered = Offer.objects.filter(
        person__in=keys, assigned=False, incident__assignee=None, incident__status=Status.NEEDS_OPERATOR
    ).order_by()
    for counted in (
        mine.values_list("assignee").annotate(count=Count("pk")),
        offered.values_list("person").annotate(count=Count("pk")),
    ):
        for key, count in counted:
            loads[key] += count
    return loads


def offer_quietly(incident_id: int) -> None:
    """Offer as soon as it waits; where another writer is in the way, the sweep does it."""
    try:
        offer(incident_id)
    except LostRace:
        return
