"""What people decide on an incident's page about the names of its entities."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from audit.pages import answers_refusals, cleaned, person
from incidents import entities
from incidents.entity_models import AliasDecision
from incidents.known import aliases_for, seen_by
from incidents.models import Incident


class Why(forms.Form):
    """The reason of a decision."""

    reason = forms.CharField(max_length=2_000)


@require_POST
@login_required
@answers_refusals
def act(request: HttpRequest, pk: int, alias: int, verb: str) -> HttpResponse:
    """Say whether a disputed name is that of its entity, or take the decision back."""
    user = person(request)
    incident = get_object_or_404(Incident.objects.visible_to(user), pk=pk)
    among = seen_by(user).filter(mentions__incident=incident)
    row = get_object_or_404(aliases_for(user, among), pk=alias)
    reason = cleaned(Why(request.POST))["reason"]
    if verb in ("confirm", "reject"):
        entities.decide(row, incident, holds=verb == "confirm", by=user, reason=reason)
        messages.success(request, f"{row.value} is {'' if verb == 'confirm' else 'not '}{row.entity.label}.")
    elif verb == "revert":
        decision = get_object_or_404(AliasDecision, alias=row, reverted_at=None)
        entities.revert(decision, incident, by=user, reason=reason)
        messages.success(request, "The decision is taken back.")
    else:
        raise Http404("There is no such action.")
    return redirect(incident)
