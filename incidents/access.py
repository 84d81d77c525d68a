"""Which incidents need a person, and who may do what; which rows one may see is decided by ``visible_to``."""

from typing import Any

from django.db.models import Exists, OuterRef, Q

from audit.access import has_role, roles_of
from audit.errors import NotAllowed
from incidents.contributions import waiting_for
from incidents.models import Escalation, Incident
from incidents.normal import NormalSignal
from incidents.reach import EVERYWHERE, Reach
from incidents.states import Status

SENDERS = ("integration", "operator", "automation_admin")


def needing(user: Any) -> Q:
    """Return the condition on incidents that need something of ``user``.

    For operators those that wait for one and are nobody's or theirs; for everybody escalations to their roles
    that nobody has answered, and what the floors above wait for, such as approvals.
    """
    told = Escalation.objects.filter(incident=OuterRef("pk"), acknowledged_at=None, role__in=roles_of(user))
    condition = Q(closed_at=None) & Exists(told) | waiting_for(user)
    if has_role(user, "operator"):
        mine = Q(assignee=None) | Q(assignee=user)
        condition |= Q(status=Status.NEEDS_OPERATOR) & mine | Q(status=Status.ON_HOLD, assignee=user)
    return condition


def reach_of(user: Any) -> Reach:
    """Return the units and regions whose incidents the signals of ``user`` may join."""
    if getattr(user, "is_superuser", False):
        return EVERYWHERE
    scope = getattr(user, "scope", None)
    units, regions = (scope.business_units, scope.regions) if scope else ([], [])
    return Reach(*(None if "*" in places else tuple(sorted(places)) for places in (units, regions)))


def check_sender(user: Any, signals: list[NormalSignal]) -> None:
    """Raise ``NotAllowed`` unless ``user`` may send these signals: by role, and for these units and regions."""
    if not has_role(user, *SENDERS):
        raise NotAllowed(f"Sending signals takes the role {' or '.join(SENDERS)}.")
    if getattr(user, "is_superuser", False):
        return
    scope = getattr(user, "scope", None)
    units, regions = (scope.business_units, scope.regions) if scope else ([], [])
    for field, allowed in (("business_unit", units), ("region", regions)):
        word = field.replace("_", " ")
        if not allowed:
            raise NotAllowed(f"You work for no {word}, so you send no signals.")
        # One that names none is taken in: its unit is found from the evidence.
        given = {getattr(signal, field) for signal in signals} - {""}
        strange = sorted(given - set(allowed)) if "*" not in allowed else []
        if strange:
            raise NotAllowed(f"You do not work for the {word} {', '.join(strange)}.")


def find(user: Any, pk: int) -> Incident | None:
    """Return the incident of that number if ``user`` may see it."""
    return Incident.objects.visible_to(user).filter(pk=pk).first()
