"""Whose records the cases of a log are: said once by its owner, and then every case leads to its record."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from audit.errors import NotAllowed
from audit.pages import answers_refusals, person
from connectors.models import Connection
from connectors.registry import pages_of
from insights.access import may_act
from insights.eventlog import sources
from insights.models import EventLog
from insights.views.asked import found


def form_of(log: EventLog) -> dict[str, Any]:
    """Return what the form shows: what is said now, which systems, attributes and kinds of record can be chosen."""
    connections = list(Connection.objects.order_by("slug"))
    known = {name for each in connections if (pages := pages_of(each)) for name in pages.templates}
    return {
        "bound": log.records,
        "of_connection": log.origin.removeprefix(sources.ORIGIN) if log.origin.startswith(sources.ORIGIN) else "",
        "bound_label": next((one.label for one in connections if one.slug == log.records.get("connection")), ""),
        "connections": [(one.slug, one.label or one.slug) for one in connections],
        "entities": sorted(known - {"*"}),
        "keys": [str(one["name"]) for one in log.attributes if one["type"] in ("text", "number")],
    }


@require_POST
@login_required
@answers_refusals
def bind(request: HttpRequest, pk: int) -> HttpResponse:
    """Say whose records the cases are."""
    log = found(request, pk)
    if not may_act(request.user):
        raise NotAllowed("Only operators and automation owners say whose records a log tells of.")
    said = {name: request.POST.get(name, "") for name in sources.FIELDS}
    log = sources.bind(log, said, actor=person(request).get_username())
    done = "Every case leads to its record now." if log.records else "Cases lead to no records any more."
    messages.success(request, done)
    return redirect("event_log_facts", pk=log.pk)
