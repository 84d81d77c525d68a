"""The table of roles: every permission exists, every model of ours has its place, and migrate keeps groups in step."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission

from audit.grants import sync_roles
from audit.roles import FAMILIES, ROLES, permissions_of

pytestmark = pytest.mark.django_db
OURS = ("audit", "connectors", "incidents", "approvals", "playbooks", "insights", "config")
# Nobody looks at these by hand.
INSIDE = {
    "audit.head",
    "audit.slot",
    "config.idempotencykey",
    "connectors.begunthread",
    "connectors.earliermail",
    "connectors.kepttext",
    "connectors.sweepmark",
    "incidents.pace",
    "insights.usageday",
    "insights.usagemark",
    "playbooks.ledgermark",
}


def test_every_permission_in_the_table_exists():
    known = set(Permission.objects.values_list("content_type__app_label", "codename"))

    missing = {named for role in ROLES for named in permissions_of(role)} - known

    assert missing == set()


def test_every_model_of_ours_belongs_to_a_family():
    models = {
        model._meta.label_lower
        for model in apps.get_models()
        if model._meta.app_label in OURS and not model.__name__.startswith("Historical")
    }

    assert models - {name for family in FAMILIES.values() for name in family} == INSIDE


@pytest.mark.parametrize("role", sorted(ROLES))
def test_each_group_holds_exactly_what_the_table_names(role):
    held = Group.objects.get(name=role).permissions.values_list("content_type__app_label", "codename")

    assert set(held) == set(permissions_of(role))


def test_no_role_but_superuser_changes_people():
    for role in ROLES:
        changing = {name for app, name in permissions_of(role) if app in ("auth", "guardian")} | {
            name for app, name in permissions_of(role) if name.endswith(("_scope", "_apitoken"))
        }

        assert {name for name in changing if not name.startswith("view_")} == set(), role


def test_a_permission_that_somebody_slipped_in_is_taken_back():
    group = Group.objects.get(name="viewer")
    group.permissions.add(Permission.objects.get(codename="delete_incident"))

    sync_roles("incidents")

    assert not group.permissions.filter(codename="delete_incident").exists()


def test_a_group_that_was_lost_comes_back_with_its_permissions():
    Group.objects.filter(name="operator").delete()

    sync_roles("incidents")

    assert Group.objects.get(name="operator").permissions.filter(codename="change_incident").exists()


def test_permissions_on_other_apps_are_left_alone():
    group = Group.objects.get(name="auditor")

    sync_roles("incidents")

    assert group.permissions.filter(content_type__app_label="connectors").exists()


def test_groups_that_are_no_roles_are_left_alone():
    choir = Group.objects.create(name="choir")
    choir.permissions.add(Permission.objects.get(codename="delete_incident"))

    sync_roles("incidents")

    assert choir.permissions.count() == 1
