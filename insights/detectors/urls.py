"""Addresses of detectors."""

from django.urls import URLPattern, path

from insights.detectors import api, views

_ONE = "detectors/<int:pk>/"
api_urlpatterns: list[URLPattern] = [
    path("detectors/", api.DetectorList.as_view(), name="api-detectors"),
    path(_ONE, api.DetectorDetail.as_view(), name="api-detector"),
    path(f"{_ONE}rehearse/", api.DetectorRehearse.as_view(), name="api-detector-rehearse"),
    path(f"{_ONE}enable/", api.DetectorEnable.as_view(), name="api-detector-enable"),
    path(f"{_ONE}disable/", api.DetectorDisable.as_view(), name="api-detector-disable"),
]
urlpatterns: list[URLPattern] = [
    path("insights/detectors/", views.detectors, name="detectors"),
    path("insights/detectors/new/", views.new, name="detector_new"),
    path("insights/detectors/<int:pk>/", views.detail, name="detector"),
    path("insights/detectors/<int:pk>/edit/", views.edit, name="detector_edit"),
    path("insights/detectors/<int:pk>/rehearse/", views.rehearse, name="detector_rehearse"),
    path("insights/detectors/<int:pk>/enable/", views.enable, name="detector_enable"),
    path("insights/detectors/<int:pk>/disable/", views.disable, name="detector_disable"),
    path("insights/detectors/<int:pk>/preview/", views.preview, name="detector_preview"),
    path("insights/incidents/new/", views.incident, name="insight_incident"),
]
