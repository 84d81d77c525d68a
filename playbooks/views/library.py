"""Playbooks and policies as people read them: versions, steps, what each may do alone, and how well it did."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from audit.pages import person
from incidents.models import ExceptionKind
from playbooks import holdouts
from playbooks.access import readable
from playbooks.console.careers import Career, career_of, careers, careers_of_versions
from playbooks.console.previews import labels_of
from playbooks.definitions import PlaybookDefinition
from playbooks.models import Playbook, PlaybookVersion, Policy, PolicyVersion


@require_safe
@login_required
def playbooks(request: HttpRequest) -> HttpResponse:
    """Show every playbook with its active version and its career, and the policies beside them."""
    active = PlaybookVersion.objects.filter(active=True)
    rows = readable(Playbook.objects.all(), person(request))
    rows = rows.prefetch_related(Prefetch("versions", queryset=active, to_attr="standing"))
    known = careers()
    spoken = PolicyVersion.objects.filter(active=True)
    context = {
        "rows": [_row(playbook, known.get(playbook.pk, Career())) for playbook in rows.order_by("kind_code", "slug")],
        "policies": readable(Policy.objects.all(), person(request)).prefetch_related(
            Prefetch("versions", queryset=spoken, to_attr="standing")
        ),
    }
    return render(request, "playbooks/playbooks.html", context)


def _row(playbook: Playbook, career: Career) -> dict[str, Any]:
    standing: list[PlaybookVersion] = getattr(playbook, "standing", [])
    version = standing[0] if standing else None
    return {
        "playbook": playbook,
        "version": version,
        "state": _state(playbook, version),
        "career": career,
        "autonomy": _definition(version).autonomy if version else None,
    }


def _state(playbook: Playbook, version: PlaybookVersion | None) -> str:
    """Say whether it may be planned with; without a version that stands it is somebody's draft."""
    if version is None:
        return "draft"
    return "active" if playbook.enabled else "retired"


def _definition(version: PlaybookVersion) -> PlaybookDefinition:
    return PlaybookDefinition.model_validate(version.definition)


@require_safe
@login_required
def playbook(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one playbook: the version that stands, or the one asked for, in words and as text."""
    row = get_object_or_404(readable(Playbook.objects.select_related("owner"), person(request)), slug=slug)
    versions = list(row.versions.all())
    wanted = request.GET.get("version", "")
    shown = next((one for one in versions if str(one.number) == wanted or (not wanted and one.active)), None)
    shown = shown or (versions[0] if versions else None)
    definition = _definition(shown) if shown else None
    steps = definition.steps if definition else []
    counted = careers_of_versions(row)
    trial = holdouts.running(row)
    context = {
        "playbook": row,
        "kind": ExceptionKind.objects.filter(code=row.kind_code).first(),
        "version": shown,
        "definition": definition,
        "labels": labels_of(step.connection for step in steps),
        "versions": [(one, counted.get(one.number, Career())) for one in versions],
        "career": career_of(row),
        "hold_out": trial,
        "lots": holdouts.lots_of(trial) if trial else None,
        "policies": _policies_for({f"{step.connection}:{step.operation}" for step in steps}),
    }
    return render(request, "playbooks/playbook.html", context)


def _policies_for(operations: set[str]) -> list[PolicyVersion]:
    active = PolicyVersion.objects.filter(active=True, policy__enabled=True).select_related("policy")
    return [one for one in active.order_by("policy__slug") if not one.operations or operations & set(one.operations)]


@require_safe
@login_required
def policy(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one policy with every version of its text."""
    row = get_object_or_404(readable(Policy.objects.select_related("owner"), person(request)), slug=slug)
    return render(request, "playbooks/policy.html", {"policy": row, "versions": list(row.versions.all())})
