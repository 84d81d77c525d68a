"""Subscriptions are configured here; the outbox is looked at, and what is dead in it is sent again."""

from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.auth.models import User
from django.core.validators import validate_email
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from audit.admin import AuditedAdmin, ReadOnlyAdmin, ReasonForm, as_told
from audit.errors import Refusal
from playbooks.telling import actions, audience, ways
from playbooks.telling.models import Outgoing, Subscription
from playbooks.telling.states import Event, OutState


class Lines(forms.CharField):
    """A list of texts, one a line or set off by commas."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            required=False, widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}), **options
        )

    def prepare_value(self, value: Any) -> Any:
        """Show a list line by line."""
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Read the list; the same twice counts once."""
        parts = (part.strip() for part in str(value or "").replace(",", "\n").splitlines())
        return list(dict.fromkeys(part for part in parts if part))


class SubscriptionForm(ReasonForm):
    """What is told, through what, with whose eyes."""

    way = forms.ChoiceField(
        label="Through", help_text="Connections that may tell something; allow the operation at the connection first."
    )
    events = forms.MultipleChoiceField(choices=Event.choices, widget=forms.CheckboxSelectMultiple)
    domains, business_units, regions = Lines(), Lines(), Lines()
    recipients = Lines(help_text="Mail addresses, one a line, where the connection sends mail. At most 50.")
    by: ClassVar[Any] = None  # who fills it in

    class Meta:
        model = Subscription
        fields = (
            "slug", "label", "enabled", "events", "min_severity", "domains", "business_units", "regions",
            "as_user", "recipients", "ask_approvers", "with_values", "skip_hours",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "way" in self.fields:
            field = cast("forms.ChoiceField", self.fields["way"])
            field.choices = [("", "Choose…"), *((way.name, way.label) for way in ways.known())]
        if self.instance.pk:
            self.initial["way"] = ways.name_of(self.instance)

    def clean_recipients(self) -> list[str]:
        """Hold each against the shape of an address."""
        for address in self.cleaned_data["recipients"]:
            validate_email(address)
        if len(self.cleaned_data["recipients"]) > audience.MOST_RECIPIENTS:
            raise forms.ValidationError(f"At most {audience.MOST_RECIPIENTS} addresses.")
        return list(self.cleaned_data["recipients"])

    def clean(self) -> dict[str, Any]:
        """Say what speaks against it before anything is saved."""
        cleaned: dict[str, Any] = super().clean() or {}
        user = cleaned.get("as_user")
        if user is not None and "as_user" in self.changed_data and (why := actions.may_lend_eyes(self.by, user)):
            self.add_error("as_user", why)
        way = ways.named(cleaned.get("way", ""))
        if way is not None:
            self.instance.connection, self.instance.operation = way.connection, way.operation
            asks = bool(cleaned.get("ask_approvers"))
            if why := ways.objection(way, cleaned.get("recipients", []), ask_approvers=asks):
                self.add_error("recipients", why)
        return cleaned


@admin.register(Subscription)
class SubscriptionAdmin(AuditedAdmin):
    """Who is told of what: events of the ledger, narrowed, through one connection, seen with one user's eyes."""

    form = SubscriptionForm
    list_display = ("slug", "label", "connection", "as_user", "standing", "outbox")
    list_filter = ("enabled", "connection")
    list_select_related = ("connection", "as_user")
    search_fields = ("slug", "label")
    actions = ("pause", "resume")
    fieldsets = (
        (None, {"fields": ("slug", "label", "enabled")}),
        ("What", {"fields": ("events", "min_severity", "domains", "business_units", "regions", "as_user")}),
        ("To whom", {"fields": ("way", "recipients", "ask_approvers", "with_values", "skip_hours")}),
    )

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Tell the form who fills it in."""
        made = super().get_form(request, obj, change, **kwargs)
        return type(made.__name__, (made,), {"by": request.user})

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Count the messages with the rows."""
        waiting = Count("outgoing", filter=Q(outgoing__state=OutState.PENDING))
        dead = Count("outgoing", filter=Q(outgoing__state=OutState.DEAD))
        rows: QuerySet[Any] = super().get_queryset(request).annotate(waiting=waiting, dead=dead)
        return rows

    @admin.display(description="State", ordering="enabled")
    def standing(self, subscription: Subscription) -> str:
        """Say whether it tells, and if it is held up, why."""
        if not subscription.enabled:
            return "Off"
        return f"Held up. {subscription.paused_reason}" if subscription.paused_at else "On"

    @admin.display(description="Waiting, dead")
    def outbox(self, subscription: Any) -> str:
        """Show how many messages wait and how many were given up."""
        return f"{subscription.waiting}, {subscription.dead}"

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save it; what is new, or switched on again, is told of what happens from now on."""
        if obj.enabled and (not change or "enabled" in form.changed_data):
            actions.begin_now(obj)
        super().save_model(request, obj, form, change)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Its messages say what was told, and to whom; a subscription is switched off instead.
        return False

    @admin.action(description="Hold up the chosen subscriptions", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> None:
        """Hold them up: messages are made and wait."""
        who = request.user.get_username()
        held = sum(actions.pause(one, actor=who, reason=f"Held up by {who}.") for one in queryset)
        messages.success(request, f"{held} held up.")

    @admin.action(description="Go on with the chosen subscriptions", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> None:
        """Go on; what has grown too old is skipped."""
        skipped = sum(actions.resume(one, actor=request.user.get_username()) for one in queryset)
        messages.success(request, f"They go on; {skipped} messages were too old and are skipped.")


class WhyForm(ActionForm):
    """The choice of an action, and why."""

    reason = forms.CharField(required=False, max_length=500, label="Why: ")


@admin.register(Outgoing)
class OutgoingAdmin(ReadOnlyAdmin):
    """The outbox: every message, what became of it, and why."""

    visible_through = "incident"
    list_display = ("id", "state", "event", "incident", "said", "subscription", "occurred_at")
    list_filter = ("state", "subscription", "event")
    search_fields = ("=event_id", "=incident__id")
    list_select_related = ("subscription", "incident")
    show_full_result_count = False
    fields = (
        "state", "state_reason", "guidance", "subscription", "incident", "event", "event_id", "entry", "occurred_at",
        "created_at", "due_at", "sent_at", "attempts", "call_id", "thread", "written",
    )  # fmt: skip
    action_form = WhyForm
    actions = ("send_again", "set_aside")

    @admin.display(description="Message")
    def written(self, row: Outgoing) -> SafeString:
        """Show what is sent, as text."""
        return as_told(row.message) if row.message else SafeString("It is written when it is first sent.")

    @admin.display(description="Error or reason")
    def said(self, row: Outgoing) -> str:
        """Show what went wrong, or why it was skipped."""
        return row.state_reason[:120]

    @admin.action(description="Send the dead ones again")
    def send_again(self, request: HttpRequest, queryset: QuerySet[Outgoing]) -> None:
        """Send them again under their old ids."""
        self._each(request, queryset, actions.send_again, "are sent again")

    @admin.action(description="Set the dead ones aside")
    def set_aside(self, request: HttpRequest, queryset: QuerySet[Outgoing]) -> None:
        """Let them rest."""
        self._each(request, queryset, actions.set_aside, "are set aside")

    def _each(self, request: HttpRequest, queryset: QuerySet[Outgoing], act: Any, said: str) -> None:
        done = 0
        for row in queryset.filter(state=OutState.DEAD):
            try:
                act(row, by=cast("User", request.user), reason=request.POST.get("reason", ""))
                done += 1
            except Refusal as refusal:
                self.message_user(request, f"{row.event_id}: {refusal}", messages.ERROR)
        if done:
            self.message_user(request, f"{done} {said}.", messages.SUCCESS)
