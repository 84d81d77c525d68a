"""The ground floor: the ledger, and the people who act."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """The tamper-evident ledger and who may act."""

    name = "audit"
    verbose_name = "Audit and people"
