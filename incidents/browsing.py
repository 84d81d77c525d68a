"""The list of incidents as people look through it: a few views, filters, and words to find."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from audit.clock import db_now
from audit.models import BusinessUnit
from incidents import standing
from incidents.models import ExceptionKind, Incident, Queue
from incidents.search import saying
from incidents.states import CLOSED, Severity, Status

COLUMNS = (
    *("id", "title", "status", "severity", "domain", "entity_type", "entity_key", "business_unit", "region"),
    *("revenue_at_risk", "currency", "signals_count", "last_signal_at", "opened_at", "resolved_at", "row_version"),
    *("queue__label", "assignee__username", "sla__resolve_due", "sla__stopped_at", "sla__paused_at"),
)
VIEWS = {
    "open": ("Open", ~Q(status__in=CLOSED)),
    "person": ("Needs a person", Q(status__in=(Status.NEEDS_OPERATOR, Status.AWAITING_APPROVAL, Status.ON_HOLD))),
    "mending": ("Mending", Q(status__in=(Status.EXECUTING, Status.VERIFYING, Status.ROLLING_BACK))),
    "closed": ("Closed", Q(status__in=CLOSED)),
    "all": ("All", Q()),
}
SOON = timedelta(hours=4)


@dataclass(frozen=True)
class Filter:
    """One choice that narrows the list."""

    name: str
    label: str
    choices: list[tuple[str, str]]
    value: str = ""


def view_of(params: Mapping[str, str]) -> str:
    """Return which view is wanted; words and exact statuses look through everything unless one is named."""
    wanted = params.get("show", "")
    if wanted in VIEWS:
        return wanted
    return "all" if params.get("search") or params.get("status") else "open"


def narrowed(rows: "QuerySet[Incident]", params: Mapping[str, str], user: User) -> "QuerySet[Incident]":
    """Return the rows that fit the view, every filter and the words; an unknown value finds nothing."""
    rows = rows.filter(VIEWS[view_of(params)][1])
    for name in ("status", "severity", "domain", "business_unit", "region", "entity_key", "code"):
        if params.get(name):
            rows = rows.filter(**{name: params[name]})
    if params.get("queue"):
        rows = rows.filter(queue__slug=params["queue"])
    rows = rows.filter(_assigned(params.get("assignee", ""), user), _timely(params.get("sla", "")))
    return saying(rows, params.get("search", ""), user)


def _assigned(value: str, user: User) -> Q:
    if value == "me":
        return Q(assignee=user)
    if value == "nobody":
        return Q(assignee__isnull=True)
    return Q(assignee__username=value) if value else Q()


def _timely(value: str) -> Q:
    now = db_now()
    if value == "late":
        return standing.due(lt=now)
    if value == "soon":
        return standing.due(gte=now, lt=now + SOON)
    return Q(pk__in=[]) if value else Q()


def filters(params: Mapping[str, str]) -> list[Filter]:
    """Return the filters with their choices; only names of configuration, never of rows that may not be seen."""
    units = list(BusinessUnit.objects.all())
    regions = sorted({region for unit in units for region in unit.regions})
    domains = sorted(set(ExceptionKind.objects.values_list("domain", flat=True)) - {""})
    choices: dict[str, tuple[str, list[tuple[str, Any]]]] = {
        "status": ("Status", [(one.value, str(one.label)) for one in Status]),
        "severity": ("Severity", [(one.value, str(one.label)) for one in Severity]),
        "domain": ("Domain", [(one, one.capitalize()) for one in domains]),
        "business_unit": ("Unit", [(unit.slug, unit.name) for unit in units]),
        "region": ("Region", [(one, one) for one in regions]),
        "queue": ("Queue", list(Queue.objects.values_list("slug", "label"))),
        "assignee": ("Assigned", [("me", "To me"), ("nobody", "To nobody")]),
        "sla": ("Time", [("late", "Late"), ("soon", "Due within 4 h")]),
    }
    return [Filter(name, label, found, params.get(name, "")) for name, (label, found) in choices.items()]
