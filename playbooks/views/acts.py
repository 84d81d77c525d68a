"""What people do on an incident's page: each form calls one action and comes back to the page."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from audit.errors import Invalid
from audit.pages import answers_refusals, came_from, cleaned, person
from incidents import actions as backbone
from incidents.evidence import facts
from incidents.models import Incident, Merge
from playbooks import access, actions, chooser, holdout_actions, planning
from playbooks.forms import (
    Assignment,
    CommentText,
    Correction,
    MaybeReason,
    MergeNumber,
    MergeTarget,
    NoForm,
    PlanEdit,
    Reason,
)
from playbooks.models import Plan

Values = dict[str, Any]


@dataclass(frozen=True)
class Act:
    """One thing to do with an incident: its form, its action, and what to say when it is done."""

    form: type[forms.Form]
    do: Callable[[Incident, User, Values], object]
    said: str


def _merge(incident: Incident, by: User, values: Values) -> object:
    kept = Incident.objects.visible_to(by).filter(pk=values["into"]).first()
    if kept is None:
        raise Invalid("There is no such incident.", {"into": ["Check its number."]})
    return backbone.merge(kept, incident, by=by, reason=values["reason"])


def _unmerge(incident: Incident, by: User, values: Values) -> object:
    merge = Merge.objects.filter(kept=incident, pk=values["merge"], unmerged_at__isnull=True).first()
    if merge is None:
        raise Invalid("That merge has been taken apart already.")
    return backbone.unmerge(merge, by=by, reason=values["reason"])


ACTS = {
    "acknowledge": Act(NoForm, lambda one, by, _: backbone.acknowledge(one, by=by), "Acknowledged."),
    "assign": Act(Assignment, lambda one, by, given: backbone.assign(one, by=by, to=given["to"]), "Assigned."),
    "correct": Act(Correction, lambda one, by, given: backbone.correct(one, by=by, **given), "Set right."),
    "hold": Act(Reason, lambda one, by, given: backbone.hold(one, by=by, reason=given["reason"]), "On hold."),
    "release": Act(
        MaybeReason, lambda one, by, given: backbone.release(one, by=by, reason=given["reason"]), "Released."
    ),
    "dismiss": Act(Reason, lambda one, by, given: backbone.dismiss(one, by=by, reason=given["reason"]), "Dismissed."),
    "reopen": Act(Reason, lambda one, by, given: backbone.reopen(one, by=by, reason=given["reason"]), "Reopened."),
    "comment": Act(CommentText, lambda one, by, given: backbone.comment(one, by=by, text=given["text"]), "Noted."),
    "merge": Act(MergeTarget, _merge, "Merged."),
    "unmerge": Act(MergeNumber, _unmerge, "Taken apart again."),
    "replan": Act(
        MaybeReason,
        lambda one, by, given: actions.replan(one, by=by, reason=given["reason"]),
        "The evidence is read anew, then a new plan is made.",
    ),
    "take-over": Act(
        MaybeReason,
        lambda one, by, given: actions.take_over(one, by=by, reason=given["reason"]),
        "It is yours; the loop has stopped.",
    ),
    "leave-hold-out": Act(
        Reason,
        lambda one, by, given: holdout_actions.leave(one, by=by, reason=given["reason"]),
        "It is out of the comparison group; the playbook works on it.",
    ),
}


@require_POST
@login_required
@answers_refusals
def act(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Do one thing with an incident."""
    if verb not in ACTS:
        raise Http404("There is no such action.")
    incident = get_object_or_404(Incident.objects.visible_to(request.user), pk=pk)
    chosen = ACTS[verb]
    chosen.do(incident, person(request), cleaned(chosen.form(request.POST)))
    messages.success(request, chosen.said)
    return redirect(came_from(request, incident.get_absolute_url()))


@require_POST
@login_required
@answers_refusals
def roll_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for a mend to be taken back."""
    rows = access.executions(request.user).select_related("plan__playbook_version__playbook", "incident")
    execution = get_object_or_404(rows, pk=pk)
    back = actions.roll_back(execution, by=person(request), reason=cleaned(Reason(request.POST))["reason"])
    said = "The undo waits for an approval." if back.approval_id else "The undo has begun."
    messages.success(request, said)
    return redirect(execution.incident)


@require_POST
@login_required
@answers_refusals
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop an execution before its next step."""
    execution = get_object_or_404(access.executions(request.user).select_related("incident"), pk=pk)
    actions.cancel(execution, by=person(request), reason=cleaned(MaybeReason(request.POST))["reason"])
    messages.success(request, "It stops before its next step.")
    return redirect(execution.incident)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@answers_refusals
def edit_plan(request: HttpRequest, pk: int) -> HttpResponse:
    """Choose another candidate playbook, or other values for its slots."""
    plan = get_object_or_404(access.plans(request.user).select_related("incident__kind", "playbook_version"), pk=pk)
    choices = _choices(plan)
    if request.method == "POST":
        slug = request.POST.get("playbook", "")
        form = PlanEdit(request.POST, offered={name: values for name, (values, _) in choices.get(slug, {}).items()})
        values = cleaned(form)
        actions.edit_plan(plan, by=person(request), playbook=values["playbook"], slots=form.slots())
        messages.success(request, "A new plan was made. Someone else has to approve it.")
        return redirect(f"{reverse('incident', args=[plan.incident_id])}#plan")
    context = {"plan": plan, "incident": plan.incident, "choices": _shown(plan, choices)}
    return render(request, "playbooks/edit_plan.html", context)


def _choices(plan: Plan) -> dict[str, dict[str, tuple[list[Any], Any]]]:
    """Return each candidate with the values that its slots may take, and their defaults."""
    variables = facts(plan.incident)
    root_cause = plan.incident.root_causes.order_by("-round").first()
    versions = planning.candidates(plan.incident, root_cause)
    return {version.playbook.slug: chooser.offered(version, variables) for version in versions}


def _shown(plan: Plan, choices: dict[str, dict[str, tuple[list[Any], Any]]]) -> list[dict[str, Any]]:
    now = plan.playbook_version.playbook.slug
    return [
        {
            "slug": slug,
            "now": slug == now,
            "slots": [
                {
                    "name": name,
                    "values": [(index, value) for index, value in enumerate(values)],
                    "chosen": values.index(plan.slots.get(name, default) if slug == now else default),
                }
                for name, (values, default) in slots.items()
            ],
        }
        for slug, slots in choices.items()
    ]
