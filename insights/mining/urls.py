"""Addresses of process mining over HTTP."""

from django.urls import URLPattern, path

from insights.mining import api
from insights.mining.references_api import ReferenceModels

_LOG = "event-logs/<int:pk>/"
api_urlpatterns: list[URLPattern] = [
    path(f"{_LOG}process-map/", api.ProcessMapQuestion.as_view(), name="api-process-map"),
    path(f"{_LOG}variants/", api.VariantsQuestion.as_view(), name="api-variants"),
    path(f"{_LOG}throughput/", api.ThroughputQuestion.as_view(), name="api-throughput"),
    path(f"{_LOG}bottlenecks/", api.BottlenecksQuestion.as_view(), name="api-bottlenecks"),
    path(f"{_LOG}rework/", api.ReworkQuestion.as_view(), name="api-rework"),
    path(f"{_LOG}leakage/", api.LeakageQuestion.as_view(), name="api-leakage"),
    path(f"{_LOG}conformance/", api.ConformanceQuestion.as_view(), name="api-conformance"),
    path(f"{_LOG}reference-models/", ReferenceModels.as_view(), name="api-reference-models"),
    path(f"{_LOG}causes/", api.CausesQuestion.as_view(), name="api-causes"),
    path(f"{_LOG}hotspots/", api.HotSpotsQuestion.as_view(), name="api-hotspots"),
    path(f"{_LOG}duties/", api.DutiesQuestion.as_view(), name="api-duties"),
    path(f"{_LOG}compare/", api.CompareQuestion.as_view(), name="api-compare"),
    path(f"{_LOG}cases/", api.CasesQuestion.as_view(), name="api-cases"),
    path(f"{_LOG}cases/<path:case>/", api.CaseQuestion.as_view(), name="api-case"),
]
urlpatterns: list[URLPattern] = []
