"""Addresses of the measures."""

from django.urls import URLPattern, path

from insights.kpis import api, outcomes_api, views

api_urlpatterns: list[URLPattern] = [
    path("kpis/", api.Kpis.as_view(), name="api_kpis"),
    path("hold-outs/", outcomes_api.HoldOuts.as_view(), name="api_hold_outs"),
    path("event-logs/<int:pk>/outcomes/", outcomes_api.Outcomes.as_view(), name="api_outcomes"),
]
urlpatterns: list[URLPattern] = [
    path("insights/", views.value, name="insights"),
    path("insights/measures.csv", views.export, name="kpis_export"),
    path("insights/measures/<slug:name>/", views.rows, name="kpi_rows"),
    path("insights/checklist/", views.checklist, name="insights_checklist"),
    path("insights/hold-outs/", views.hold_outs, name="hold_outs"),
    path("insights/outcomes/<int:pk>/", views.before_and_after, name="kpi_feedback"),
    path("insights/spikes/raise/", views.raise_spike, name="spike_raise"),
    path("insights/findings/<int:pk>/<slug:verb>/", views.finding, name="finding_act"),
]
