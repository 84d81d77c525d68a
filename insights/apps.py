"""The fifth floor: what the logs and the loop's own life show. It reads all below and changes none of it."""

from django.apps import AppConfig


class InsightsConfig(AppConfig):
    """Event logs, process and task mining, detectors, KPIs, value and the feed."""

    name = "insights"
    verbose_name = "Insights"

    def ready(self) -> None:
        """Connect the bells, make the schedules known, and offer what ``apply`` and packs may bring."""
        from connectors import forgetting
        from insights import (
            named,
            tasks,  # noqa: F401 - importing connects them
        )
        from insights.detectors import manifests as detectors
        from insights.kpis import manifests as kpis
        from insights.kpis import usage
        from playbooks.manifests import installer

        named.register()
        forgetting.keep_calls("insights", usage.uncounted)
        installer.offer(detectors.DOCUMENTS)
        installer.offer(kpis.DOCUMENTS)
