"""The page of value, the rows behind each figure, the rollout checklist, and what is done about spikes and findings."""

import csv
from collections.abc import Iterable, Iterator

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from audit.errors import Invalid
from audit.exports import cell
from audit.pages import answers_refusals, page_of, person
from incidents.models import ExceptionKind
from insights.detectors.links import link_to_playbook
from insights.kpis import actions, feedback, holdouts, periods
from insights.kpis.answers import Answer, answer
from insights.kpis.cells import BY
from insights.kpis.checklist import checklist as stages_of
from insights.kpis.dashboard import PERIODS, dashboard, details, period_of
from insights.kpis.definitions import DEFINITIONS, USE
from insights.kpis.measures import Measure
from insights.kpis.models import Finding
from insights.kpis.periods import Period
from insights.kpis.rows import rows_of
from insights.kpis.used import use_measures
from insights.mining.asking import require_ready
from insights.models import EventLog

COLUMNS = (
    "by",
    "key",
    "measure",
    "value",
    "unit",
    "currency",
    "n",
    "low",
    "high",
    "because",
    "from",
    "to",
    "definition",
)


@require_safe
@login_required
def value(request: HttpRequest) -> HttpResponse:
    """Show how well it goes and what it is worth."""
    period, days = period_of(request.GET)
    shown = dashboard(person(request), period)
    context = {
        "board": shown,
        "days": days,
        "periods": PERIODS,
        "tab": "value",
        "definitions": (*DEFINITIONS.values(), *USE.values()),
    }
    if not shown.empty:
        context |= details(person(request), period)
    return render(request, "insights/kpis.html", context)


@require_safe
@login_required
@answers_refusals
def rows(request: HttpRequest, name: str) -> HttpResponse:
    """List the rows behind a measure."""
    if name not in DEFINITIONS and name not in USE:
        raise Http404("There is no such measure.")
    period = _period(request)
    params = {key: request.GET[key] for key in (*BY, "connection", "operation") if key in request.GET}
    try:
        found = rows_of(person(request), period, name, params)
    except Invalid as invalid:
        raise Http404(str(invalid)) from invalid
    context = {
        "found": found,
        "page": page_of(found.rows, request),
        "n": found.rows.count(),
        "period": period,
        "narrowed": params,
        "tab": "value",
        "draft": _draft(request, params.get("kind", "")),
    }
    return render(request, "insights/kpis_rows.html", context)


@require_safe
@login_required
def export(request: HttpRequest) -> StreamingHttpResponse:
    """Stream the measures as CSV, the whole and each part."""
    by = request.GET.get("by", "week")
    if by not in BY:
        raise Http404("There is no such way to part the figures.")
    period = _period(request)
    lines = _csv(answer(person(request), period, by), use_measures(person(request), period))
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="measures.csv"'
    return response


@require_safe
@login_required
def checklist(request: HttpRequest) -> HttpResponse:
    """Show what of the first ninety days is reached, with what proves it."""
    stages = stages_of(person(request))
    done, whole = sum(one.done for one in stages), sum(len(one.items) for one in stages)
    context = {"stages": stages, "done": done, "whole": whole, "tab": "checklist"}
    return render(request, "insights/checklist.html", context)


@require_safe
@login_required
@answers_refusals
def before_and_after(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what each playbook version changed in one process, and how incidents of each variant were handled."""
    log = get_object_or_404(EventLog.objects.visible_to(request.user), pk=pk)
    require_ready(log)
    reader = person(request)
    context = {
        "log": log,
        "compared": feedback.comparisons(log, reader),
        "trials": holdouts.by_log(log, reader),
        "stronger": holdouts.LABEL,
        "variants": feedback.coverage_by_variant(log, reader, periods.latest(365)),
        "label": feedback.LABEL,
        "tab": "value",
    }
    return render(request, "insights/kpis_feedback.html", context)


@require_safe
@login_required
def hold_outs(request: HttpRequest) -> HttpResponse:
    """Show what each playbook brings by its hold-outs, from the incidents that were drawn."""
    context = {"trials": holdouts.trials(person(request)), "stronger": holdouts.LABEL, "tab": "value"}
    return render(request, "insights/hold_outs.html", context)


@require_POST
@login_required
@answers_refusals
def raise_spike(request: HttpRequest) -> HttpResponse:
    """Open an incident about a spike."""
    incident = actions.raise_spike(request.POST.get("key", ""), by=person(request))
    messages.success(request, f"{incident} is open about it.")
    return redirect("insights")


@require_POST
@login_required
@answers_refusals
def finding(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Open an incident about a finding, or set it aside."""
    found = get_object_or_404(Finding.objects.visible_to(request.user), pk=pk)
    if verb == "raise":
        messages.success(request, f"{actions.raise_finding(found, by=person(request))} is open about it.")
    elif verb == "set-aside":
        actions.set_aside(found, by=person(request), reason=request.POST.get("reason", ""))
        messages.success(request, "Set aside.")
    else:
        raise Http404("There is no such action.")
    return redirect("insights")


def _draft(request: HttpRequest, code: str) -> str:
    """Return where a playbook for a kind is drafted, for those who write them; else ""."""
    kind = ExceptionKind.objects.filter(code=code).first() if code else None
    if kind is None or not request.user.has_perm("playbooks.add_playbook"):
        return ""
    return link_to_playbook(label=f"Mend {kind.label.lower()}", code=kind.code, rationale="Taken by hand until now.")


def _period(request: HttpRequest) -> Period:
    try:
        return period_of(request.GET)[0] if "days" in request.GET else periods.parse(request.GET)
    except Invalid as invalid:
        raise Http404(str(invalid)) from invalid


class _Echo:
    """A file that hands each written line back."""

    def write(self, line: str) -> str:
        return line


def _csv(found: Answer, used: Iterable[Measure]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for key, measures in [("", (*found.first, *found.money)), *((one.key, one.first) for one in found.groups)]:
        by = found.by if measures is not found.first and key else ""
        for measure in (*measures, *(part for one in measures for part in one.parts)):
            yield writer.writerow([cell(part) for part in _line(found, by, key, measure)])
    for measure in used:
        # What is used is used of a connection, or as an operation of one.
        place = [str(measure.data[name]) for name in ("connection", "operation") if name in measure.data]
        for part in (measure, *measure.parts):
            line = _line(found, "operation" if len(place) > 1 else "connection", ":".join(place), part)
            yield writer.writerow([cell(one) for one in line])


def _line(found: Answer, by: str, key: str, measure: Measure) -> list[object]:
    low, high = measure.interval or (None, None)
    definition = measure.definition
    currency = str(measure.data.get("currency", "")) if definition.unit == "money" else ""
    unit = (by, key, measure.name, measure.value, definition.unit, currency, measure.n, low, high, measure.because)
    return [*unit, found.period.start, found.period.end, definition.text]
