"""One incident: why it happened, what is proposed, what was done, and how it ended."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from audit.history import changes_of
from audit.pages import live, live_answer, page_of, person
from incidents.models import Incident
from playbooks.console.dossier import Dossier, Exhibit, dossier
from playbooks.forms import operators_for


def found(request: HttpRequest, pk: int) -> Dossier:
    """Return the dossier of an incident that the reader may see, or raise ``Http404``."""
    try:
        return dossier(Incident.objects.visible_to(request.user), pk, person(request))
    except Incident.DoesNotExist as missing:
        raise Http404("There is no such incident.") from missing


@require_safe
@login_required
def incident_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one incident whole."""
    file = found(request, pk)
    return render(request, "playbooks/incident.html", {"file": file, "region": _region(request, file)})


@require_safe
@login_required
def incident_live(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the page's question whether the incident has moved."""
    return live_answer(request, _region(request, found(request, pk)))


def _region(request: HttpRequest, file: Dossier) -> SafeString:
    context: dict[str, Any] = {"file": file, "incident": file.incident, "offers": file.offers}
    if file.offers.assign:
        context["operators"] = operators_for(file.incident)
    url = reverse("incident-live", args=[file.incident.pk])
    return live(request, "playbooks/_incident.html", context, url=url, poll=file.moving, every=3)


@require_safe
@login_required
def evidence_page(request: HttpRequest, pk: int, evidence: int) -> HttpResponse:
    """Show one record as it stood, and every test that was made on it."""
    file = found(request, pk)
    row = get_object_or_404(file.incident.evidence.select_related("signal"), pk=evidence)
    exhibit = next((one for one in file.exhibits if one.row.pk == row.pk), Exhibit(0, row))
    return render(request, "playbooks/evidence.html", {"file": file, "incident": file.incident, "exhibit": exhibit})


@require_safe
@login_required
def signals_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show every signal that joined the incident, raw and normalised."""
    file = found(request, pk)
    page = page_of(file.incident.signals.all(), request, size=25)
    return render(request, "playbooks/signals.html", {"file": file, "incident": file.incident, "page": page})


@require_safe
@login_required
def history_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the incident's field-level history."""
    file = found(request, pk)
    context = {"file": file, "incident": file.incident, "lines": changes_of(file.incident)}
    return render(request, "playbooks/history.html", context)
