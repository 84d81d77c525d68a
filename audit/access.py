"""Who may see a row: roles, units, regions and single grants, asked in one place."""

from typing import Any, Self, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Q
from guardian.models import UserObjectPermission

ROLES = ("viewer", "operator", "approver", "compliance", "automation_admin", "auditor", "integration")
Row = TypeVar("Row", bound=models.Model)
Person = AbstractBaseUser | AnonymousUser


def roles_of(user: Person) -> frozenset[str]:
    """Return the names of the roles that ``user`` holds; all of them for a superuser."""
    if not user.is_authenticated or not user.is_active:
        return frozenset()
    if getattr(user, "is_superuser", False):
        return frozenset(ROLES)
    cached: frozenset[str] | None = getattr(user, "_goldseam_roles", None)
    if cached is None:
        cached = frozenset(user.groups.values_list("name", flat=True))  # type: ignore[union-attr]
        user._goldseam_roles = cached  # type: ignore[union-attr]
    return cached


def has_role(user: Person, *roles: str) -> bool:
    """Tell whether ``user`` holds any of ``roles``."""
    return bool(roles_of(user) & set(roles))


class ScopedQuerySet(models.QuerySet[Row]):
    """Rows that belong to a business unit and a region."""

    def visible_to(self, user: Person) -> Self:
        """Keep the rows that ``user`` may see; on every path, this and nothing else decides.

        A row shows when its unit and its region are in the person's scope, or when the row itself was
        granted to them. A row without a unit or region shows only to those whose scope there is ``*``.
        """
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if getattr(user, "is_superuser", False):
            return self
        mine = _in_scope(user)
        granted = self._granted_to(user)
        return self.filter(mine | Q(pk__in=granted)) if granted else self.filter(mine)

    def _granted_to(self, user: Any) -> list[Any]:
        kind = ContentType.objects.get_for_model(self.model)
        grants = UserObjectPermission.objects.filter(
            user=user, content_type=kind, permission__codename=f"view_{self.model._meta.model_name}"
        )
        return [self.model._meta.pk.to_python(pk) for pk in grants.values_list("object_pk", flat=True)]


def _in_scope(user: Any) -> Q:
    scope = getattr(user, "scope", None)
    if scope is None:
        return Q(pk__in=[])
    allowed = Q()
    for field, values in (("business_unit", scope.business_units), ("region", scope.regions)):
        if "*" not in values:
            allowed &= Q(**{f"{field}__in": list(values)})
    return allowed
