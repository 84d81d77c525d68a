"""The inbox: what needs me, and what mends itself."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from audit.pages import live, live_answer, person
from playbooks.console.figures import today
from playbooks.console.needs import LIMIT, mending_now, needs_of


@require_safe
@login_required
def inbox(request: HttpRequest) -> HttpResponse:
    """Show what needs the reader, most urgent first."""
    return render(request, "playbooks/inbox.html", {"region": _region(request)})


@require_safe
@login_required
def inbox_live(request: HttpRequest) -> HttpResponse:
    """Answer the inbox's question whether anything is new."""
    return live_answer(request, _region(request))


def _region(request: HttpRequest) -> SafeString:
    user = person(request)
    needs = needs_of(user)
    context = {"needs": needs[:LIMIT], "more": len(needs) > LIMIT, "mending": mending_now(user, besides=needs)}
    context["day"] = today(user)
    return live(request, "playbooks/_inbox.html", context, url=reverse("inbox-live"))
