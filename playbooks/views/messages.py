"""Messages that could not be delivered: sent again, or set aside."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from audit.pages import answers_refusals, came_from, cleaned, person
from playbooks import access
from playbooks.forms import Reason
from playbooks.telling import actions


@require_POST
@login_required
@answers_refusals
def send_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Have one dead message sent again."""
    row = get_object_or_404(access.outgoing(request.user), pk=pk)
    actions.send_again(row, by=person(request), reason=cleaned(Reason(request.POST))["reason"])
    messages.success(request, "It is sent again under its old id, so that the receiver can drop a second one.")
    return redirect(came_from(request, reverse("dead-letters")))


@require_POST
@login_required
@answers_refusals
def set_aside(request: HttpRequest, pk: int) -> HttpResponse:
    """Let one dead message rest."""
    row = get_object_or_404(access.outgoing(request.user), pk=pk)
    actions.set_aside(row, by=person(request), reason=cleaned(Reason(request.POST))["reason"])
    messages.success(request, "Set aside.")
    return redirect(came_from(request, reverse("dead-letters")))
