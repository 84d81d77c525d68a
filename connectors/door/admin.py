"""Budgets as configuration; what was spent and noticed, to be read."""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from audit.admin import AuditedAdmin, ReadOnlyAdmin, ReasonForm
from connectors.door import budgeting, budgets
from connectors.door.models import Budget, Notice, Spent


class BudgetForm(ReasonForm):
    """A budget of a connection or of a team."""

    class Meta:
        model = Budget
        fields: ClassVar = ["connection", "team", *budgeting.COLUMNS]

    def clean(self) -> dict[str, Any]:
        """Say what does not fit together beside the field."""
        cleaned = super().clean() or self.cleaned_data
        columns = {name: cleaned.get(name) for name in budgeting.COLUMNS}
        for name, messages in budgeting.faults(cleaned.get("connection"), cleaned.get("team") or "", columns).items():
            if name not in self.errors:
                self.add_error(name, messages)
        return cleaned


@admin.register(Budget)
class BudgetAdmin(AuditedAdmin):
    """How much connections and teams may use in a day."""

    form = BudgetForm
    list_display = ("__str__", "calls", "tokens", "money", "currency", "time_zone", "spike", "used_today")
    list_select_related = ("connection",)
    search_fields = ("team", "connection__slug")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Keep whose budget it is: another's is another budget."""
        return () if obj is None else ("used_today",)

    @admin.display(description="Used today")
    def used_today(self, obj: Budget) -> str:
        """Say what is used of it since its day began."""
        return "; ".join(use.text for use in budgets.today([obj])) or "nothing"


@admin.register(Spent)
class SpentAdmin(ReadOnlyAdmin):
    """What was used of each budget on each day; money in millionths of its currency."""

    list_display = ("day", "budget", "calls", "tokens", "money", "warned_at")
    list_filter = ("budget",)
    list_select_related = ("budget__connection",)


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin):
    """What the door refused or found unusual: the first of each sort on a day."""

    list_display = ("at", "scope", "code", "about", "message")
    list_filter = ("code", "scope")
    search_fields = ("scope", "about")
