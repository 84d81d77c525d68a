"""A token that is narrowed to scopes does no more than they say, at any address of the API."""

import pytest

from audit.tokens import covers
from tests.factories import make_token
from tests.journeys.access_asking import ABSENT, NO, OK, SIGN_IN, Refused, address, ask
from tests.journeys.access_matrix import NOBODY, ROWS, WORLD, Row
from tests.journeys.access_world import Person, World
from tests.journeys.test_access_matrix import refused, world  # noqa: F401 - the same world, built anew for this file

pytestmark = pytest.mark.django_db
API = [row for row in ROWS if row.route.startswith(("api/v1/", "^odata/")) and row.who not in (NOBODY, WORLD)]
SCOPES = ("incidents:read", "signals:write", "read")


def needed(row: Row) -> str:
    """Return the scope that a row takes: its part of the API, and whether it reads."""
    area = "odata" if row.route.startswith("^odata") else row.route.split("/")[2]
    return f"{area}:{'read' if row.method == 'GET' else 'write'}"


@pytest.mark.parametrize("row", API, ids=str)
def test_a_narrow_token_reaches_only_what_its_scopes_name(row: Row, world: World, refused: Refused) -> None:  # noqa: F811 - the fixtures above
    user = world.people["operator EU"].user
    assert user is not None
    for scope in SCOPES:
        person = Person(scope, "operator", "EU", user, make_token(user, name=scope, scopes=[scope]))

        answer = ask(world, person, row.method, address(row.route, world), refused)

        if not covers([scope], needed(row)):
            assert answer.verdict == NO, f"{scope} at {row}: {answer.verdict} {answer.status}"
            assert not answer.shown()
        elif row.who >= {"operator"}:
            assert answer.verdict == OK, f"{scope} at {row}: {answer.verdict} {answer.status}"
        else:
            assert answer.verdict in {NO, ABSENT, SIGN_IN}
