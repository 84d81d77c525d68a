"""Addresses of insights: pages, API and the OData feed."""

from django.urls import URLPattern

from insights.detectors import urls as detectors
from insights.eventlog import urls as eventlog
from insights.feed import urls as feed
from insights.kpis import urls as kpis
from insights.mining import urls as mining
from insights.tasklog import urls as tasklog
from insights.views import urls as views

api_urlpatterns: list[URLPattern] = [
    *detectors.api_urlpatterns,
    *kpis.api_urlpatterns,
    *eventlog.api_urlpatterns,
    *mining.api_urlpatterns,
    *tasklog.api_urlpatterns,
]
urlpatterns: list[URLPattern] = [
    *detectors.urlpatterns,
    *kpis.urlpatterns,
    *feed.urlpatterns,
    *tasklog.urlpatterns,
    *views.urlpatterns,
]
