"""The fourth floor: the mending engine."""

from django.apps import AppConfig


class PlaybooksConfig(AppConfig):
    """Playbooks, policies, plans, the loop, execution, verification and rollback."""

    name = "playbooks"
    verbose_name = "Playbooks"
