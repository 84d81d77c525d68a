"""What every test may lean on: a database file per process, people by role, and API clients."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection, connections
from rest_framework.test import APIClient

from audit import slots
from audit.clock import db_now
from tests import emptying
from tests.factories import make_token, make_user


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--only-database",
        action="store_true",
        help="leave out tests that touch no database: another changes nothing for them",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--only-database"):
        left_out = [item for item in items if not _touches_database(item)]
        items[:] = [item for item in items if _touches_database(item)]
        config.hook.pytest_deselected(items=left_out)
    # What starts processes of its own goes first: at the end one worker would have all of it, and the others nothing.
    items.sort(key=lambda item: _touches_database(item) or item.path.parent.name not in ("chaos", "journeys"))


def _touches_database(item: pytest.Item) -> bool:
    if item.get_closest_marker("any_database") is not None:
        return False
    names = {"db", "transactional_db", "live_server"}
    marked = item.get_closest_marker("django_db") or item.get_closest_marker("services")
    return marked is not None or not names.isdisjoint(getattr(item, "fixturenames", ()))


def pytest_configure() -> None:
    # A real password hash costs a tenth of a second on purpose; a test has no attacker to slow down.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # WhiteNoise warns where nobody has collected static files yet.
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Keep the embedded database in a file: threads share it as processes do in earnest, which memory cannot show."""
    chosen = connections["default"].settings_dict
    if chosen["ENGINE"].endswith("sqlite3"):
        chosen["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Let a test database be emptied between tests, quickly, and although its ledger refuses that."""
    with django_db_blocker.unblock(), emptying.quickly(connection):
        yield


@pytest.fixture(autouse=True)
def _fresh_cache() -> Iterator[None]:
    """Counters of rate limits must not leak from one test into the next."""
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def _turns_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at a schedule is a turn of its own: what two looks have in common is never left to the second."""
    turns = count(1)
    monkeypatch.setattr(slots, "db_now", lambda: db_now() + timedelta(days=2 * next(turns)))


@pytest.fixture
def one_turn(db: None, _turns_pass: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """All looks at a schedule fall into one turn, however long they take."""
    noon = db_now()
    monkeypatch.setattr(slots, "db_now", lambda: noon)


@pytest.fixture
def admin(db: None) -> User:
    return make_user("admin", role="", superuser=True)


@pytest.fixture
def viewer(db: None) -> User:
    """Sees business unit EU only."""
    return make_user("viewer", role="viewer", units=["EU"])


@pytest.fixture
def operator(db: None) -> User:
    return make_user("operator", role="operator")


@pytest.fixture
def approver(db: None) -> User:
    return make_user("approver", role="approver")


@pytest.fixture
def approver2(db: None) -> User:
    return make_user("approver2", role="approver")


@pytest.fixture
def compliance(db: None) -> User:
    return make_user("compliance", role="compliance")


@pytest.fixture
def automation(db: None) -> User:
    return make_user("automation", role="automation_admin")


@pytest.fixture
def auditor(db: None) -> User:
    return make_user("auditor", role="auditor")


@pytest.fixture
def integration(db: None) -> User:
    return make_user("integration", role="integration")


@pytest.fixture
def nobody(db: None) -> User:
    """A person who can sign in and has no role."""
    return make_user("nobody", role="", units=[], regions=[])


@pytest.fixture
def api() -> Callable[..., APIClient]:
    """``api(user, scopes=[…])``: a client of the HTTP API that shows a token of ``user``; ``api()`` shows none."""

    def client_of(user: User | None = None, *, scopes: tuple[str, ...] | list[str] = ()) -> APIClient:
        client = APIClient()
        if user is not None:
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(user, scopes=scopes)}")
        return client

    return client_of
