"""The pages of detectors: what is watched, making one, rehearsal and history; an incident made by hand of a case."""

import hashlib
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.errors import Invalid, Refusal
from audit.pages import answers_refusals, person, words_of
from incidents.access import check_sender, reach_of
from incidents.intake import accept_many
from incidents.models import Incident
from insights.access import may_act
from insights.detectors import actions
from insights.detectors.definitions import Limits, read
from insights.detectors.fields import Known
from insights.detectors.forms import DetectorForm, initial_from, initial_of
from insights.detectors.models import Detector, DetectorRun, Rehearsal
from insights.detectors.queries import CannotRead, Rows, languages
from insights.detectors.raising import by_hand
from insights.detectors.tiles import TILES, Tile, tile, tile_of
from insights.detectors.wording import describe
from insights.drawing.charts import Datum, bars
from insights.models import EventLog

RECENT = 50


@require_safe
@login_required
def detectors(request: HttpRequest) -> HttpResponse:
    """List the detectors that this person may see, those switched on first."""
    rows = Detector.objects.visible_to(person(request)).select_related("log").prefetch_related("versions")
    listed = list(rows.order_by("-enabled", "label", "pk")[:500])
    runs = _newest(DetectorRun.objects.filter(detector__in=listed), "detector")
    rehearsals = _newest(
        Rehearsal.objects.filter(version__detector__in=listed, version__active=True), "version__detector"
    )
    shown = [
        {"detector": one, "says": _says(one), "last": runs.get(one.pk), "rehearsal": rehearsals.get(one.pk)}
        for one in listed
    ]
    return render(request, "insights/detectors.html", {"rows": shown, "may_change": may_act(request.user)})


def _says(detector: Detector) -> str:
    version = next((one for one in detector.versions.all() if one.active), None)
    if version is None:
        return "nothing yet"
    try:
        return describe(read(version.definition))
    except Invalid:
        return "a text that can no longer be read"


def _newest(rows: Any, whose: str) -> dict[int, Any]:
    """Return the newest row of each detector in two queries, however many detectors there are."""
    last = dict(rows.order_by().values_list(whose).annotate(last=Max("pk")))
    found = rows.in_bulk(list(last.values()))
    return {owner: found[pk] for owner, pk in last.items()}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@answers_refusals
def new(request: HttpRequest) -> HttpResponse:
    """Ask for a log and what to watch, then for the rest; make it, and rehearse it at once."""
    logs = EventLog.objects.visible_to(person(request)).filter(generation__gt=0)
    log = _log_of(request, logs)
    chosen = _tile_of(request)
    if chosen is None or (chosen.needs_log and log is None):
        context = {"tiles": _offered(request, log), "log": log, "logs": logs[:200]}
        return render(request, "insights/detector_new.html", context)
    log = log if chosen.needs_log else None
    known = Known.of(log)
    if request.method != "POST":
        form = DetectorForm(chosen, known, initial=initial_from(request.GET, chosen, log))
        return _form_page(request, form, log)
    form = DetectorForm(chosen, known, request.POST)
    if "preview" in request.POST:
        return _previewed(request, form, log)
    if form.is_valid():
        try:
            made = actions.create(
                label=form.cleaned_data["label"],
                definition=form.definition(),
                by=person(request),
                log=log,
                **_home(request),
            )
        except Invalid as wrong:
            form.blame(wrong.errors)
        else:
            _rehearse(request, made)
            return redirect(made)
    return _form_page(request, form, log, status=422)


def _offered(request: HttpRequest, log: EventLog | None) -> list[Tile]:
    """Return what this person can watch here: questions only where they may be asked and a connection understands."""
    spoken = languages() if actions.may_ask(request.user) else frozenset()
    found = [one for one in TILES if log or not one.needs_log]
    if not actions.may_ask(request.user):
        found = [one for one in found if one.kind != "query"]
    return [one for one in found if not one.language or one.language in spoken]


def _previewed(
    request: HttpRequest, form: DetectorForm, log: EventLog | None, *, detector: Detector | None = None
) -> HttpResponse:
    """Show the first rows of the question as it stands in the form. Nothing is kept."""
    shown = None
    if form.is_valid():
        try:
            shown = _table(actions.preview(form.definition(), by=person(request)))
        except Invalid as wrong:
            form.blame(wrong.errors)
        except CannotRead as unread:
            form.add_error(None, str(unread))
    return _form_page(request, form, log, detector=detector, shown=shown, status=200 if shown else 422)


def _table(rows: Rows) -> dict[str, Any]:
    return {"columns": rows.columns, "rows": [[one.values.get(name) for name in rows.columns] for one in rows.findings]}


def _home(request: HttpRequest) -> dict[str, str]:
    """Return the one unit and region that the person works for, for a detector without a log; blank for all of them."""
    scope = getattr(request.user, "scope", None)
    units, regions = (scope.business_units, scope.regions) if scope else (["*"], ["*"])
    alone = {"business_unit": units, "region": regions}
    return {name: found[0] if found and "*" not in found else "" for name, found in alone.items()}


def _form_page(
    request: HttpRequest,
    form: DetectorForm,
    log: EventLog | None,
    *,
    detector: Detector | None = None,
    shown: dict[str, Any] | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {"form": form, "tile": form.tile, "log": log, "detector": detector, "shown": shown}
    return render(request, "insights/detector_form.html", context, status=status)


def _log_of(request: HttpRequest, logs: Any) -> EventLog | None:
    given = request.GET.get("log", "")
    if not given:
        return None
    if not given.isdecimal() or len(given) > 18:
        raise Http404("There is no such log.")
    found: EventLog = get_object_or_404(logs, pk=int(given))
    return found


def _tile_of(request: HttpRequest) -> Tile | None:
    """Return what is to be watched: as chosen here, or as a link from another page says it."""
    asked = request.GET.dict()
    kind = asked.get("kind") or ("anomaly" if asked.get("measure") else "")
    return tile(asked.get("watch", "")) or (tile_of(kind, asked) if kind else None)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@answers_refusals
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Write the next version of a detector."""
    detector = _found(request, pk)
    version = detector.active
    chosen, answers = initial_of(read(version.definition)) if version else (None, {})
    if chosen is None:
        messages.info(request, "This detector was written as a document; change it there and apply it again.")
        return redirect(detector)
    log = actions.log_of(detector)
    known = Known.of(log)
    if request.method != "POST":
        return _form_page(request, DetectorForm(chosen, known, initial={**answers, "label": detector.label}), log,
                          detector=detector)  # fmt: skip
    form = DetectorForm(chosen, known, request.POST)
    if "preview" in request.POST:
        return _previewed(request, form, log, detector=detector)
    if form.is_valid():
        try:
            actions.revise(
                detector, definition=form.definition(), by=person(request), label=form.cleaned_data["label"],
                if_version=_seen(request),
            )  # fmt: skip
        except Invalid as wrong:
            form.blame(wrong.errors)
        else:
            _rehearse(request, detector)
            return redirect(detector)
    return _form_page(request, form, log, detector=detector, status=422)


def _seen(request: HttpRequest) -> int | None:
    given = request.POST.get("row_version", "")
    return int(given) if given.isdecimal() and len(given) < 10 else None


def _found(request: HttpRequest, pk: int) -> Detector:
    found: Detector = get_object_or_404(Detector.objects.visible_to(person(request)).select_related("log"), pk=pk)
    return found


def _rehearse(request: HttpRequest, detector: Detector) -> None:
    try:
        actions.rehearse_now(detector, by=request.user)
    except Refusal as refusal:
        messages.warning(request, f"It could not be rehearsed: {words_of(refusal)}")


@require_safe
@login_required
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one detector: what it watches, what it would have opened, what it has opened, and its versions."""
    detector = _found(request, pk)
    version = detector.active
    rehearsal = version.rehearsals.first() if version else None
    found = list(detector.findings.select_related("incident")[:RECENT])
    seen = Incident.objects.visible_to(person(request)).filter(
        pk__in={one.incident_id for one in found if one.incident_id}
    )
    context = {
        "detector": detector, "version": version, "says": _says(detector), "log": _visible_log(request, detector),
        "limits": _limits(version), "rehearsal": rehearsal, "chart": _weeks(rehearsal) if rehearsal else None,
        "findings": found,
        "seen": set(seen.values_list("pk", flat=True)), "runs": detector.runs.all()[:10],
        "versions": detector.versions.all()[:20], "may_change": may_act(request.user),
    }  # fmt: skip
    return render(request, "insights/detector.html", context)


def _limits(version: Any) -> Limits | None:
    """Return the limits of a version, its defaults filled in; ``None`` where it can no longer be read."""
    try:
        return read(version.definition).limits if version else None
    except Invalid:
        return None


def _visible_log(request: HttpRequest, detector: Detector) -> EventLog | None:
    log = actions.log_of(detector)
    return EventLog.objects.visible_to(person(request)).filter(pk=log.pk).first() if log else None


def _weeks(rehearsal: Rehearsal) -> Any:
    weeks = [Datum(day, count) for day, count in rehearsal.result.get("weeks", [])]
    said = f"{rehearsal.raised} in {len(weeks)} weeks, about {rehearsal.per_week:g} a week; each bar is a week."
    return bars("Incidents that it would have opened", weeks, summary=said)


@require_POST
@login_required
@answers_refusals
def rehearse(request: HttpRequest, pk: int) -> HttpResponse:
    """Rehearse the version that stands."""
    detector = _found(request, pk)
    actions.rehearse_now(detector, by=request.user)
    messages.success(request, "Rehearsed. Nothing was opened.")
    return redirect(detector)


@require_POST
@login_required
@answers_refusals
def enable(request: HttpRequest, pk: int) -> HttpResponse:
    """Switch it on; it looks for the first time within a minute."""
    return _switched(request, pk, actions.enable, "Switched on. Its first look comes within a minute.")


@require_POST
@login_required
@answers_refusals
def disable(request: HttpRequest, pk: int) -> HttpResponse:
    """Switch it off."""
    return _switched(request, pk, actions.disable, "Switched off. What it opened stays.")


def _switched(request: HttpRequest, pk: int, switch: Callable[..., Detector], said: str) -> HttpResponse:
    detector = _found(request, pk)
    switch(detector, by=request.user, reason=request.POST.get("reason", ""), if_version=_seen(request))
    messages.success(request, said)
    return redirect(detector)


@require_POST
@login_required
@answers_refusals
def preview(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the first rows of a saved query as they are now."""
    detector = _found(request, pk)
    version = detector.active
    rows = actions.preview(version.definition if version else {}, by=request.user)
    return render(request, "insights/detector_rows.html", {"detector": detector, **_table(rows)})


class ByHand(forms.Form):
    """An incident about one case, told by a person who saw it in a log."""

    text = forms.CharField(label="What is wrong", max_length=2000, widget=forms.Textarea(attrs={"rows": 4}))
    code = forms.ChoiceField(label="Kind of exception")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@answers_refusals
def incident(request: HttpRequest) -> HttpResponse:
    """Open an incident about one case of a log, with its events as evidence."""
    log = _log_of(request, EventLog.objects.visible_to(person(request)).filter(generation__gt=0))
    case = request.GET.get("case", "")[:1000]
    if log is None or not case:
        raise Http404("Say which case of which log.")
    form = ByHand(
        request.POST or None, initial={"text": request.GET.get("text", ""), "code": request.GET.get("code", "")}
    )
    form.fields["code"] = DetectorForm(TILES[0], Known()).fields["code"]
    if request.method == "POST" and form.is_valid():
        user = person(request)
        told = form.cleaned_data
        print_ = hashlib.sha256(f"{told['code']}\0{case}\0{told['text']}".encode()).hexdigest()[:32]
        signal = by_hand(log, case, text=told["text"], code=told["code"], id=f"log-{log.pk}-{print_}")
        check_sender(user, [signal])
        (accepted,) = accept_many([signal], actor=user.get_username(), reach=reach_of(user))
        return redirect(accepted.incident)
    context = {"form": form, "log": log, "case": case}
    return render(request, "insights/incident_form.html", context, status=422 if form.errors else 200)
