"""Addresses of task mining."""

from django.urls import URLPattern, path

from insights.tasklog import api, trackers_api, views

api_urlpatterns: list[URLPattern] = [
    path("task-logs/", api.TaskLogList.as_view(), name="api_task_logs"),
    path("task-logs/<int:pk>/", api.TaskLogDetail.as_view(), name="api_task_log"),
    path("task-logs/<int:pk>/routines/", api.Routines.as_view(), name="api_task_log_routines"),
    path("task-logs/<int:pk>/links/", api.Links.as_view(), name="api_task_log_links"),
    path("trackers/", trackers_api.TrackerList.as_view(), name="api_trackers"),
    path("trackers/<int:pk>/", trackers_api.TrackerDetail.as_view(), name="api_tracker"),
    path("trackers/<int:pk>/lines/", trackers_api.TrackerLines.as_view(), name="api_tracker_lines"),
    path("trackers/<int:pk>/match/", trackers_api.TrackerMatch.as_view(), name="api_tracker_match"),
    path("trackers/<int:pk>/lines/<int:line>/raise/", trackers_api.TrackerRaise.as_view(), name="api_tracker_raise"),
    path("backlog/", api.Backlog.as_view(), name="api_backlog"),
    path("backlog/<int:pk>/draft/", api.Draft.as_view(), name="api_backlog_draft"),
]
urlpatterns: list[URLPattern] = [
    path("insights/tasks/", views.logs, name="task_logs"),
    path("insights/tasks/<int:pk>/", views.log, name="task_log"),
    path("insights/tasks/<int:pk>/live/", views.log_live, name="task_log_live"),
    path("insights/tasks/<int:pk>/delete/", views.delete, name="task_log_delete"),
    path("insights/tasks/<int:pk>/link/", views.link, name="task_log_link"),
    path("insights/tasks/backlog/", views.backlog, name="task_backlog"),
    path("insights/tasks/routines/<int:pk>/draft/", views.draft, name="task_draft"),
    path("insights/tasks/trackers/", views.tracker_list, name="trackers"),
    path("insights/tasks/trackers/<int:pk>/", views.tracker, name="tracker"),
    path("insights/tasks/trackers/<int:pk>/match/", views.tracker_match, name="tracker_match"),
    path("insights/tasks/trackers/lines/<int:pk>/raise/", views.orphan, name="tracker_orphan"),
]
