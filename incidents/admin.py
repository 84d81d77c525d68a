"""Kinds, queues, calendars and service levels are configured here; incidents, signals and evidence are looked at."""

from typing import Any, ClassVar

import yaml
from django import forms
from django.contrib import admin
from django.http import HttpRequest
from pydantic import ValidationError

from audit.admin import AuditedAdmin, ReadOnlyAdmin, ReasonForm
from audit.manifests import Document
from incidents.manifests import CalendarDocument, KindDocument, QueueDocument, SlaDocument
from incidents.models import Calendar, Evidence, ExceptionKind, Incident, Queue, Signal, SlaPolicy
from incidents.states import Assign


class DocumentForm(ReasonForm):
    """A form that is held against the same schema as a document in a file."""

    document: type[Document]

    def clean(self) -> dict[str, Any]:
        """Say what a document could not say either, at the field that says it."""
        cleaned: dict[str, Any] = super().clean() or {}
        for name in cleaned.keys() & self.document.model_fields:
            if cleaned[name] is None:  # an emptied JSON field
                cleaned[name] = self.instance._meta.get_field(name).get_default()
        if not self.errors:
            try:
                self.document.model_validate(self.said(cleaned))
            except ValidationError as wrong:
                for error in wrong.errors():
                    self._place(error)
        return cleaned

    def said(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Return what the document would say; a column that cannot be edited says what it said."""
        names = self.document.model_fields.keys() - {"kind"}
        return {name: cleaned[name] if name in cleaned else getattr(self.instance, name) for name in names}

    def _place(self, error: Any) -> None:
        first, *rest = error["loc"] or ("",)
        field = first if first in self.fields else None
        place = ".".join(str(step) for step in (rest if field else error["loc"]))
        self.add_error(field, f"{place}: {error['msg']}" if place else error["msg"])


class _KeyedAdmin(AuditedAdmin):
    """Rows whose key is chosen once: files, playbooks and past incidents name them by it."""

    key: ClassVar[str] = "slug"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return (*fields, self.key) if obj else fields

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        editable = obj is None and self.has_add_permission(request)
        return {self.key: ("label",)} if editable else {}


class KindForm(DocumentForm):
    """A kind with its definition as a pack writes it."""

    document = KindDocument
    definition = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 28, "cols": 110, "spellcheck": "false", "class": "code"}),
        help_text="YAML as in a pack: title, fingerprint, detect, evidence, derived, causes, severity, queue …",
    )

    class Meta:
        model = ExceptionKind
        fields = ("code", "label", "domain", "entity_type", "enabled", "definition")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            text = yaml.safe_dump(self.instance.definition, sort_keys=False, allow_unicode=True, width=110)
            self.initial["definition"] = text

    def clean_definition(self) -> dict[str, Any]:
        """Read the YAML; what it means is checked with the rest of the document."""
        try:
            value = yaml.safe_load(self.cleaned_data["definition"])
        except yaml.YAMLError as broken:
            raise forms.ValidationError(f"This is not YAML: {broken}") from broken
        if not isinstance(value, dict):
            raise forms.ValidationError("A definition is a list of keys with values, such as title: …")
        return value


@admin.register(ExceptionKind)
class ExceptionKindAdmin(_KeyedAdmin):
    """How each kind of exception is detected, proved, judged and routed."""

    key = "code"
    form = KindForm
    list_display = ("label", "code", "domain", "entity_type", "enabled", "version")
    list_filter = ("enabled", "domain")
    search_fields = ("code", "label")
    readonly_fields = ("version",)

    def save_model(self, request: HttpRequest, obj: ExceptionKind, form: Any, change: bool) -> None:
        if change:
            stood = ExceptionKind.objects.get(pk=obj.pk)
            # The text of the YAML may differ where its meaning does not.
            columns = ("label", "domain", "entity_type", "enabled", "definition")
            obj.version = stood.version + any(getattr(stood, name) != getattr(obj, name) for name in columns)
        super().save_model(request, obj, form, change)


class QueueForm(DocumentForm):
    """A team's list of work."""

    document = QueueDocument
    assign = forms.ChoiceField(
        choices=Assign.choices,
        required=False,
        help_text="What happens with an incident that needs a person: members who have the skill, may see it, are on"
        " duty and have room are compared by what they have open.",
    )

    class Meta:
        model = Queue
        fields = ("slug", "label", "domains", "business_units", "members", "assign", "calendar")
        help_texts: ClassVar = {
            "members": 'As [{"user": "anna", "skills": ["billing"], "capacity": 10}]; without skills: every kind.',
            "calendar": "Members are on duty in its open hours; empty: always.",
        }

    def clean_assign(self) -> str:
        """Leave the incident in the queue where nothing is said."""
        return self.cleaned_data["assign"] or Assign.OFF.value

    def said(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Name the calendar as a document does."""
        said = super().said(cleaned)
        return {**said, "calendar": said["calendar"].slug if said["calendar"] else None}


@admin.register(Queue)
class QueueAdmin(_KeyedAdmin):
    """Who takes what the loop cannot finish."""

    form = QueueForm
    list_display = ("label", "slug", "domains", "business_units", "assign", "calendar")
    search_fields = ("slug", "label")


class CalendarForm(DocumentForm):
    """Business hours and the days on which the clock stands still."""

    document = CalendarDocument


@admin.register(Calendar)
class CalendarAdmin(_KeyedAdmin):
    """Business hours, time zones and holidays."""

    form = CalendarForm
    list_display = ("label", "slug", "time_zone", "country", "subdivision")
    search_fields = ("slug", "label")


class SlaForm(DocumentForm):
    """How fast, and who hears of it when it was not fast enough."""

    document = SlaDocument

    def said(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Name the calendar as a document does."""
        said = super().said(cleaned)
        return {**said, "calendar": said["calendar"].slug}


@admin.register(SlaPolicy)
class SlaPolicyAdmin(_KeyedAdmin):
    """Targets by severity, warnings and escalations."""

    form = SlaForm
    list_display = ("label", "slug", "calendar", "business_units", "regions", "priority", "contractual", "enabled")
    list_filter = ("enabled", "contractual")
    search_fields = ("slug", "label")


@admin.register(Incident)
class IncidentAdmin(ReadOnlyAdmin):
    """Incidents as the rows are; people work on them in the console."""

    list_display = ("id", "title", "status", "severity", "domain", "business_unit", "region", "assignee", "opened_at")
    list_filter = ("status", "severity", "domain", "business_unit")
    list_select_related = ("assignee",)
    search_fields = ("title", "entity_key", "fingerprint")
    show_full_result_count = False


@admin.register(Signal)
class SignalAdmin(ReadOnlyAdmin):
    """Signals as they came."""

    list_display = ("id", "source", "event_id", "code", "entity_key", "incident", "received_at")
    list_filter = ("channel",)
    list_select_related = ("incident",)
    search_fields = ("source", "event_id", "entity_key")
    show_full_result_count = False


@admin.register(Evidence)
class EvidenceAdmin(ReadOnlyAdmin):
    """What was read, when, with which digest."""

    visible_through = "incident"
    list_display = ("id", "incident", "form", "system", "entity", "record_id", "version", "captured_at")
    list_filter = ("form",)
    list_select_related = ("incident",)
    search_fields = ("record_id", "digest")
    show_full_result_count = False
