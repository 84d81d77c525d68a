"""What every page knows: the environment, what waits, which pages a role may open."""

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.cache import cache
from django.test import RequestFactory, override_settings

from config.context import console
from incidents.states import Status
from tests.factories import make_user
from tests.playbooks import scenes

pytestmark = pytest.mark.django_db


def known(user: User | AnonymousUser) -> dict[str, Any]:
    request = RequestFactory().get("/")
    request.user = user
    return console(request)


def test_nobody_is_told_only_the_environment(django_assert_num_queries):
    with override_settings(ENVIRONMENT="test"), django_assert_num_queries(0):
        assert known(AnonymousUser()) == {"environment": "test"}


def test_a_page_that_shows_no_bar_asks_the_database_nothing(operator, django_assert_num_queries):
    with django_assert_num_queries(0):
        known(operator)


def test_what_waits_is_counted_for_each_page(operator, approver):
    scenes.stuck()
    scenes.waiting_for_approval()

    mine, theirs = dict(known(operator)["nav_counts"]), dict(known(approver)["nav_counts"])

    assert mine == {"inbox": 1, "approvals": 0, "dead_letters": 1}
    assert theirs == {"inbox": 1, "approvals": 1, "dead_letters": 1}


def test_the_counts_are_those_of_the_readers_units():
    scenes.stuck(business_unit="US", region="US-EAST")

    assert dict(known(make_user("eu", role="operator", units=["EU"]))["nav_counts"])["dead_letters"] == 0


def test_the_counts_are_kept_for_a_moment_and_then_counted_anew(operator, django_assert_num_queries):
    dict(known(operator)["nav_counts"])
    scenes.make_incident(Status.NEEDS_OPERATOR)

    with django_assert_num_queries(0):
        kept = dict(known(operator)["nav_counts"])
    cache.clear()

    assert kept["inbox"] == 0
    assert dict(known(operator)["nav_counts"])["inbox"] == 1


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("admin", []),
        ("operator", []),
        ("auditor", []),
        ("automation", ["Audit"]),
        ("approver", ["Audit", "Connections"]),
        ("viewer", ["Audit", "Connections"]),
    ],
)
def test_pages_that_a_role_may_not_open_are_not_offered(request, name, hidden):
    assert list(known(request.getfixturevalue(name))["nav_hidden"]) == hidden


def test_a_person_is_told_their_roles_and_units(admin, viewer):
    assert str(known(admin)["user_roles"]) == "Administrator"
    assert str(known(viewer)["user_roles"]) == "Viewer · EU"
    assert str(known(make_user("all", role=["operator", "approver"]))["user_roles"]) == "Approver, Operator · all units"


def test_the_bar_of_a_page_shows_them(client, operator):
    scenes.stuck()
    client.force_login(operator)

    page = client.get("/dead-letters/").content.decode()

    assert 'aria-current="page"' in page
    assert '<span class="count">1<span class="sr"> waiting</span></span>' in page
    assert "Operator" in page
