"""The approver's pages: what waits for me, exactly what is asked, yes or no, or let somebody else decide."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from approvals import actions
from approvals.access import pending_for, person_of, taker_named, why_not
from approvals.cards import card
from approvals.models import ApprovalRequest, Decision
from approvals.seats import visible_to
from approvals.states import State
from audit.errors import Refusal
from audit.pages import page_of

PAGE_SIZE = 50


@login_required
@require_safe
def approvals_list(request: HttpRequest) -> HttpResponse:
    """Show what waits for this person first, then everything of one state."""
    state = request.GET.get("state", State.PENDING)
    state = state if state in State.values else State.PENDING
    mine = list(pending_for(person_of(request.user)).order_by("expires_at", "id")[: PAGE_SIZE + 1])
    others = visible_to(person_of(request.user)).filter(state=state)
    # What is shown above is not shown again; what is more than fits there is, further down.
    page = page_of(others.exclude(pk__in=[one.pk for one in mine[:PAGE_SIZE]]), request)
    context = {"mine": mine[:PAGE_SIZE], "more": len(mine) > PAGE_SIZE, "page": page}
    context |= {"state": state, "states": State.choices}
    return render(request, "approvals/list.html", context)


@login_required
@require_safe
def approval(request: HttpRequest, pk: int) -> HttpResponse:
    """Show exactly what is asked, why, of whom, and who has answered."""
    found = get_object_or_404(visible_to(person_of(request.user)), pk=pk)
    decisions = found.decisions.select_related("person", "on_behalf_of")
    context = {"approval": found, "card": card(found, why_not(found, person_of(request.user))), "decisions": decisions}
    return render(request, "approvals/detail.html", context)


@login_required
@require_POST
def decide(request: HttpRequest, pk: int, verdict: str = "") -> HttpResponse:
    """Count a yes or no to the digest that the page showed, and go back there."""
    found = get_object_or_404(visible_to(person_of(request.user)), pk=pk)
    said = verdict or request.POST.get("verdict", "")
    digest, comment = request.POST.get("digest", ""), request.POST.get("comment", "")
    try:
        settled = actions.decide(found, by=person_of(request.user), verdict=said, digest=digest, comment=comment)
    except Refusal as refusal:
        messages.error(request, _words(refusal))
    else:
        messages.success(request, _thanks(settled, said))
    return redirect(_back(request, found))


@login_required
@require_POST
def delegate(request: HttpRequest, pk: int) -> HttpResponse:
    """Let somebody else decide on this person's behalf."""
    found = get_object_or_404(visible_to(person_of(request.user)), pk=pk)
    digest, reason = request.POST.get("digest", ""), request.POST.get("comment", "")
    try:
        taker = taker_named(request.POST.get("to", "").strip())
        actions.delegate(found, by=person_of(request.user), to=taker, reason=reason, digest=digest)
    except Refusal as refusal:
        messages.error(request, _words(refusal))
    else:
        messages.success(request, f"{taker.get_username()} can decide this on your behalf now.")
    return redirect(_back(request, found))


def _words(refusal: Refusal) -> str:
    errors = [text for texts in getattr(refusal, "errors", {}).values() for text in texts]
    return " ".join([str(refusal), *errors])


def _thanks(approval: ApprovalRequest, verdict: str) -> str:
    if verdict == Decision.Verdict.REJECT:
        return "Rejected. Nothing is sent."
    if approval.state == State.APPROVED:
        return "Approved. The change is sent and read back."
    return f"Your yes counts: {approval.given} of {approval.required}. Somebody else has to say yes too."


def _back(request: HttpRequest, approval: ApprovalRequest) -> str:
    """Return the page of ours that the form came from, or the request's own."""
    target = request.POST.get("next", "")
    here = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if here else approval.get_absolute_url()
