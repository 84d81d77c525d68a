"""Who may see how work is done: the roles that run, own or check it, within their units. Never everybody."""

from typing import Any

from django.db.models import QuerySet

from audit.access import has_role
from insights.tasklog.models import TaskLog, Tracker

SEEING = ("operator", "automation_admin", "compliance", "auditor")


def task_logs(user: Any) -> "QuerySet[TaskLog]":
    """Return the task logs that ``user`` may see."""
    rows: QuerySet[TaskLog] = TaskLog.objects.visible_to(user)
    return rows if has_role(user, *SEEING) else rows.none()


def trackers(user: Any) -> "QuerySet[Tracker]":
    """Return the trackers that ``user`` may see."""
    rows: QuerySet[Tracker] = Tracker.objects.visible_to(user)
    return rows if has_role(user, *SEEING) else rows.none()
