"""Configuration as code: what a document of a manifest is, and the documents about units and people."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from pydantic import BaseModel, ConfigDict, Field, field_validator

from audit.actions import record
from audit.errors import Invalid
from audit.models import BusinessUnit
from audit.people import Profile, describe, put_user
from audit.roles import ROLES


@dataclass(frozen=True)
class Difference:
    """One thing that applying a document would change. ``field`` is blank where the whole row is new."""

    document: str  # such as "unit EU"
    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class DocumentType:
    """One ``kind:`` of document: its schema, when it is applied, and what applying it does.

    ``order``: lower ones go first, so that what others name is there. ``plan`` changes nothing;
    ``apply`` runs inside a transaction and tells whether anything changed. Both may raise ``Invalid``.
    """

    schema: type[BaseModel]
    order: int
    plan: Callable[[Any], list[Difference]]
    apply: Callable[[Any, str], bool]


class Document(BaseModel):
    """What all documents share: unknown keys are refused, because a misspelt one would silently do nothing."""

    model_config = ConfigDict(extra="forbid")

    kind: str


def differences(document: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[Difference]:
    """Compare what stands (``None``: nothing yet) with what is wanted, key by key of ``after``."""
    known = before or {}
    fresh = before is None
    return [
        Difference(document, name, known.get(name), value)
        for name, value in after.items()
        if fresh or known.get(name) != value
    ]


def from_environment(value: str, where: str) -> str:
    """Resolve ``env:NAME`` to that variable's value; other text is returned as it is.

    Raises ``Invalid`` where the variable is not set: an empty secret must never be applied silently.
    """
    if not value.startswith("env:"):
        return value
    name = value.removeprefix("env:")
    found = os.environ.get(name, "")
    if not found:
        raise Invalid(f"{where}: the environment variable {name} is not set.", {where: [f"Set {name}."]})
    return found


class UnitDocument(Document):
    """A business unit with its regions and currency."""

    slug: str = Field(max_length=40, pattern=r"^[-\w]+$")
    name: str = Field(max_length=120)
    regions: list[str] = []
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")


class UserDocument(Document):
    """A person (or program): roles, units, regions, and a password that comes from the environment."""

    username: str = Field(max_length=150, pattern=r"^[\w.@+-]+$")
    roles: list[str] = []
    units: list[str] = []
    regions: list[str] = []
    email: str = ""
    first_name: str = Field(default="", max_length=150)
    last_name: str = Field(default="", max_length=150)
    active: bool = True
    superuser: bool = False
    password: str | None = None

    @field_validator("roles")
    @classmethod
    def roles_are_known(cls, value: list[str]) -> list[str]:
        unknown = sorted(set(value) - set(ROLES))
        if unknown:
            raise ValueError(f"unknown role {', '.join(unknown)}; known are {', '.join(ROLES)}")
        return sorted(set(value))

    @field_validator("password")
    @classmethod
    def password_stays_out_of_files(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("env:"):
            raise ValueError("write password: env:NAME, so that no password stands in a file")
        return value


def _unit_columns(document: UnitDocument) -> dict[str, Any]:
    return document.model_dump(exclude={"kind", "slug"})


def _unit_before(slug: str) -> dict[str, Any] | None:
    unit = BusinessUnit.objects.filter(slug=slug).first()
    return {"name": unit.name, "regions": unit.regions, "currency": unit.currency} if unit else None


def plan_unit(document: UnitDocument) -> list[Difference]:
    """Say what applying a unit would change."""
    return differences(f"unit {document.slug}", _unit_before(document.slug), _unit_columns(document))


@transaction.atomic
def apply_unit(document: UnitDocument, actor: str) -> bool:
    """Make the unit or bring it in line."""
    lines = plan_unit(document)
    if not lines:
        return False
    fresh = not BusinessUnit.objects.filter(slug=document.slug).exists()
    unit, _ = BusinessUnit.objects.update_or_create(slug=document.slug, defaults=_unit_columns(document))
    enter_applied("businessunit", unit, lines, actor, fresh=fresh)
    return True


def enter_applied(name: str, row: Any, lines: Iterable[Difference], actor: str, *, fresh: bool) -> None:
    """Enter in the ledger what a document changed; ``name`` as the admin writes it (``connection``, ``policy`` …)."""
    lines = list(lines)
    record(
        f"{name}.{'added' if fresh else 'changed'}",
        actor=actor,
        target=row,
        reason="applied from a file",
        before={} if fresh else {line.field: line.before for line in lines},
        after={line.field: line.after for line in lines},
        data={"name": str(row)},
    )


def _profile(document: UserDocument) -> Profile:
    return Profile(
        username=document.username,
        roles=document.roles,
        business_units=document.units,
        regions=document.regions,
        email=document.email,
        first_name=document.first_name,
        last_name=document.last_name,
        active=document.active,
        superuser=document.superuser,
        password=from_environment(document.password, f"user {document.username}: password")
        if document.password
        else None,
    )


def plan_user(document: UserDocument) -> list[Difference]:
    """Say what applying a person would change; of a password only that it would."""
    profile = _profile(document)
    user = User.objects.filter(username=document.username).first()
    names = ("email", "first_name", "last_name", "active", "superuser", "business_units", "regions")
    wanted = {name: getattr(profile, name) for name in names} | {"roles": document.roles}
    lines = differences(f"user {document.username}", describe(user) if user else None, wanted)
    if profile.password is not None and (user is None or not user.check_password(profile.password)):
        lines.append(Difference(f"user {document.username}", "password", "set" if user else None, "changed"))
    return lines


def apply_user(document: UserDocument, actor: str) -> bool:
    """Make the person or bring them in line."""
    return put_user(_profile(document), actor=actor, reason="applied from a file")[1]


DOCUMENTS: dict[str, DocumentType] = {
    "unit": DocumentType(UnitDocument, 10, plan_unit, apply_unit),
    "user": DocumentType(UserDocument, 20, plan_user, apply_user),
}
