"""Who may see and change what insights holds."""

from typing import Any, Self, TypeVar

from django.db import models

from audit.access import Person, ScopedQuerySet, has_role, may_look

Row = TypeVar("Row", bound=models.Model)

# Who brings in logs and lists, switches detectors on, and makes something of a figure.
OWNERS = ("automation_admin", "operator")


def may_act(user: Any) -> bool:
    """Tell whether ``user`` may change what insights holds and make something of it; others only look."""
    return has_role(user, *OWNERS)


class InsightQuerySet(ScopedQuerySet[Row]):
    """Rows of insights: of a unit and a region, and only for those whose role may look at insights at all."""

    def visible_to(self, user: Person) -> Self:
        """Keep the rows that ``user`` may see. See ``ScopedQuerySet.visible_to``."""
        return super().visible_to(user) if may_look(user, "insights") else self.none()
