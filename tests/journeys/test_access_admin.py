"""Django's admin: every model × role × unit, held to the table of roles."""

from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model

from audit.roles import ADD, FAMILIES, ROLES, VIEW
from tests.journeys.access_asking import NO, OK, SIGN_IN, Refused, ask
from tests.journeys.access_world import Person, World
from tests.journeys.test_access_matrix import refused, world  # noqa: F401 - the same world, built anew for this file

pytestmark = pytest.mark.django_db
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label_lower)


def rights(model: type[Model], role: str) -> tuple[str, ...]:
    """Return what a role may do to a model; what no family names is nobody's."""
    names = [name for name, models in FAMILIES.items() if model._meta.label_lower in models]
    return tuple(act for name in names for act in ROLES[role].rights.get(name, ())) if role else ()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_the_admin_shows_and_takes_what_the_roles_say(model: type[Any], world: World, refused: Refused) -> None:  # noqa: F811 - the fixtures above
    start = f"/admin/{model._meta.label_lower.replace('.', '/')}/"
    for person in world.people.values():
        listed = ask(world, person, "GET", start, refused)
        added = ask(world, person, "POST", f"{start}add/", refused)

        assert listed.verdict == _wanted(model, person, VIEW), f"{person.name} at {start}: {listed.status}"
        if _wanted(model, person, ADD) != OK:
            assert added.verdict == _wanted(model, person, ADD), f"{person.name} adds at {start}: {added.status}"
        if listed.verdict != OK or person.unit == "US":
            shown = listed.shown() if model._meta.label_lower != "audit.entry" else []
            assert not shown, f"{person.name} reads {shown} at {start}"


def _wanted(model: type[Model], person: Person, act: str) -> str:
    enters = person.user is not None and person.role and ROLES[person.role].staff and person.name != "inactive"
    if not enters:
        return SIGN_IN
    return OK if act in rights(model, person.role) else NO
