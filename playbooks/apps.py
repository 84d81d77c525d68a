"""The fourth floor: the mending engine."""

from django.apps import AppConfig


class PlaybooksConfig(AppConfig):
    """Playbooks, policies, plans, the loop, execution, verification and rollback."""

    name = "playbooks"
    verbose_name = "Playbooks"

    def ready(self) -> None:
        import importlib.util

        if (
            importlib.util.find_spec("incidents.evidence")
            and importlib.util.find_spec("incidents.triage")
            and importlib.util.find_spec("incidents.rootcause")
            and importlib.util.find_spec("incidents.actions")
        ):
            from playbooks import receivers, schedules, tasks  # noqa: F401
