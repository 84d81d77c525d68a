"""Every address that Goldseam answers."""

from django.contrib import admin
from django.urls import include, path

import approvals.urls
import audit.urls
import connectors.urls
import incidents.urls
import insights.urls
import playbooks.urls
from config import health, metrics
from config.api.views import DocsView, SchemaView

handler400 = "config.api.problems.bad_request"
handler403 = "config.api.problems.forbidden"
handler404 = "config.api.problems.not_found"
handler500 = "config.api.problems.server_error"

urlpatterns = [
    # First, because signals come more often than anything else, and addresses are tried in this order.
    path(
        "api/v1/",
        include(
            [
                *incidents.urls.api_urlpatterns,
                *approvals.urls.api_urlpatterns,
                *playbooks.urls.api_urlpatterns,
                *connectors.urls.api_urlpatterns,
                *insights.urls.api_urlpatterns,
                *audit.urls.api_urlpatterns,
            ]
        ),
    ),
    *playbooks.urls.urlpatterns,
    *approvals.urls.urlpatterns,
    *incidents.urls.urlpatterns,
    *insights.urls.urlpatterns,
    *connectors.urls.urlpatterns,
    # Holds the one way to sign in, so it stands before the admin.
    *audit.urls.urlpatterns,
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", DocsView.as_view(url_name="schema"), name="docs"),
    path("health/live", health.live, name="live"),
    path("health/ready", health.ready, name="ready"),
    path("metrics", metrics.metrics, name="metrics"),
    path("admin/", admin.site.urls),
]
