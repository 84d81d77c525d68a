"""Accounts: made and changed with roles and scope, each change entered without a secret."""

import json

import pytest
from django.contrib.auth.models import User

from audit.errors import Invalid
from audit.models import Entry, Scope
from audit.people import Profile, describe, put_user
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def last_entry() -> Entry:
    entry = Entry.objects.order_by("-n").first()
    assert entry is not None
    return entry


def test_a_new_person_has_roles_units_and_no_password_to_guess():
    profile = Profile("ada", roles=["operator", "approver"], business_units=["EU"], regions=["*"], email="a@x.example")

    user, changed = put_user(profile, actor="admin")

    assert changed
    assert describe(user) == {
        "email": "a@x.example",
        "first_name": "",
        "last_name": "",
        "active": True,
        "superuser": False,
        "roles": ["approver", "operator"],
        "business_units": ["EU"],
        "regions": ["*"],
    }
    assert not user.has_usable_password()


def test_making_a_person_is_entered():
    user, _ = put_user(Profile("ada", roles=["viewer"]), actor="admin", reason="hired")

    entry = last_entry()

    assert (entry.verb, entry.actor, entry.reason, entry.target_id) == ("user.added", "admin", "hired", str(user.pk))
    assert json.loads(entry.body)["after"]["roles"] == ["viewer"]


def test_a_change_is_entered_with_before_and_after():
    make_user("ada", role="viewer", units=["EU"])

    put_user(Profile("ada", roles=["operator"], business_units=["EU", "US"]), actor="admin")

    body = json.loads(last_entry().body)
    assert body["before"] == {"roles": ["viewer"], "business_units": ["EU"]}
    assert body["after"] == {"roles": ["operator"], "business_units": ["EU", "US"]}


def test_the_same_again_changes_and_enters_nothing():
    profile = Profile("ada", roles=["viewer"], business_units=["EU"], password="a-long-secret")
    put_user(profile, actor="admin")
    count = Entry.objects.count()

    _, changed = put_user(profile, actor="admin")

    assert not changed
    assert Entry.objects.count() == count


def test_what_the_profile_leaves_open_stays():
    make_user("ada", role="operator", units=["EU"], regions=["DE"])

    put_user(Profile("ada", first_name="Ada"), actor="admin")

    told = describe(User.objects.get(username="ada"))
    assert (told["roles"], told["business_units"], told["regions"]) == (["operator"], ["EU"], ["DE"])


def test_a_password_is_set_and_never_told():
    put_user(Profile("ada", password="a-long-secret"), actor="admin")

    assert User.objects.get(username="ada").check_password("a-long-secret")
    assert json.loads(last_entry().body)["after"]["password"] == "set"
    assert "a-long-secret" not in "".join(Entry.objects.values_list("body", flat=True))


def test_an_unknown_role_is_refused_and_nobody_is_made():
    with pytest.raises(Invalid, match="No such role: emperor") as refusal:
        put_user(Profile("ada", roles=["emperor"]), actor="admin")

    assert "roles" in refusal.value.errors
    assert not User.objects.filter(username="ada").exists()


@pytest.mark.parametrize(
    ("role", "staff"),
    [("viewer", False), ("operator", False), ("approver", False), ("compliance", True), ("auditor", True)],
)
def test_only_some_roles_open_the_admin(role, staff):
    assert make_user("ada", role=role).is_staff is staff


def test_losing_the_role_closes_the_admin_again():
    make_user("ada", role="automation_admin")

    put_user(Profile("ada", roles=["viewer"]), actor="admin")

    assert not User.objects.get(username="ada").is_staff


def test_groups_that_are_no_roles_are_kept():
    user = make_user("ada", role="viewer")
    user.groups.create(name="choir")

    put_user(Profile("ada", roles=["operator"]), actor="admin")

    assert set(user.groups.values_list("name", flat=True)) == {"choir", "operator"}


def test_a_changed_scope_has_its_own_history():
    make_user("ada", units=["EU"])

    put_user(Profile("ada", business_units=["US"]), actor="admin")

    assert [version.business_units for version in Scope.objects.get().history.all()] == [["US"], ["EU"]]
