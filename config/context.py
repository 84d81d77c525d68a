"""What every console page knows: the environment's name, who reads, and how much waits for this person."""

from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from approvals.access import pending_for
from audit.access import has_role, roles_of
from audit.roles import ROLES
from playbooks import access
from playbooks.console.needs import count_of
from playbooks.models import DeadLetter

# Pages ask again every few seconds, and so does every open tab.
FRESH_SECONDS = 4
MOST = 99
LEDGER_READERS = ("operator", "compliance", "auditor")
TRAFFIC_READERS = ("operator", "compliance", "automation_admin", "auditor")


def console(request: HttpRequest) -> dict[str, Any]:
    """Return the environment, and for signed-in people what the bar shows; counted only where a page asks."""
    known: dict[str, Any] = {"environment": settings.ENVIRONMENT}
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return known
    return {
        **known,
        "nav_counts": SimpleLazyObject(lambda: _counts(user)),
        "nav_hidden": SimpleLazyObject(lambda: _hidden(user)),
        "user_roles": SimpleLazyObject(lambda: _roles(user)),
    }


def _counts(user: Any) -> dict[str, int]:
    key = f"nav:{user.pk}"
    found: dict[str, int] | None = cache.get(key)
    if found is None:
        letters = access.dead_letters(user).filter(state=DeadLetter.State.WAITING)
        asked = list(pending_for(user).order_by().values_list("incident_id", flat=True)[: MOST + 1])
        found = {
            "inbox": count_of(user, asked),
            "approvals": len(asked),
            "dead_letters": len(letters.values_list("pk", flat=True)[: MOST + 1]),
        }
        cache.set(key, found, FRESH_SECONDS)
    return found


def _hidden(user: Any) -> list[str]:
    hidden = [] if has_role(user, *LEDGER_READERS) else ["Audit"]
    return hidden if has_role(user, *TRAFFIC_READERS) else [*hidden, "Connections"]


def _roles(user: Any) -> str:
    if user.is_superuser:
        return "Administrator"
    roles = ", ".join(ROLES[name].label for name in sorted(roles_of(user)))
    scope = getattr(user, "scope", None)
    units = ", ".join("all units" if one == "*" else one for one in scope.business_units) if scope else ""
    return " · ".join(part for part in (roles, units) if part)
