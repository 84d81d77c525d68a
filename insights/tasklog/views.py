"""The pages of task mining: logs and how to bring one in, what was found in one, the backlog, and trackers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.access import has_role
from audit.errors import Invalid, Refusal
from audit.pages import answers_refusals, cleaned, live, live_answer, page_of, person
from insights.access import may_act
from insights.models import EventLog
from insights.tasklog import actions, trackers
from insights.tasklog.access import SEEING, task_logs
from insights.tasklog.access import trackers as visible_trackers
from insights.tasklog.backlog import backlog as items_of
from insights.tasklog.forms import DraftForm, LinkForm, LogForm, TrackerForm
from insights.tasklog.models import Routine, TaskLog, TrackerLine
from insights.tasklog.running import kept_for, least_people
from insights.tasklog.states import TaskLogState

_WORKING = (TaskLogState.WAITING, TaskLogState.MINING)


@dataclass(frozen=True)
class Family:
    """One task and the ways in which it is done, the usual one first."""

    ways: Sequence[Routine]

    @property
    def usual(self) -> Routine:
        """Return the way that is taken most often."""
        return max(self.ways, key=lambda one: (one.repeats, -one.number))

    @property
    def quickest(self) -> Routine:
        """Return the way that takes least time."""
        return min(self.ways, key=lambda one: (one.median_seconds, one.number))

    @property
    def repeats(self) -> int:
        """Return how often the task was done."""
        return sum(one.repeats for one in self.ways)

    @property
    def hours(self) -> float:
        """Return how long it took in all."""
        return sum(one.total_seconds for one in self.ways) / 3600


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@answers_refusals
def logs(request: HttpRequest) -> HttpResponse:
    """Show the task logs, and take a new one in."""
    _seer(request)
    form = LogForm(request.user, request.POST or None, request.FILES or None) if may_act(request.user) else None
    if request.method == "POST":
        return _taken_in(request, form)
    return _logs(request, form, 200)


def _taken_in(request: HttpRequest, form: LogForm | None) -> HttpResponse:
    actions.require(person(request))
    if form is None or not form.is_valid():
        return _logs(request, form, 422)
    told = form.cleaned_data
    file: UploadedFile[Any] = told["file"]
    try:
        log = actions.receive(
            file.chunks(1 << 20), name=told["name"], by=person(request), file_name=file.name or "", size=file.size or 0,
            time_zone=told["time_zone"], business_unit=told["business_unit"], region=told["region"],
        )  # fmt: skip
    except Invalid as refusal:
        _note(form, refusal)
        return _logs(request, form, 422)
    messages.success(request, f"{log.steps:,} steps of {log.people} people were taken in; names and values were not.")
    return redirect(log)


def _logs(request: HttpRequest, form: LogForm | None, status: int) -> HttpResponse:
    rows = task_logs(request.user).annotate(found=Count("routines"))
    context = {"page": page_of(rows, request), "form": form, "least": least_people(), "days": kept_for().days}
    return _page(request, "tasks", "logs", context, status)


def _note(form: Any, refusal: Refusal) -> None:
    errors = refusal.errors if isinstance(refusal, Invalid) else {}
    for name, told in errors.items():
        for text in told:
            form.add_error(name if name in form.fields else None, text if name in form.fields else f"{name}: {text}")
    if not errors:
        form.add_error(None, str(refusal))


@require_safe
@login_required
def log(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what was found in a log, how far it is, and what was refused of it."""
    row = _found(request, pk)
    routines = list(row.routines.select_related("playbook"))
    applications = sorted({step["application"] for one in routines for step in one.steps})
    context = {
        "log": row,
        "state": _state(request, row),
        "families": families(routines),
        "carried": [one for one in routines if one.kind != "sequence"],
        "rejected": row.rejected.all()[:50],
        "links": row.links.select_related("event_log").filter(event_log__in=EventLog.objects.visible_to(request.user)),
        "systems": sorted(row.systems.items()),
        "link_form": LinkForm(request.user, applications) if may_act(request.user) and applications else None,
        "least": least_people(),
    }
    return _page(request, "task_log", "logs", context)


def families(routines: Sequence[Routine]) -> list[Family]:
    """Return the repeated steps by task, the one that takes most time first."""
    found: dict[int, list[Routine]] = {}
    for one in routines:
        if one.kind == "sequence":
            found.setdefault(one.family, []).append(one)
    return sorted((Family(ways) for ways in found.values()), key=lambda family: -family.hours)


@require_safe
@login_required
def log_live(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer how far a log is; once it is done, the page loads anew."""
    row = _found(request, pk)
    if row.state not in _WORKING:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return live_answer(request, _state(request, row))


def _state(request: HttpRequest, row: TaskLog) -> SafeString:
    url = reverse("task_log_live", args=[row.pk])
    return live(request, "insights/_task_state.html", {"log": row}, url=url, poll=row.state in _WORKING, every=2)


@require_POST
@login_required
@answers_refusals
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a log."""
    row = _found(request, pk)
    actions.delete(row, by=person(request))
    messages.success(request, f"{row.name} was removed, with all that was found in it.")
    return redirect("task_logs")


@require_POST
@login_required
@answers_refusals
def link(request: HttpRequest, pk: int) -> HttpResponse:
    """Say where the steps of an application belong."""
    row, by = _found(request, pk), person(request)
    actions.require(by)
    applications = sorted({step["application"] for one in row.routines.all() for step in one.steps})
    told = cleaned(LinkForm(request.user, applications, request.POST))
    actions.name_system(row, by=by, application=told["application"], connection=told["connection"])
    if told["event_log"]:
        process = get_object_or_404(EventLog.objects.visible_to(request.user), pk=int(told["event_log"]))
        said = {"application": told["application"], "activity": told["activity"]}
        actions.link(row, by=by, event_log=process, **said)
    messages.success(request, f"{told['application']} is placed; the backlog counts it from now on.")
    return redirect(row)


@require_safe
@login_required
def backlog(request: HttpRequest) -> HttpResponse:
    """Show what to automate first, each line with its reasons."""
    _seer(request)
    items = items_of(request.user)
    context = {
        "items": items[:100],
        "hidden": max(len(items) - 100, 0),
        "rate": settings.REWORK_HOURLY_RATE,
        "form": DraftForm() if may_act(request.user) else None,
    }
    return _page(request, "task_backlog", "backlog", context)


@require_POST
@login_required
@answers_refusals
def draft(request: HttpRequest, pk: int) -> HttpResponse:
    """Draft a playbook of a routine."""
    _seer(request)
    row = get_object_or_404(Routine.objects.filter(log__in=task_logs(request.user)), pk=pk)
    playbook = actions.draft(row, by=person(request), kind_code=cleaned(DraftForm(request.POST))["kind"])
    messages.success(request, "The draft is written and off. Choose each step's operation, then switch it on.")
    return redirect(playbook)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@answers_refusals
def tracker_list(request: HttpRequest) -> HttpResponse:
    """Show the trackers, and take a new one in."""
    _seer(request)
    form = TrackerForm(request.user, request.POST or None, request.FILES or None) if may_act(request.user) else None
    status = 200
    if request.method == "POST":
        actions.require(person(request))
        found = _tracked(request, form)
        if found is not None:
            return found
        status = 422
    rows = visible_trackers(request.user).annotate(
        orphans=Count("lines", filter=Q(lines__effect_id=None)),
        open=Count("lines", filter=Q(lines__effect_id=None, lines__incident_id=None)),
    )
    return _page(request, "trackers", "trackers", {"page": page_of(rows, request), "form": form}, status)


def _tracked(request: HttpRequest, form: TrackerForm | None) -> HttpResponse | None:
    if form is None or not form.is_valid():
        return None
    told = form.cleaned_data
    file: UploadedFile[Any] = told.pop("file")
    try:
        row = trackers.take_in(file.chunks(1 << 20), by=person(request), **told)
    except Invalid as refusal:
        _note(form, refusal)
        return None
    messages.success(request, f"{row.lines_count} changes were held against what is recorded.")
    return redirect(row)


@require_safe
@login_required
def tracker(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the lines of a tracker that no recorded effect accounts for, or all of them."""
    _seer(request)
    row = get_object_or_404(visible_trackers(request.user), pk=pk)
    every = request.GET.get("show") == "all"
    lines = row.lines.all() if every else row.lines.filter(effect_id=None)
    context = {
        "tracker": row,
        "page": page_of(lines, request),
        "every": every,
        "orphans": row.lines.filter(effect_id=None).count(),
    }
    return _page(request, "tracker", "trackers", context)


@require_POST
@login_required
@answers_refusals
def tracker_match(request: HttpRequest, pk: int) -> HttpResponse:
    """Hold a tracker's orphans against what has been recorded since."""
    _seer(request)
    row = get_object_or_404(visible_trackers(request.user), pk=pk)
    actions.require(person(request))
    messages.success(request, f"{trackers.match(row)} more lines have found their effect.")
    return redirect(row)


@require_POST
@login_required
@answers_refusals
def orphan(request: HttpRequest, pk: int) -> HttpResponse:
    """Open an incident about a line that nothing accounts for."""
    _seer(request)
    rows = TrackerLine.objects.select_related("tracker").filter(tracker__in=visible_trackers(request.user))
    incident = trackers.raise_incident(get_object_or_404(rows, pk=pk), by=person(request))
    return redirect(incident)


def _page(request: HttpRequest, name: str, part: str, context: Mapping[str, Any], status: int = 200) -> HttpResponse:
    """Show a page of task mining under its tab; ``part`` is the one of the three that it belongs to."""
    around = {"tab": "tasks", "part": part, "may_change": may_act(request.user)}
    return render(request, f"insights/{name}.html", {**context, **around}, status=status)


def _found(request: HttpRequest, pk: int) -> TaskLog:
    _seer(request)
    return get_object_or_404(task_logs(request.user), pk=pk)


def _seer(request: HttpRequest) -> None:
    if not has_role(request.user, *SEEING):
        raise PermissionDenied("How work is done is for those who run, own or check it.")
