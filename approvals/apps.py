"""The third floor, beside the backbone: who must say yes."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """Approval rules, requests and decisions."""

    name = "approvals"
    verbose_name = "Approvals"
