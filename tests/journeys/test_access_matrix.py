"""Every route × method × role × unit: nobody gets through where the table does not say so."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings

from audit.roles import WHOLE_LEDGER
from playbooks.views.acts import ACTS
from tests.journeys.access_asking import ABSENT, NO, OK, SIGN_IN, Answer, Refused, address, ask, methods_of, routes
from tests.journeys.access_matrix import NOBODY, ROWS, VERBS, Row
from tests.journeys.access_world import Person, World, make_world

pytestmark = pytest.mark.django_db
REFUSED = {NO, ABSENT}


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Build the world once; each test takes back what it did to it."""
    folder = tmp_path_factory.mktemp("insights")
    with django_db_blocker.unblock(), override_settings(INSIGHTS_DIR=folder), transaction.atomic():
        yield make_world()
        transaction.set_rollback(True)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Refused:
    return Refused(monkeypatch)


def expected(row: Row, person: Person) -> set[str]:
    """Return what may come back to ``person``."""
    if row.who == NOBODY:
        return {*REFUSED, SIGN_IN}
    if person.user is None or not person.user.is_active or person.name == "inactive":
        # Where nobody needs to show who they are, showing a token that is no longer good is still refused.
        return {OK, SIGN_IN} if "anonymous" in row.who else {SIGN_IN}
    if row.bound and person.unit == "US" and not whole(row, person):
        # Without the role, being told so first gives nothing away: no object was looked for.
        return {ABSENT} if person.role in row.who else REFUSED
    return {OK} if person.role in row.who else REFUSED


def wrong(row: Row, person: Person, answer: Answer) -> str:
    """Say what is wrong with an answer; nothing where it is as it should be."""
    wanted = expected(row, person)
    if answer.verdict not in wanted:
        return f"{person.name}: {answer.verdict} ({answer.status}), expected {' or '.join(sorted(wanted))}"
    told = answer.shown() if answer.verdict != OK or person.unit == "US" or not person.role else []
    return f"{person.name}: reads {told}" if told and not whole(row, person) else ""


def whole(row: Row, person: Person) -> bool:
    """Tell whether the row is the ledger's, which has no units for those who answer for the whole."""
    return row.route.startswith(("audit/", "api/v1/audit/")) and person.role in WHOLE_LEDGER


def test_every_route_and_method_is_in_the_table() -> None:
    found = {
        f"{method} {route}" for route, one in routes() if not route.startswith("admin/") for method in methods_of(one)
    }
    told = [str(row) for row in ROWS]

    missing, gone = sorted(found - set(told)), sorted(set(told) - found)
    assert not missing, "Add to tests/journeys/access_matrix.py, under the roles that it is for:\n" + "\n".join(missing)
    assert not gone, "Take out of tests/journeys/access_matrix.py, no such route:\n" + "\n".join(gone)
    assert len(told) == len(set(told))
    assert set(VERBS) == set(ACTS), "Each verb of an incident's page needs its roles in VERBS."


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_nobody_gets_through_where_the_table_does_not_say_so(row: Row, world: World, refused: Refused) -> None:
    path = address(row.route, world)

    found = [wrong(row, one, ask(world, one, row.method, path, refused)) for one in world.people.values()]

    assert not [one for one in found if one], f"{row} ({path})"


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_does_with_an_incident_what_the_table_does_not_say(verb: str, world: World, refused: Refused) -> None:
    row = Row("POST", f"incidents/<int:pk>/do/{verb}/", VERBS[verb], bound=True)
    about = world.rows["kept"] if verb == "unmerge" else world.incident
    path = f"/incidents/{about.pk}/do/{verb}/"

    found = [wrong(row, one, ask(world, one, "POST", path, refused)) for one in world.people.values()]

    assert not [one for one in found if one]


def test_letters_of_one_cause_are_closed_by_those_who_mend_and_only_theirs(world: World, refused: Refused) -> None:
    asked = {one.name: ask(world, one, "POST", "/dead-letters/group/", refused) for one in world.people.values()}

    assert {name for name, one in asked.items() if one.entered} == {"operator EU", "automation_admin EU"}
