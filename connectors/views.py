"""The connections as operators see them: healthy or not, what was called of late, and the switch that stops writing."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from audit.access import has_role
from audit.clock import db_now
from audit.errors import NotAllowed
from audit.pages import answers_refusals, cleaned, page_of, person
from connectors import actions
from connectors.door import budgets, health
from connectors.door.models import Notice
from connectors.models import Call, Connection, EmergencyStop
from connectors.rights import report as rights
from connectors.wire import modelhosts

READERS = ("operator", "compliance", "automation_admin", "auditor")
SWITCHERS = ("operator", "automation_admin")


class StopReason(forms.Form):
    """Why writing is stopped or goes on."""

    reason = forms.CharField(max_length=2_000, error_messages={"required": "A reason is needed."})


@dataclass(frozen=True)
class Line:
    """One connection with what it did in the last hour."""

    connection: Connection
    hour: health.Hour
    stop: EmergencyStop | None
    waits: bool
    uses: list[budgets.Use] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)  # single operations
    unused: int = 0  # rights that nothing used or names


@require_safe
@login_required
def connections(request: HttpRequest) -> HttpResponse:
    """Show every connection's state and whether anything is stopped."""
    _reader(request)
    standing = list(EmergencyStop.objects.filter(ended_at__isnull=True).order_by("started_at"))
    stops = {stop.connection_id: stop for stop in standing if not stop.operation}
    lines = _lines(stops, [stop for stop in standing if stop.operation])
    context = {
        "lines": lines,
        "gauges": health.gauges(line.connection for line in lines),
        "notices": _notices(),
        "stop": stops.get(None),
        "models": modelhosts.described(),
        "may_switch": has_role(request.user, *SWITCHERS),
        "may_configure": has_role(request.user, "automation_admin"),
    }
    return render(request, "connectors/connections.html", context)


def _notices() -> list[Notice]:
    """Return what the door refused or found unusual in the last day, newest first."""
    return list(Notice.objects.filter(at__gte=db_now() - timedelta(days=1)).select_related("connection")[:20])


def _lines(stops: dict[int | None, EmergencyStop], single: list[EmergencyStop]) -> list[Line]:
    now = db_now()
    uses = defaultdict(list)
    for use in budgets.today():
        uses[use.scope].append(use)
    stopped = [(stop.connection_id, stop.operation) for stop in single]
    hours = health.last_hour(now)
    rows = list(Connection.objects.select_related("gate").order_by("slug"))
    unused = {one.connection.pk: len(one.removable) for one in rights.reports(rows, now=now)}
    return [
        Line(
            row,
            hours.get(row.pk, health.Hour()),
            stops.get(row.pk),
            bool(row.not_before and row.not_before > now),
            [*uses[row.slug], *(uses[f"team {row.team}"] if row.team else [])],
            [operation for key, operation in stopped if key in (None, row.pk)],
            unused[row.pk],
        )
        for row in rows
    ]


@require_safe
@login_required
def calls(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the calls of one connection, newest first; secrets never stand in them."""
    _reader(request)
    connection = get_object_or_404(Connection, slug=slug)
    rows: QuerySet[Call] = connection.calls.all()
    failed = request.GET.get("show") == "failed"
    if failed:
        rows = rows.exclude(outcome__in=health.GOOD)
    context = {
        "connection": connection,
        "page": page_of(rows, request),
        "failed": failed,
        "gauge": health.gauges([connection])[0],
        "hour": health.last_hour(db_now()).get(connection.pk),
    }
    return render(request, "connectors/calls.html", context)


@require_POST
@login_required
@answers_refusals
def stop(request: HttpRequest) -> HttpResponse:
    """Stop all writing, or that of one connection."""
    _switcher(request)
    connection = _named(request)
    reason = cleaned(StopReason(request.POST))["reason"]
    actions.stop_everything(reason=reason, actor=person(request).get_username(), connection=connection)
    messages.warning(request, f"Nothing is written to {connection.label if connection else 'any system'} any more.")
    return redirect(reverse("connections"))


@require_POST
@login_required
@answers_refusals
def resume(request: HttpRequest) -> HttpResponse:
    """Let writing go on."""
    _switcher(request)
    connection = _named(request)
    reason = cleaned(StopReason(request.POST))["reason"]
    actions.resume(reason=reason, actor=person(request).get_username(), connection=connection)
    messages.success(request, "Writing goes on; what waited is taken up again.")
    return redirect(reverse("connections"))


@require_POST
@login_required
@answers_refusals
def check(request: HttpRequest, slug: str) -> HttpResponse:
    """Try a connection now."""
    _switcher(request)
    connection = get_object_or_404(Connection, slug=slug)
    health = actions.test_connection(connection, actor=person(request).get_username())
    said = f"{connection.label}: {health.message}" if health.message else f"{connection.label} answers."
    (messages.success if health.ok else messages.error)(request, said)
    return redirect(reverse("connections"))


def _named(request: HttpRequest) -> Connection | None:
    slug = request.POST.get("connection", "")
    return get_object_or_404(Connection, slug=slug) if slug else None


def _reader(request: HttpRequest) -> None:
    if not has_role(request.user, *READERS):
        raise PermissionDenied("Connections are for operators, automation owners, compliance and auditors.")


def _switcher(request: HttpRequest) -> None:
    if not has_role(request.user, *SWITCHERS):
        raise NotAllowed("Operators and automation owners do this.")
