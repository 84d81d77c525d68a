"""Rules are configured here; requests, decisions and delegations are looked at."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest

from approvals.models import ApprovalRequest, ApprovalRule, Decision, Delegation
from approvals.rules import TIERS
from approvals.seats import LOOKING, WORKING
from audit.access import roles_of
from audit.admin import AuditedAdmin, ReadOnlyAdmin, ReasonForm
from audit.models import BusinessUnit


class RuleForm(ReasonForm):
    """A rule's columns with the choices that mean something."""

    subjects = forms.MultipleChoiceField(
        choices=ApprovalRule.Subject.choices,
        required=False,
        help_text="None: both.",
        widget=forms.CheckboxSelectMultiple,
    )
    min_risk = forms.ChoiceField(choices=[(tier, tier) for tier in TIERS], help_text="This tier and above.")
    role = forms.ChoiceField(choices=[(role, role.replace("_", " ")) for role in sorted(LOOKING & WORKING)])
    business_units = forms.MultipleChoiceField(
        required=False, help_text="None: every unit.", widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = {*BusinessUnit.objects.values_list("slug", flat=True), *(self.instance.business_units or [])}
        units = self.fields.get("business_units")
        if isinstance(units, forms.MultipleChoiceField):
            units.choices = [(slug, slug) for slug in sorted(known)]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if (cleaned.get("min_amount") is None) != (not cleaned.get("currency")):
            self.add_error("currency", "The amount and its currency belong together.")
        return cleaned


@admin.register(ApprovalRule)
class ApprovalRuleAdmin(AuditedAdmin):
    """Who must say yes to what."""

    form = RuleForm
    list_display = ("label", "role", "quorum", "min_risk", "min_amount", "currency", "enabled", "version", "owner")
    list_filter = ("enabled", "role", "min_risk")
    search_fields = ("slug", "label")
    readonly_fields = ("version",)
    prepopulated_fields: ClassVar = {"slug": ("label",)}

    def save_model(self, request: HttpRequest, obj: ApprovalRule, form: Any, change: bool) -> None:
        if change and set(form.changed_data) - {"change_reason", "owner"}:
            obj.version += 1
        super().save_model(request, obj, form, change)


class DecisionInline(admin.TabularInline):  # type: ignore[type-arg]
    """Who has answered, and what."""

    model = Decision
    extra = 0
    can_delete = False
    fields = readonly_fields = ("person", "on_behalf_of", "role", "verdict", "comment", "decided_at")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(ReadOnlyAdmin):
    """What was asked and what came of it."""

    list_display = ("id", "title", "state", "given", "required", "incident_id", "requested_by", "expires_at")
    list_filter = ("state", "subject", "risk_tier", "business_unit")
    search_fields = ("title", "digest", "requested_by")
    inlines = (DecisionInline,)


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin):
    """Each yes and each no."""

    visible_through = "request"
    list_display = ("request", "person", "on_behalf_of", "role", "verdict", "decided_at")
    list_filter = ("verdict", "role")
    search_fields = ("person__username", "comment")


class DelegationForm(ReasonForm):
    """A delegation for a time; one for a single request is made on its page."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        giver, taker = cleaned.get("giver"), cleaned.get("taker")
        if giver and giver == taker:
            self.add_error("taker", "A voice is lent to somebody else.")
        elif taker and not roles_of(taker) & WORKING:
            self.add_error("taker", "They only look on; a voice is lent to somebody who works here.")
        starts, ends = cleaned.get("starts_at"), cleaned.get("ends_at")
        if starts and ends and ends <= starts:
            self.add_error("ends_at", "It ends before it begins.")
        return cleaned


@admin.register(Delegation)
class DelegationAdmin(AuditedAdmin):
    """Who decides for whom, and until when. Nobody lends a voice that is not their own, unless they own the house."""

    form = DelegationForm
    list_display = ("giver", "taker", "request", "starts_at", "ends_at", "reason")
    fields = ("giver", "taker", "reason", "starts_at", "ends_at")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "giver" and not request.user.is_superuser:
            kwargs["queryset"] = User.objects.filter(username=request.user.get_username())
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Delegation | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._is_theirs(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Delegation | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._is_theirs(request, obj)

    def _is_theirs(self, request: HttpRequest, obj: Delegation | None) -> bool:
        return obj is None or bool(request.user.is_superuser) or obj.giver_id == request.user.pk
