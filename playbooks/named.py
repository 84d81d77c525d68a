"""Which operations playbooks, plans under way, subscriptions and the planner name."""

from collections.abc import Iterator

from django.urls import reverse

from connectors.models import Connection
from connectors.rights import naming
from connectors.rights.naming import Named
from playbooks.models import PlaybookVersion, StepRun
from playbooks.states import LIVE_EXECUTION
from playbooks.telling.models import Subscription


def by_playbooks() -> Iterator[Named]:
    """Yield the steps of every active version of a playbook that is switched on."""
    active = PlaybookVersion.objects.filter(active=True, playbook__enabled=True).select_related("playbook")
    for version in active.order_by("playbook__slug"):
        for step in version.definition["steps"]:
            playbook = version.playbook
            yield Named(step["connection"], step["operation"], "playbook", playbook.label, playbook.get_absolute_url())


def by_executions() -> Iterator[Named]:
    """Yield what executions that are not over may still send, whatever became of their playbooks."""
    live = StepRun.objects.filter(execution__state__in=LIVE_EXECUTION).order_by("execution_id", "number")
    rows = live.values_list("connection", "operation", "undo__operation", "execution__incident_id")
    for slug, operation, undo, incident in rows:
        for name in filter(None, (operation, undo)):
            yield Named(slug, name, "mend under way of", f"INC-{incident}", reverse("incident", args=[incident]))


def by_subscriptions() -> Iterator[Named]:
    """Yield by which operations subscriptions that are switched on tell."""
    for row in Subscription.objects.filter(enabled=True).select_related("connection"):
        url = reverse("admin:playbooks_subscription_change", args=[row.pk])
        yield Named(row.connection.slug, row.operation, "subscription", row.label, url)


def by_planner() -> Iterator[Named]:
    """Yield the model that the planner asks."""
    model = Connection.objects.filter(kind="openai", enabled=True).order_by("slug").first()
    if model is not None:
        yield Named(model.slug, "chat.complete", "the planner", "of mends")


def register() -> None:
    """Let pages about rights ask this floor."""
    naming.contribute("playbooks", by_playbooks)
    naming.contribute("executions", by_executions)
    naming.contribute("subscriptions", by_subscriptions)
    naming.contribute("planner", by_planner)
