"""The third floor: the backbone. Signals become incidents, with evidence, a cause and a clock."""

from django.apps import AppConfig


class IncidentsConfig(AppConfig):
    """Signals, incidents, evidence, root causes and service levels."""

    name = "incidents"
    verbose_name = "Incidents"

    def ready(self) -> None:
        """Connect the bells to the news of the floor below, and say which operations are named here."""
        from incidents import (
            named,
            needed,
            tasks,  # noqa: F401 - importing connects them
        )

        named.register()
        needed.register()
