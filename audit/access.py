"""Who may see a row: roles, units, regions and single grants, asked in one place."""

from collections.abc import Iterable
from typing import Any, Self, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Q
from guardian.models import UserObjectPermission
from guardian.shortcuts import assign_perm, remove_perm

from audit.roles import FAMILIES, ROLES, WHOLE_LEDGER

Row = TypeVar("Row", bound=models.Model)
Person = AbstractBaseUser | AnonymousUser
_CACHE = "_goldseam_roles"
_GRANTS = "_goldseam_grants"


def roles_of(user: Person) -> frozenset[str]:
    """Return the names of the roles that ``user`` holds; all of them for a superuser, none for the inactive."""
    if not user.is_authenticated or not user.is_active:
        return frozenset()
    if getattr(user, "is_superuser", False):
        return frozenset(ROLES)
    cached: frozenset[str] | None = user.__dict__.get(_CACHE)
    if cached is None:
        person: Any = user
        cached = frozenset(person.groups.values_list("name", flat=True)) & frozenset(ROLES)
        user.__dict__[_CACHE] = cached
    return cached


def remember_roles(user: Person, groups: Iterable[str]) -> None:
    """Take the names of the groups that ``user`` is in from whoever has just read them with the user."""
    user.__dict__[_CACHE] = frozenset(groups) & frozenset(ROLES)


def has_role(user: Person, *roles: str) -> bool:
    """Tell whether ``user`` holds any of ``roles``. Raises ``KeyError`` for a role that does not exist."""
    for role in roles:
        ROLES[role]  # a misspelt role must fail in the first test, not refuse people for ever
    return bool(roles_of(user) & set(roles))


def may_look(user: Person, family: str) -> bool:
    """Tell whether a role of ``user`` may view ``family`` of ``audit.roles.FAMILIES``; ``KeyError`` for no such."""
    FAMILIES[family]  # a misspelt family must fail in the first test, not refuse people for ever
    return any(family in ROLES[role].rights for role in roles_of(user))


def grant(user: Any, row: models.Model) -> None:
    """Let ``user`` see this one row, whatever their units and regions."""
    assign_perm(_view_codename(type(row)), user, row)
    user.__dict__.pop(_GRANTS, None)


def withdraw(user: Any, row: models.Model) -> None:
    """Take back what ``grant`` gave."""
    remove_perm(_view_codename(type(row)), user, row)
    user.__dict__.pop(_GRANTS, None)


def _view_codename(model: type[models.Model]) -> str:
    return f"{model._meta.app_label}.view_{model._meta.model_name}"


class ScopedQuerySet(models.QuerySet[Row]):
    """Rows that belong to a business unit and a region."""

    def visible_to(self, user: Person) -> Self:
        """Keep the rows that ``user`` may see; on every path, this and nothing else decides.

        A row shows when its unit and its region are in the person's scope, or when the row itself was
        granted to them. A row without a unit or region shows only to those whose scope there is ``*``.
        A person without any role sees nothing. At most three small queries a request, however many rows.
        """
        if not roles_of(user):
            return self.none()
        if getattr(user, "is_superuser", False):
            return self
        mine = in_scope(user)
        granted = self._granted_to(user)
        return self.filter(mine | Q(pk__in=granted)) if granted else self.filter(mine)

    def _granted_to(self, user: Any) -> list[Any]:
        kind = ContentType.objects.get_for_model(self.model)
        pks = _grants_of(user).get((kind.pk, f"view_{self.model._meta.model_name}"), ())
        return [self.model._meta.pk.to_python(pk) for pk in pks]


def _grants_of(user: Any) -> dict[tuple[int, str], list[str]]:
    """Return the numbers of the rows that ``user`` may look at singly, by kind and right; read once a request.

    Like the roles they are kept with the person, who is read anew for every request.
    """
    found: dict[tuple[int, str], list[str]] | None = user.__dict__.get(_GRANTS)
    if found is None:
        found = {}
        rows = UserObjectPermission.objects.filter(user=user, permission__codename__startswith="view_")
        for kind, right, pk in rows.values_list("content_type_id", "permission__codename", "object_pk"):
            found.setdefault((kind, right), []).append(pk)
        user.__dict__[_GRANTS] = found
    return found


class LedgerQuerySet(models.QuerySet[Row]):
    """Entries of the ledger."""

    def visible_to(self, user: Person) -> Self:
        """Keep the entries that ``user`` may see: all for those who answer for the whole, else those of their units.

        An operator's ledger is that of the own units and regions; other roles read no ledger.
        """
        roles = roles_of(user)
        if getattr(user, "is_superuser", False) and roles:
            return self
        if roles & WHOLE_LEDGER:
            return self
        # An entry without a unit is about the installation (tokens, connections), not about anybody's incidents.
        return self.filter(in_scope(user)).exclude(business_unit="") if "operator" in roles else self.none()


def in_scope(user: Any) -> Q:
    """Return the condition that a row's unit and region are the person's; a person without a scope has none."""
    scope = getattr(user, "scope", None)
    if scope is None:
        return Q(pk__in=[])
    allowed = Q()
    for field, values in (("business_unit", scope.business_units), ("region", scope.regions)):
        if "*" not in values:
            allowed &= Q(**{f"{field}__in": [value for value in values if value]})
    return allowed
