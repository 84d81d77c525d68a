"""The top floor as an app, so that its commands and checks are found."""

from django.apps import AppConfig


class WiringConfig(AppConfig):
    """Wiring: commands that start Goldseam and checks that refuse dangerous settings."""

    name = "config"
    label = "config"

    def ready(self) -> None:
        from config import checks, freshness  # noqa: F401 - importing registers the checks

        freshness.connect()
