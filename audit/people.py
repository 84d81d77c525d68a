"""Verbs about people: make or change one, give roles and scope, issue and revoke tokens. Each is entered."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group, User
from django.db import transaction

from audit import tokens
from audit.actions import record
from audit.clock import db_now
from audit.errors import Invalid
from audit.models import ApiToken, Scope
from audit.roles import ROLES


@dataclass(frozen=True)
class Profile:
    """What a person's account should say. ``None`` leaves a column as it stands (or at its default)."""

    username: str
    roles: Sequence[str] | None = None
    business_units: Sequence[str] | None = None
    regions: Sequence[str] | None = None
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    active: bool | None = None
    superuser: bool | None = None
    password: str | None = None


def describe(user: User) -> dict[str, Any]:
    """Return what ``Profile`` can say about ``user``, for comparing; a password never stands in it."""
    scope = Scope.objects.filter(user=user).first()
    return {
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "active": user.is_active,
        "superuser": user.is_superuser,
        "roles": sorted(user.groups.filter(name__in=ROLES).values_list("name", flat=True)),
        "business_units": list(scope.business_units) if scope else [],
        "regions": list(scope.regions) if scope else [],
    }


@transaction.atomic
def put_user(profile: Profile, *, actor: str, reason: str = "") -> tuple[User, bool]:
    """Make the account or bring it in line with ``profile``; return it and whether anything changed.

    Raises ``Invalid`` for an unknown role.
    """
    unknown = sorted(set(profile.roles or ()) - set(ROLES))
    if unknown:
        raise Invalid(f"No such role: {', '.join(unknown)}.", {"roles": [f"Known roles: {', '.join(ROLES)}."]})
    user = User.objects.filter(username=profile.username).first()
    before = describe(user) if user else {}
    user = user or User(username=profile.username)
    _write_columns(user, profile)
    new_password = _set_password(user, profile.password, fresh=not before)
    user.save()
    _write_roles(user, profile)
    _write_scope(user, profile)
    after = describe(user)
    changed = {name: value for name, value in after.items() if before.get(name) != value or not before}
    if not changed and not new_password:
        return user, False
    record(
        "user.changed" if before else "user.added",
        actor=actor,
        target=user,
        reason=reason,
        before={name: before[name] for name in changed if name in before},
        after={**changed, **({"password": "set"} if new_password else {})},
    )
    return user, True


def _write_columns(user: User, profile: Profile) -> None:
    columns = {
        "email": profile.email,
        "first_name": profile.first_name,
        "last_name": profile.last_name,
        "is_active": profile.active,
        "is_superuser": profile.superuser,
    }
    for name, value in columns.items():
        if value is not None:
            setattr(user, name, value)


def _set_password(user: User, password: str | None, *, fresh: bool) -> bool:
    """Set the password where it differs; an account made without one cannot be logged in to."""
    if password is None:
        if fresh:
            user.set_unusable_password()
        return False
    if not fresh and user.check_password(password):
        return False
    user.set_password(password)
    return True


def _write_roles(user: User, profile: Profile) -> None:
    if profile.roles is not None:
        user.groups.remove(*user.groups.filter(name__in=set(ROLES) - set(profile.roles)))
        user.groups.add(*(Group.objects.get_or_create(name=name)[0] for name in profile.roles))
        user.__dict__.pop("_goldseam_roles", None)
    settle_staff(user)


def settle_staff(user: User) -> None:
    """Let a person into the admin exactly when a role or superuser rights say so."""
    names = user.groups.values_list("name", flat=True)
    staff = user.is_superuser or any(ROLES[name].staff for name in names if name in ROLES)
    if staff != user.is_staff:
        user.is_staff = staff
        user.save(update_fields=["is_staff"])


def _write_scope(user: User, profile: Profile) -> None:
    wanted = {"business_units": profile.business_units, "regions": profile.regions}
    given = {name: list(values) for name, values in wanted.items() if values is not None}
    scope, made = Scope.objects.get_or_create(user=user, defaults=given)
    if not made and any(getattr(scope, name) != values for name, values in given.items()):
        for name, values in given.items():
            setattr(scope, name, values)
        scope.save()
    user.scope = scope


@transaction.atomic
def issue_token(
    user: User, *, name: str, actor: str, scopes: Iterable[str] = (), days: int | None = None
) -> tuple[ApiToken, str]:
    """Make a token for ``user`` and return it with its text, which is never to be had again.

    ``scopes`` narrow what it may do (see ``audit.tokens``); none: all that the user may. ``days``: its life.
    Raises ``Invalid`` for a scope that means nothing.
    """
    wanted = sorted(set(scopes))
    wrong = [scope for scope in wanted if not tokens.is_scope(scope)]
    if wrong:
        raise Invalid(f"No such scope: {', '.join(wrong)}.", {"scopes": [tokens.SCOPES_EXPLAINED]})
    text = tokens.fresh()
    token = ApiToken.objects.create(
        user=user,
        name=name[:100],
        prefix=text[:10],
        digest=tokens.digest_of(text),
        scopes=wanted,
        expires_at=db_now() + timedelta(days=days) if days else None,
    )
    record(
        "token.issued",
        actor=actor,
        target=token,
        data={"user": user.username, "name": token.name, "scopes": wanted, "expires_at": token.expires_at},
    )
    return token, text


@transaction.atomic
def revoke_token(token: ApiToken, *, actor: str, reason: str = "") -> bool:
    """End a token at once; ``False`` where it had ended before."""
    if not ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=db_now()):
        return False
    record("token.revoked", actor=actor, target=token, reason=reason, data={"user": token.user.get_username()})
    return True
