"""The second floor: every other system, behind one door."""

from django.apps import AppConfig


class ConnectorsConfig(AppConfig):
    """Connections to other systems, and the gateway that all calls pass."""

    name = "connectors"
    verbose_name = "Connectors"

    def ready(self) -> None:
        """Keep secrets in addresses out of the logs."""
        from connectors.wire import logpaths

        logpaths.install()
