"""The ground floor: the ledger, and the people who act."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    """The tamper-evident ledger and who may act."""

    name = "audit"
    verbose_name = "Audit and people"

    def ready(self) -> None:
        # Permissions come into being after the migrations of each app, so the roles take them up then.
        post_migrate.connect(_give_roles_their_permissions, dispatch_uid="audit.roles")


def _give_roles_their_permissions(sender: AppConfig, using: str, **_: Any) -> None:
    from audit.grants import sync_roles

    sync_roles(sender.label, using)
