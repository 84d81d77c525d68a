"""Configure and try connections, read what was called and what arrived, stop everything."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from audit.admin import AuditedAdmin, ReadOnlyAdmin
from audit.clock import db_now
from audit.errors import Refusal
from connectors import actions, gateway, registry
from connectors.base import Connector, ConnectorError, Health
from connectors.door import admin as door_admin  # noqa: F401 - shows its pages
from connectors.door import budgets, health
from connectors.door.models import Budget
from connectors.forms.connection import fieldsets_for, form_for
from connectors.forms.fetching import FetchingPages, refused
from connectors.forms.trying import TryingPages
from connectors.inbound import admin as inbound_admin
from connectors.kit.declaring import Declares
from connectors.kit.discovering import Discovers
from connectors.models import Call, Connection, EmergencyStop
from connectors.rights.admin import RightsPages


@admin.register(Connection)
class ConnectionAdmin(RightsPages, TryingPages, FetchingPages, AuditedAdmin):
    """One form per kind, drawn from what the kind declares; secrets show as set or not set."""

    list_display = (
        "slug",
        "kind",
        "label",
        "enabled",
        "fares",
        "data_class",
        "team",
        "breaker",
        "checked_at",
        "owner",
    )
    list_filter = ("kind", "enabled", "health", "data_class", "team")
    list_select_related = ("gate", "owner")
    search_fields = ("slug", "label")
    actions = ("test_now",)
    change_form_template = "admin/connectors/connection/change_form.html"

    class Media:
        css: ClassVar = {"all": ["css/gauges.css", "css/inbound.css", "css/rights.css"]}
        js: ClassVar = ["js/inbound.js"]

    def render_change_form(self, request: Any, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Draw how the connection fares above its form."""
        obj = kwargs.get("obj")
        context["gauge"] = health.gauges([obj])[0] if obj is not None else None
        kind = self._kind(request, obj)
        context["discovers"] = obj is not None and issubclass(kind, Discovers | Declares)
        context["inbound"] = inbound_admin.desk(request, obj)
        return super().render_change_form(request, context, *args, **kwargs)

    def _kind(self, request: HttpRequest, obj: Connection | None) -> type[Connector]:
        slug = obj.kind if obj else request.GET.get("kind", "")
        if slug not in registry.KINDS:
            raise Http404(f"There is no kind {slug}.")
        return registry.KINDS[slug]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for the kind first, then show its form."""
        if request.GET.get("kind") in registry.KINDS:
            return super().add_view(request, form_url, extra_context)
        if not self.has_add_permission(request):
            raise PermissionDenied
        kinds = [(kind.slug, kind.label, (kind.__doc__ or "").strip()) for kind in registry.KINDS.values()]
        context = {
            **self.admin_site.each_context(request),
            "title": "Which system?",
            "opts": self.model._meta,
            "kinds": kinds,
        }
        return TemplateResponse(request, "admin/connectors/connection/choose_kind.html", context)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form of the connection's kind."""
        form = form_for(self._kind(request, obj))
        form.fetch_refused = refused(request)
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Group the fields, and show the connection's state where there is one."""
        fieldsets = fieldsets_for(self._kind(request, obj))
        if obj is not None:
            state = ("fares", "health_message", "checked_at", "breaker", "used_today", "not_before", "polled_until")
            fieldsets.insert(1, ("State", {"fields": list(state)}))
        return fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Keep the slug once playbooks may use it, and the state always."""
        return () if obj is None else (
            "slug", "fares", "health_message", "checked_at", "breaker", "used_today", "not_before", "polled_until"
        )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connection]:
        """Add whether each answered lately."""
        answered = health.answered(db_now()).filter(connection=OuterRef("pk"))
        rows: QuerySet[Connection] = super().get_queryset(request)
        return rows.annotate(answers=Exists(answered))

    @admin.display(description="Health", ordering="health")
    def fares(self, obj: Connection) -> str:
        """Say what the last test found, or without one, whether calls are answered, as the console does."""
        if obj.health != "unknown":
            return obj.health
        return "answers" if getattr(obj, "answers", False) else "not checked yet"

    @admin.display(description="Circuit breaker")
    def breaker(self, obj: Connection) -> str:
        """Say whether the system is left in peace at present."""
        gate = obj.gate
        if gate is None or gate.opened_at is None:
            return "closed"
        return f"open since {gate.opened_at:%Y-%m-%d %H:%M:%S} UTC, after {gate.failures} failures"

    @admin.display(description="Used today")
    def used_today(self, obj: Connection) -> str:
        """Say what is used of the connection's budget and of its team's."""
        mine = Q(connection=obj) | (Q(team=obj.team) if obj.team else Q(pk=None))
        uses = budgets.today(Budget.objects.select_related("connection").filter(mine))
        return "; ".join(f"{use.scope}: {use.text}" for use in uses) or "No budget."

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Hand what was entered to the action, which also enters it in the ledger."""
        entered = form.cleaned_data
        columns = {name: entered[name] for name in actions.COLUMNS if name != "config"}
        shared: dict[str, Any] = {
            "actor": request.user.get_username(),
            "secrets": form.new_secrets(),
            "hook_secret": entered["hook_secret"],
            "reason": entered.get("change_reason", ""),
            "config": form.chosen_config(),
            **columns,
        }
        if change:
            actions.update_connection(Connection.objects.get(pk=obj.pk), **shared)
            return
        made = actions.create_connection(entered["slug"], form.kind_class.slug, **shared)
        obj.pk, obj.kind = made.pk, made.kind

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Do nothing more: there are no inlines, and the action has written the ledger."""

    def get_urls(self) -> list[URLPattern]:
        """Add the address of the button."""
        wrap = self.admin_site.admin_view
        test = path("<int:pk>/test/", wrap(require_POST(self.test_view)), name="connection-test")
        discover = path("<int:pk>/discover/", wrap(require_POST(self.discover_view)), name="connection-discover")
        return [test, discover, *self.trying_urls(), *self.rights_urls(), *super().get_urls()]

    def discover_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask the system what it offers and show it beside what the connection may be asked."""
        connection = self._changeable(request, pk)
        kind = registry.KINDS.get(connection.kind)
        if kind is not None and issubclass(kind, Declares):
            return self.offers_view(request, connection)
        try:
            names = gateway.discover(connection, actor=request.user.get_username())
        except ConnectorError as error:
            self.message_user(request, f"{connection.slug} did not say what it offers: {error}", messages.ERROR)
            return HttpResponseRedirect(reverse("admin:connectors_connection_change", args=[pk]))
        allowed = registry.queryable_of(connection)
        context = {
            **self.admin_site.each_context(request),
            "title": f"What {connection.label or connection.slug} offers",
            "opts": self.model._meta,
            "connection": connection,
            "entities": [(name, name in allowed) for name in names],
            "missing": sorted(allowed - set(names)),
        }
        return TemplateResponse(request, "admin/connectors/connection/discovered.html", context)

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Try one connection and show what was tried and what came back."""
        self._test(request, self._changeable(request, pk))
        return HttpResponseRedirect(reverse("admin:connectors_connection_change", args=[pk]))

    @admin.action(description="Test connection", permissions=["change"])
    def test_now(self, request: HttpRequest, queryset: Any) -> None:
        """Try the chosen connections."""
        for connection in queryset:
            self._test(request, connection)

    def _test(self, request: HttpRequest, connection: Connection) -> Health:
        health = actions.test_connection(connection, actor=request.user.get_username())
        level = messages.SUCCESS if health.ok else messages.ERROR
        tried = "; ".join(health.tried)
        self.message_user(request, f"{connection.slug}: {health.message} Tried: {tried}.", level)
        return health


class StopForm(forms.ModelForm):  # type: ignore[type-arg]
    """Stop, or say why it may go on."""

    end_reason = forms.CharField(
        required=False, label="Why it may go on", help_text="Fill this in and save to end the stop."
    )

    class Meta:
        model = EmergencyStop
        fields: ClassVar = ["connection", "operation", "reason"]


@admin.register(EmergencyStop)
class EmergencyStopAdmin(ReadOnlyAdmin):
    """Adding one stops every write at once, everywhere or for one connection; it is ended with a reason."""

    form = StopForm
    list_display = ("__str__", "reason", "actor", "started_at", "ended_at")
    list_filter = ("ended_at",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Ask Django's own permission: this is the one row that may be added here."""
        return admin.ModelAdmin.has_add_permission(self, request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let a running stop be ended; an ended one is history."""
        return admin.ModelAdmin.has_change_permission(self, request, obj) and (obj is None or obj.ended_at is None)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Ask for the reason of the stop, or of its end."""
        shown = ("connection", "operation", "reason")
        return shown if obj is None else (*shown, "actor", "started_at", "ended_at", "end_reason")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Keep what was said when it was stopped."""
        return () if obj is None else ("connection", "operation", "reason", "actor", "started_at", "ended_at")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Stop or resume by the action, which enters it in the ledger."""
        actor = request.user.get_username()
        try:
            if change:
                if form.cleaned_data["end_reason"]:
                    actions.resume(
                        reason=form.cleaned_data["end_reason"], actor=actor, connection=obj.connection,
                        operation=obj.operation,
                    )  # fmt: skip
                return
            stop = actions.stop_everything(
                reason=obj.reason, actor=actor, connection=obj.connection, operation=obj.operation
            )
            obj.pk = stop.pk
        except Refusal as refusal:
            self.message_user(request, str(refusal), messages.ERROR)


@admin.register(Call)
class CallAdmin(ReadOnlyAdmin):
    """Every use of every operation, without secrets."""

    list_display = (
        "id",
        "started_at",
        "connection",
        "operation",
        "direction",
        "actor",
        "outcome",
        "status",
        "requests",
    )
    list_filter = ("connection", "direction", "outcome")
    search_fields = ("effect_key", "operation", "request_id", "=incident_id")
    list_select_related = ("connection",)
    show_full_result_count = False
