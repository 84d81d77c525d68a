"""A log that cannot be asked yet, or not any more: what state it is in, why, and what to do."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from audit.pages import live, live_answer
from insights.access import may_act
from insights.models import EventLog
from insights.states import LogState


def state_page(request: HttpRequest, log: EventLog) -> HttpResponse:
    """Say how far a log is and what to do next."""
    return render(request, "insights/log_state.html", {"log": log, "region": _region(request, log)})


@require_safe
@login_required
def state_live(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the waiting page; a log that has become ready opens by itself."""
    log = get_object_or_404(EventLog.objects.visible_to(request.user), pk=pk)
    if log.state == LogState.READY:
        return HttpResponse(status=200, headers={"HX-Redirect": log.get_absolute_url(), "Cache-Control": "no-store"})
    return live_answer(request, _region(request, log))


def _region(request: HttpRequest, log: EventLog) -> SafeString:
    context = {
        "log": log,
        "percent": round(log.progress * 100),
        "may_act": may_act(request.user),
        "rejected": log.refused_last()[:10] if log.state == LogState.FAILED else (),
    }
    waiting = log.state == LogState.IMPORTING
    url = reverse("event_log_live", args=[log.pk])
    return live(request, "insights/_log_state.html", context, url=url, poll=waiting, every=2)
