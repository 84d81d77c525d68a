"""The third floor: the backbone. Signals become incidents, with evidence, a cause and a clock."""

from django.apps import AppConfig


class IncidentsConfig(AppConfig):
    """Signals, incidents, evidence, root causes and service levels."""

    name = "incidents"
    verbose_name = "Incidents"
