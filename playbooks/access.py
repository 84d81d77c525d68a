"""What of the mending engine a person may see: whatever belongs to an incident that they may see.

Whose roles give no right on plans, such as a program that only sends signals, sees nothing of it.
"""

from typing import Any, TypeVar

from django.db.models import Exists, Model, OuterRef, QuerySet

from audit.access import Person, may_look
from incidents.models import Incident
from playbooks.models import DeadLetter, Execution, Plan
from playbooks.telling.models import Outgoing

Row = TypeVar("Row", bound=Model)


def plans(user: Person) -> QuerySet[Plan]:
    """Return the plans of incidents that ``user`` may see."""
    return _of_visible(Plan.objects.all(), user)


def executions(user: Person) -> QuerySet[Execution]:
    """Return the executions of incidents that ``user`` may see."""
    return _of_visible(Execution.objects.all(), user)


def dead_letters(user: Person) -> QuerySet[DeadLetter]:
    """Return the dead letters of incidents that ``user`` may see."""
    return _of_visible(DeadLetter.objects.all(), user)


def outgoing(user: Person) -> QuerySet[Outgoing]:
    """Return the messages about incidents that ``user`` may see."""
    return _of_visible(Outgoing.objects.all(), user)


def readable(rows: "QuerySet[Row]", user: Person) -> "QuerySet[Row]":
    """Return these playbooks or policies to whoever may look at plans; they belong to no unit."""
    return rows if may_look(user, "plans") else rows.none()


def _of_visible(rows: "QuerySet[Row]", user: Any) -> "QuerySet[Row]":
    if not may_look(user, "plans"):
        return rows.none()
    # Row by row through the primary key: as a list to be `in`, it would first be made of every visible incident.
    return rows.filter(Exists(Incident.objects.visible_to(user).filter(pk=OuterRef("incident"))))
