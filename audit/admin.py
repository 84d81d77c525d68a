"""The admin's two manners: configuration that may be changed, with a trace, and records that may only be read."""

import json
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import flatten, unquote
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.actions import record
from audit.history import changes_of, difference, snapshot, told_of
from audit.models import ApiToken, BusinessUnit, Entry, Scope
from audit.people import issue_token, revoke_token, settle_staff
from audit.roles import ROLES
from audit.tokens import SCOPES_EXPLAINED, is_scope

LONGEST_SHOWN = 100_000  # letters of a value that a page shows


def as_told(value: Any) -> SafeString:
    """Show a JSON value as text, line by line; of one that is very long, its beginning."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    more = f"\n… {len(text) - LONGEST_SHOWN:,} more letters" if len(text) > LONGEST_SHOWN else ""
    return format_html('<pre class="told" tabindex="0">{}{}</pre>', text[:LONGEST_SHOWN], more)


class ReasonForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form that also asks why; the answer stands in the history and in the ledger."""

    change_reason = forms.CharField(
        label="Reason", required=False, max_length=100, help_text="Why this is so, for the history and the ledger."
    )


class ScopedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows only the rows that this person may see, as every other page does."""

    # The relation that leads to a row with a unit and region, such as "incident"; blank: none is needed.
    visible_through: ClassVar[str] = ""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        if self.visible_through:
            target: Any = self.model
            for name in self.visible_through.split("__"):
                target = target._meta.get_field(name).remote_field.model
            allowed = target._default_manager.visible_to(request.user)
            return rows.filter(**{f"{self.visible_through}__in": allowed})
        return rows.visible_to(request.user) if hasattr(rows, "visible_to") else rows


class ReadOnlyAdmin(ScopedAdmin):
    """Records of what happened: to be read, never to be changed by hand."""

    actions: Any = None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AuditedAdmin(ScopedAdmin):
    """Configuration: every addition, change and deletion is entered in the ledger, in the same transaction.

    Its history page shows each change field by field (the model has ``history = HistoricalRecords()``).
    """

    form = ReasonForm
    history_template: ClassVar[str] = "admin/field_history.html"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        shown = {name for _, options in fieldsets for name in flatten(options["fields"])}
        if "change_reason" in shown or "change_reason" not in getattr(self.form, "declared_fields", {}):
            return fieldsets
        return [*fieldsets, ("Why", {"fields": ("change_reason",)})]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        before = snapshot(self.model._default_manager.get(pk=obj.pk)) if change else {}
        # simple-history looks for the reason under this name.
        obj.__dict__["_change_reason"] = form.cleaned_data.get("change_reason", "")
        super().save_model(request, obj, form, change)
        obj.__dict__["_audit_before"] = before

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        row = form.instance
        before, after = difference(
            getattr(row, "_audit_before", {}), snapshot(self.model._default_manager.get(pk=row.pk))
        )
        parts = [line for formset in formsets for line in _formset_lines(formset)]
        if change and not after and not parts:
            return
        self.enter(request, row, "changed" if change else "added", before=before, after=after, parts=parts)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        with transaction.atomic():
            gone, key = difference({}, snapshot(obj))[1], obj.pk
            super().delete_model(request, obj)
            obj.pk = key  # deleting forgets the key, the ledger needs it
            self.enter(request, obj, "deleted", before=gone)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        with transaction.atomic():
            for row in queryset:
                self.delete_model(request, row)

    def enter(self, request: HttpRequest, row: Any, act: str, *, parts: list[Any] | None = None, **values: Any) -> None:
        """Write the ledger entry of one change by this person."""
        record(
            f"{self.model._meta.model_name}.{act}",
            actor=request.user.get_username(),
            target=row,
            reason=getattr(row, "_change_reason", "") or "",
            data={"name": str(row), **({"parts": parts} if parts else {})},
            **values,
        )

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the row's history field by field."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": f"History: {row}",
            "object": row,
            "opts": self.model._meta,
            "lines": changes_of(row) if hasattr(row, "history") else told_of(row),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.history_template, context)


def _formset_lines(formset: Any) -> list[dict[str, Any]]:
    """Say what an inline form changed, row by row, without secrets."""
    part = formset.model._meta.model_name
    added, gone = getattr(formset, "new_objects", []), getattr(formset, "deleted_objects", [])
    lines = [{"part": part, "key": row.pk, "after": difference({}, snapshot(row))[1]} for row in added]
    lines += [{"part": part, "key": row.pk, "before": difference({}, snapshot(row))[1]} for row in gone]
    initial = {form.instance.pk: form.initial for form in formset.forms if form.instance.pk is not None}
    for row, fields in getattr(formset, "changed_objects", []):
        now = snapshot(row)
        old = {field: initial.get(row.pk, {}).get(field) for field in fields}
        before, after = difference(old, {field: now.get(field) for field in fields})
        lines.append({"part": part, "key": row.pk, "before": before, "after": after})
    return lines


def forget(model: type[models.Model]) -> None:
    """Take a model of another package out of the admin, so that ours can stand in its place."""
    if admin.site.is_registered(model):
        admin.site.unregister(model)


# --- What this floor configures ------------------------------------------------------------------


@admin.register(BusinessUnit)
class BusinessUnitAdmin(AuditedAdmin):
    """Business units with their regions and currency."""

    list_display = ("slug", "name", "regions", "currency")


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    """The ledger."""

    list_display = ("n", "at", "actor", "verb", "target_type", "target_id", "incident_id", "reason")
    list_filter = ("channel",)
    search_fields = ("verb", "actor", "target_id", "reason")
    show_full_result_count = False


class _ListField(forms.MultipleChoiceField):
    """Choices that are stored as a JSON list; what is stored and no longer offered stays choosable."""

    widget = forms.CheckboxSelectMultiple

    def offer(self, choices: dict[str, str], stored: list[str]) -> None:
        self.choices = list(
            ({"*": "All"} | choices | {value: value for value in stored if value not in choices}).items()
        )


class ScopeForm(forms.ModelForm):  # type: ignore[type-arg]
    """Units and regions as boxes to tick."""

    business_units = _ListField(required=False)
    regions = _ListField(required=False)

    class Meta:
        model = Scope
        fields = ("business_units", "regions")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        units = list(BusinessUnit.objects.all())
        regions = sorted({region for unit in units for region in unit.regions})
        offered = {
            "business_units": {unit.slug: unit.name for unit in units},
            "regions": {region: region for region in regions},
        }
        for name, choices in offered.items():
            field: Any = self.fields[name]
            field.offer(choices, [value for value in getattr(self.instance, name) if value != "*"])


class ScopeInline(admin.StackedInline):  # type: ignore[type-arg]
    """Which units and regions the person works for."""

    model = Scope
    form = ScopeForm
    can_delete = False


class PersonForm(ReasonForm, UserChangeForm):  # type: ignore[type-arg]
    """A person's account, and why it changes."""


class NewPersonForm(ReasonForm, AdminUserCreationForm):  # type: ignore[type-arg]
    """A new person's account, and why it is made."""


forget(User)
forget(Group)


@admin.register(User)
class PersonAdmin(AuditedAdmin, UserAdmin):  # type: ignore[type-arg]
    """People: roles, units and regions. Who may open this admin follows from the roles."""

    form = PersonForm
    add_form = NewPersonForm
    inlines = (ScopeInline,)
    list_display = ("username", "email", "role_names", "is_active", "is_superuser", "last_login")
    list_filter = ("groups", "is_active", "is_superuser")
    filter_horizontal = ("groups",)
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Roles", {"fields": ("is_active", "groups", "is_superuser")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="roles")
    def role_names(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all()) or "none"

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        settle_staff(form.instance)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with transaction.atomic():
            response = super().user_change_password(request, id, form_url)
            if request.method == "POST" and response.status_code == 302:
                user = User.objects.get(pk=unquote(id))
                self.enter(request, user, "changed", before={"password": "set"}, after={"password": "changed"})
        return response


@admin.register(Group)
class RoleAdmin(ReadOnlyAdmin):
    """Roles, as the table in the code has them."""

    list_display = ("name", "purpose")

    @admin.display()
    def purpose(self, group: Group) -> str:
        return ROLES[group.name].purpose if group.name in ROLES else ""


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]
    """What a new token is for, and how far it reaches."""

    scopes = forms.CharField(
        required=False, help_text=f"Separated by spaces. {SCOPES_EXPLAINED} Empty: all of the user's."
    )
    days = forms.IntegerField(required=False, min_value=1, max_value=3650, help_text="Empty: until it is revoked.")

    class Meta:
        model = ApiToken
        fields = ("user", "name")

    def clean_scopes(self) -> list[str]:
        scopes: list[str] = self.cleaned_data["scopes"].split()
        wrong = [scope for scope in scopes if not is_scope(scope)]
        if wrong:
            raise forms.ValidationError(f"No such scope: {', '.join(wrong)}.")
        return scopes


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens of programs: made here, shown once, revoked here."""

    form = TokenForm
    list_display = ("prefix", "name", "user", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_filter = ("user",)
    search_fields = ("name", "prefix", "user__username")
    exclude = ("digest",)
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("audit.add_apitoken")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_fieldsets(request, obj) if obj else [(None, {"fields": ("user", "name", "scopes", "days")})]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        told = form.cleaned_data
        actor = request.user.get_username()
        token, text = issue_token(obj.user, name=obj.name, actor=actor, scopes=told["scopes"], days=told["days"])
        obj.pk, obj.prefix = token.pk, token.prefix
        messages.success(request, f"The token of {obj.user}, shown this once: {text}")

    @admin.action(description="Revoke the chosen tokens", permissions=["add"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        ended = sum(revoke_token(token, actor=request.user.get_username()) for token in queryset.select_related("user"))
        messages.success(request, f"{ended} revoked.")
