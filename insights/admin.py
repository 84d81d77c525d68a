"""Event logs and refused lines, to be read; logs come and go by pages, API and command."""

from django.contrib import admin

from audit.admin import ReadOnlyAdmin
from insights.detectors import admin as detectors_admin  # noqa: F401 - its pages belong to this app
from insights.kpis import admin as kpis  # noqa: F401 - registers its own
from insights.models import EventLog, Rejected


@admin.register(EventLog)
class EventLogAdmin(ReadOnlyAdmin):
    """Event logs."""

    list_display = ("name", "state", "format", "cases", "events", "rejected_count", "business_unit", "created_at")
    list_filter = ("state", "format", "process", "origin")
    search_fields = ("name", "file_name", "digest")
    exclude = ("lease_token",)


@admin.register(Rejected)
class RejectedAdmin(ReadOnlyAdmin):
    """Lines that are no events."""

    visible_through = "log"
    list_display = ("log", "line", "reason", "text")
    search_fields = ("reason", "log__name")
