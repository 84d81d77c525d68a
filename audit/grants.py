"""Makes Django's groups and permissions say what the table in ``audit.roles`` says."""

from django.contrib.auth.models import Group, Permission
from django.db import DEFAULT_DB_ALIAS

from audit.roles import ROLES, permissions_of


def sync_roles(app_label: str, using: str = DEFAULT_DB_ALIAS) -> None:
    """Give each role's group exactly the permissions on ``app_label`` that the table names.

    Runs after every ``migrate`` and after a test database was emptied. Permissions of other
    groups, and what persons hold themselves, are left alone.
    """
    named = {role: {name for app, name in permissions_of(role) if app == app_label} for role in ROLES}
    if not any(named.values()):
        return
    there = {
        permission.codename: permission
        for permission in Permission.objects.using(using).filter(content_type__app_label=app_label)
    }
    for role, names in named.items():
        group, _ = Group.objects.using(using).get_or_create(name=role)
        held = set(group.permissions.filter(content_type__app_label=app_label))
        wanted = {there[name] for name in names if name in there}
        group.permissions.remove(*(held - wanted))
        group.permissions.add(*(wanted - held))
