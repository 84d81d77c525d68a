"""Addresses of event logs."""

from django.urls import URLPattern, path

from insights.eventlog import api, records_api

api_urlpatterns: list[URLPattern] = [
    path("event-logs/", api.LogList.as_view(), name="api_event_logs"),
    path("event-logs/<int:pk>/", api.LogDetail.as_view(), name="api_event_log"),
    path("event-logs/<int:pk>/mapping/", api.LogMapping.as_view(), name="api_event_log_mapping"),
    path("event-logs/<int:pk>/records/", records_api.LogRecords.as_view(), name="api_event_log_records"),
    path("event-logs/<int:pk>/preview/", api.LogPreview.as_view(), name="api_event_log_preview"),
]
