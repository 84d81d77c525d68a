"""Detectors in the configuration: who switched what on, every version, the runs; texts are written on their page."""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from audit.admin import AuditedAdmin, ReadOnlyAdmin
from insights.detectors.models import Detector, DetectorRun, DetectorVersion, Rehearsal


class Versions(admin.TabularInline):  # type: ignore[type-arg]
    """Versions never change; a new text is a new one."""

    model = DetectorVersion
    extra = 0
    can_delete = False
    fields: ClassVar[tuple[str, ...]] = ("number", "active", "definition", "author", "created_at")
    readonly_fields: ClassVar[tuple[str, ...]] = fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Detector)
class DetectorAdmin(AuditedAdmin):
    """Rules that open incidents. Switching on stands on their page: it needs a rehearsal."""

    list_display = ("label", "slug", "enabled", "log", "business_unit", "region", "next_at")
    list_filter = ("enabled", "business_unit")
    search_fields = ("slug", "label", "log_name")
    fields = ("label", "slug", "enabled", "enabled_reason", "log", "log_name", "business_unit", "region", "next_at",
              "watermark", "change_reason")  # fmt: skip
    readonly_fields = ("slug", "enabled", "enabled_reason", "log", "log_name", "business_unit", "region", "next_at",
                       "watermark")  # fmt: skip
    inlines = (Versions,)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # A detector is made with its first version, on its own page or by a document.
        return False


@admin.register(Rehearsal)
class RehearsalAdmin(ReadOnlyAdmin):
    """What versions would have raised."""

    visible_through = "version__detector"
    list_display = ("version", "by", "made_at", "found", "raised", "per_week")


@admin.register(DetectorRun)
class DetectorRunAdmin(ReadOnlyAdmin):
    """Looks of detectors that are switched on."""

    visible_through = "detector"
    list_display = ("detector", "started_at", "outcome", "found", "raised", "held", "message")
    list_filter = ("outcome",)
