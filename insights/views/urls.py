"""Addresses of the pages of event logs."""

from django.urls import URLPattern, path

from insights.views import answers, cases, checks, logs, mapping, maps, reasons, records, state

_LOG = "insights/logs/<int:pk>/"
urlpatterns: list[URLPattern] = [
    path("insights/logs/", logs.logs, name="event_logs"),
    path("insights/logs/live/", logs.logs_live, name="event_logs_live"),
    path("insights/logs/upload/", logs.upload, name="event_log_upload"),
    path("insights/logs/example.csv", logs.example_file, name="event_log_example"),
    path(_LOG, maps.process, name="event_log"),
    path(f"{_LOG}live/", state.state_live, name="event_log_live"),
    path(f"{_LOG}mapping/", mapping.mapping, name="event_log_mapping"),
    path(f"{_LOG}variants/", answers.variant_list, name="event_log_variants"),
    path(f"{_LOG}times/", answers.times, name="event_log_throughput"),
    path(f"{_LOG}bottlenecks/", answers.bottleneck_list, name="event_log_bottlenecks"),
    path(f"{_LOG}rework/", answers.rework_list, name="event_log_rework"),
    path(f"{_LOG}conformance/", checks.conformance_page, name="event_log_conformance"),
    path(f"{_LOG}model/", checks.give_model, name="event_log_model"),
    path(f"{_LOG}duties/", checks.duties_page, name="event_log_duties"),
    path(f"{_LOG}causes/", reasons.causes_page, name="event_log_causes"),
    path(f"{_LOG}hot-spots/", reasons.hotspot_page, name="event_log_hotspots"),
    path(f"{_LOG}leakage/", reasons.leakage_page, name="event_log_leakage"),
    path(f"{_LOG}cases/", cases.case_list, name="event_log_cases"),
    path(f"{_LOG}case/", cases.case, name="event_log_case"),
    path(f"{_LOG}compare/", cases.compare_page, name="event_log_compare"),
    path(f"{_LOG}filter/", cases.narrow, name="event_log_filter"),
    path(f"{_LOG}facts/", logs.facts, name="event_log_facts"),
    path(f"{_LOG}records/", records.bind, name="event_log_records"),
    path(f"{_LOG}rejected.csv", logs.rejects, name="event_log_rejects"),
    path(f"{_LOG}delete/", logs.delete, name="event_log_delete"),
]
