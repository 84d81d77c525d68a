"""Hold-outs are begun, changed and ended here; who was drawn is looked at."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from audit.admin import AuditedAdmin, ReadOnlyAdmin, ReasonForm
from playbooks import holdout_actions, holdouts
from playbooks.holdout_actions import Terms
from playbooks.holdout_models import HoldOut, HoldOutDraw
from playbooks.models import Playbook


class HoldOutForm(ReasonForm):
    """The terms of a trial."""

    class Meta:
        model = HoldOut
        fields = ("playbook", "share", "purpose", "days", "max_severity", "max_amount", "currency")

    @property
    def terms(self) -> Terms:
        """Return what was filled in."""
        given = self.cleaned_data
        return Terms(**{name: given[name] for name in Terms.__dataclass_fields__})

    def clean(self) -> dict[str, Any]:
        """Say what speaks against it before anything is saved."""
        cleaned: dict[str, Any] = super().clean() or {}
        playbook: Playbook | None = cleaned.get("playbook") or (self.instance.playbook if self.instance.pk else None)
        if not self.instance.pk and playbook is not None and holdouts.running(playbook) is not None:
            self.add_error("playbook", "A hold-out of it runs already: change that one, or end it.")
        if not self.errors and playbook is not None:
            for where, texts in holdout_actions.objections(playbook, self.terms).items():
                self.add_error(where if where in self.fields else None, texts)
        return cleaned


@admin.register(HoldOut)
class HoldOutAdmin(AuditedAdmin):
    """A share of a playbook's mends that is left to people by lot, to learn what the playbook brings."""

    form = HoldOutForm
    list_display = ("playbook", "number", "share", "begun_at", "ends_at", "ended_at", "drawn")
    list_filter = ("playbook",)
    actions = ("end_now",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Count the lots with the rows."""
        out = Count("draws", filter=Q(draws__held_out=True))
        rows: QuerySet[Any] = super().get_queryset(request).select_related("playbook")
        counted: QuerySet[Any] = rows.annotate(lots=Count("draws"), out=out)
        return counted

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A trial stays with its playbook; its times follow from its terms."""
        return ("playbook", "begun_at", "ends_at", "ended_at") if obj else ()

    @admin.display(description="Held out, of drawn")
    def drawn(self, trial: Any) -> str:
        """Show how many were left to people so far."""
        return f"{trial.out} of {trial.lots}"

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Begin it, or change it: where who is drawn would change, the next trial begins."""
        who, why = request.user.get_username(), form.cleaned_data.get("change_reason", "")
        given = {"actor": who, "reason": why, "anew": not change}
        made = holdout_actions.configure(obj.playbook, form.terms, **given)
        obj.pk = made.pk if made is not None else obj.pk

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing hangs on it, and the action has entered what was done."""

    @admin.action(description="End the chosen hold-outs", permissions=["change"])
    def end_now(self, request: HttpRequest, queryset: QuerySet[HoldOut]) -> None:
        """Draw nobody any more."""
        who = request.user.get_username()
        running = list(HoldOut.objects.filter(pk__in=queryset.values("pk"), ended_at=None))
        for trial in running:
            holdout_actions.end(trial, actor=who, reason="Ended in the configuration.")
        messages.success(request, f"{len(running)} ended.")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # What was left to people, and why, stands for ever; a trial is ended instead.
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A trial that is over is read, not changed."""
        return super().has_change_permission(request, obj) and (obj is None or obj.ended_at is None)


@admin.register(HoldOutDraw)
class HoldOutDrawAdmin(ReadOnlyAdmin):
    """Who was drawn, and who left."""

    list_display = ("incident", "hold_out", "playbook_version", "held_out", "drawn_at", "left_at", "left_by")
    list_filter = ("held_out", "hold_out")
    list_select_related: ClassVar = ("incident", "hold_out__playbook", "playbook_version__playbook")
    visible_through = "incident"
