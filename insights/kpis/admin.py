"""Assumptions are stated here, with a reason and a history; what was counted and found can be read."""

from django.contrib import admin

from audit.admin import AuditedAdmin, ReadOnlyAdmin
from insights.kpis.models import Assumption, Finding, UsageDay


@admin.register(Assumption)
class AssumptionAdmin(AuditedAdmin):
    """Stated figures that no row can tell."""

    list_display = ("name", "subject", "value", "currency", "because")
    list_filter = ("name",)
    search_fields = ("subject", "because")


@admin.register(UsageDay)
class UsageDayAdmin(ReadOnlyAdmin):
    """Calls summed by day."""

    list_display = ("day", "connection", "direction", "model", "team", "business_unit", "calls", "failed", "tokens")
    list_filter = ("direction", "connection")


@admin.register(Finding)
class FindingAdmin(ReadOnlyAdmin):
    """What the figures showed."""

    list_display = ("title", "kind", "business_unit", "found_at", "closed_at", "closed_by")
    list_filter = ("kind",)
