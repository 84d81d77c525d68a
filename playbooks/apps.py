"""The fourth floor: the mending engine."""

from django.apps import AppConfig


class PlaybooksConfig(AppConfig):
    """Playbooks, policies, plans, the loop, execution, verification and rollback."""

    name = "playbooks"
    verbose_name = "Playbooks"

    def ready(self) -> None:
        # Importing connects the bells, the news from below and the schedules.
        from playbooks import named, needed, parts, receivers, schedules, tasks  # noqa: F401
        from playbooks.manifests import installer
        from playbooks.telling import manifests as subscriptions
        from playbooks.telling import tasks as telling  # noqa: F401

        parts.register()
        named.register()
        needed.register()
        installer.offer(subscriptions.DOCUMENTS)
