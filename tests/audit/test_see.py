"""Who may see a row: by role, unit, region and single grants, in a constant number of queries."""

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.access import grant, has_role, may_look, roles_of, withdraw
from audit.models import Entry
from audit.roles import ROLES
from incidents.models import Incident
from tests.audit.factories import make_entry
from tests.factories import make_user

pytestmark = pytest.mark.django_db
PLACES = [("EU", "DE"), ("EU", "FR"), ("US", "US-EAST"), ("EU", ""), ("", "")]


@pytest.fixture
def rows(db: None) -> dict[tuple[str, str], Incident]:
    """One incident in each place."""
    at = "2026-11-02T09:00:00Z"
    return {
        (unit, region): Incident.objects.create(
            code="late", fingerprint=f"{unit}{region}f", title="t", entity_type="order", entity_key="1",
            business_unit=unit, region=region, first_signal_at=at, last_signal_at=at, opened_at=at,
        )
        for unit, region in PLACES
    }  # fmt: skip


def seen_by(user: Any) -> set[tuple[str, str]]:
    return set(Incident.objects.visible_to(user).values_list("business_unit", "region"))


@pytest.mark.parametrize(
    ("units", "regions", "expected"),
    [
        (["*"], ["*"], set(PLACES)),
        (["EU"], ["*"], {("EU", "DE"), ("EU", "FR"), ("EU", "")}),
        (["EU"], ["DE"], {("EU", "DE")}),
        (["EU", "US"], ["DE", "US-EAST"], {("EU", "DE"), ("US", "US-EAST")}),
        (["*"], ["FR"], {("EU", "FR")}),
        (["US"], ["DE"], set()),
        ([], ["*"], set()),
        (["*"], [], set()),
        ([""], [""], set()),
    ],
)
def test_a_row_shows_where_unit_and_region_are_in_scope(rows, units, regions, expected):
    user = make_user("somebody", role="viewer", units=units, regions=regions)

    assert seen_by(user) == expected


@pytest.mark.parametrize("role", sorted(ROLES))
def test_every_role_sees_the_rows_of_its_scope(rows, role):
    assert seen_by(make_user("somebody", role=role, units=["US"])) == {("US", "US-EAST")}


def test_a_person_without_any_role_sees_nothing(rows):
    assert seen_by(make_user("somebody", role="", units=["*"], regions=["*"])) == set()


def test_a_person_whose_account_has_no_scope_sees_nothing(rows):
    user = make_user("somebody", role="operator")
    user.scope.delete()

    assert seen_by(User.objects.get(pk=user.pk)) == set()


def test_nobody_and_the_inactive_see_nothing(rows, operator, admin):
    operator.is_active = admin.is_active = False

    assert [seen_by(user) for user in (AnonymousUser(), operator, admin)] == [set(), set(), set()]


def test_a_superuser_sees_all(rows, admin):
    assert seen_by(admin) == set(PLACES)


def test_a_granted_row_shows_until_the_grant_is_withdrawn(rows):
    user = make_user("guest", role="viewer", units=["US"])
    grant(user, rows["EU", "DE"])

    assert seen_by(user) == {("US", "US-EAST"), ("EU", "DE")}

    withdraw(user, rows["EU", "DE"])

    assert seen_by(user) == {("US", "US-EAST")}


def test_a_grant_is_nobody_elses_and_no_help_without_a_role(rows):
    guest, other = make_user("guest", role="", units=[]), make_user("other", role="viewer", units=[])
    grant(guest, rows["EU", "DE"])

    assert (seen_by(guest), seen_by(other)) == (set(), set())


def test_a_grant_narrows_nothing_that_was_chained_before(rows):
    user = make_user("guest", role="viewer", units=[])
    grant(user, rows["EU", "DE"])

    assert not Incident.objects.filter(region="FR").visible_to(user).exists()


def test_asking_takes_four_queries_however_many_rows_and_grants(rows):
    user = make_user("guest", role="viewer", units=["US"])
    for row in rows.values():
        grant(user, row)
    user = User.objects.get(pk=user.pk)
    Incident.objects.visible_to(make_user("warm")).first()  # content types are cached by then

    with CaptureQueriesContext(connection) as queries:
        assert len(Incident.objects.visible_to(user)) == len(PLACES)

    assert len(queries) == 4  # roles, scope, grants, rows


# --- Roles ---------------------------------------------------------------------------------------
def test_roles_are_asked_of_the_database_once():
    user = make_user("somebody", role=["operator", "auditor"])

    with CaptureQueriesContext(connection) as queries:
        answers = [has_role(user, "operator"), has_role(user, "auditor", "viewer"), has_role(user, "viewer")]

    assert answers == [True, True, False]
    assert len(queries) == 1


def test_a_superuser_holds_every_role(admin):
    assert roles_of(admin) == frozenset(ROLES)


def test_a_group_that_is_no_role_gives_no_role(operator):
    operator.groups.clear()
    operator.groups.create(name="choir")

    assert roles_of(User.objects.get(pk=operator.pk)) == frozenset()


def test_a_misspelt_role_fails_at_once(operator):
    with pytest.raises(KeyError, match="operater"):
        has_role(operator, "operater")


# --- The ledger ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("auditor", {"EU", "US", ""}),
        ("compliance", {"EU", "US", ""}),
        ("operator", {"EU"}),
        ("viewer", set()),
        ("approver", set()),
        ("automation_admin", set()),
        ("integration", set()),
    ],
)
def test_the_ledger_shows_by_role_and_unit(role, expected):
    for unit in ("EU", "US", ""):
        make_entry(business_unit=unit, region="DE" if unit else "")
    user = make_user("reader", role=role, units=["EU"])

    seen = Entry.objects.visible_to(user).filter(verb="incident.opened")

    assert set(seen.values_list("business_unit", flat=True)) == expected


def test_an_operator_of_all_units_does_not_see_what_concerns_the_installation(operator):
    make_entry(business_unit="US", region="US-EAST")
    make_entry("connection.changed", business_unit="")

    assert list(Entry.objects.visible_to(operator).values_list("verb", flat=True)) == ["incident.opened"]


def test_a_superuser_sees_the_whole_ledger(admin):
    make_entry()

    assert Entry.objects.visible_to(admin).count() == Entry.objects.count()


def test_what_a_role_may_look_at_is_what_the_table_names():
    assert may_look(make_user("eyes", role="viewer"), "plans")
    assert not may_look(make_user("program", role="integration"), "plans")
    assert not may_look(make_user("nobody", role=""), "incidents")
    with pytest.raises(KeyError):
        may_look(make_user("other", role="viewer"), "plan")
