"""Every address that Goldseam answers."""

from contextlib import suppress
from importlib import import_module
from typing import Any

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from config import health, metrics
from config.api.views import DocsView, SchemaView

APPS = ("playbooks", "approvals", "incidents", "connectors", "audit")

handler400 = "config.api.problems.bad_request"
handler403 = "config.api.problems.forbidden"
handler404 = "config.api.problems.not_found"
handler500 = "config.api.problems.server_error"


def _of_apps(name: str) -> list[URLPattern | URLResolver]:
    found: list[Any] = []
    for app in APPS:
        # While the apps are being built, one that does not import yet only lacks its addresses.
        with suppress(ImportError):
            found += getattr(import_module(f"{app}.urls"), name, [])
    return found


urlpatterns = [
    *_of_apps("urlpatterns"),
    path("api/v1/", include(_of_apps("api_urlpatterns"))),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", DocsView.as_view(url_name="schema"), name="docs"),
    path("health/live", health.live, name="live"),
    path("health/ready", health.ready, name="ready"),
    path("metrics", metrics.metrics, name="metrics"),
    path("admin/", admin.site.urls),
]
