"""The list of event logs, a new one from a file, and the facts of one: what it holds, what was refused, its end."""

import csv
import io
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_POST, require_safe

from audit.errors import Invalid, NotAllowed
from audit.models import BusinessUnit
from audit.pages import answers_refusals, live, live_answer, page_of, person, words_of
from audit.strictjson import TooLarge
from insights import actions, storage
from insights.access import may_act
from insights.mining.filters import EVERYTHING
from insights.models import EventLog
from insights.states import LogState
from insights.views import example, records
from insights.views.asked import csv_file, found, frame
from insights.views.state import state_page

# What a form adds to its file.
_FORM = 1 << 20
TEMPLATES = (("", "None: columns are guessed"), ("o2c", "Order to cash (O2C)"), ("p2p", "Purchase to pay (P2P)"))


class UploadForm(forms.Form):
    """A file and what is known of it."""

    file = forms.FileField(label="File", allow_empty_file=True)
    name = forms.CharField(max_length=120, required=False, help_text="Blank: the name of the file.")
    process = forms.ChoiceField(label="Process", choices=TEMPLATES, required=False)
    business_unit = forms.ChoiceField(label="Business unit", required=False)
    region = forms.ChoiceField(label="Region", required=False)
    look_first = forms.BooleanField(label="Show me first what is in it", required=False)

    def __init__(self, *args: Any, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        units, regions = reach(by)
        for name, choices in (("business_unit", units), ("region", regions)):
            field: Any = self.fields[name]
            field.choices = [("", "Only me, and who works for all"), *((one, one) for one in choices)]
            if choices and not _works_for_all(by, f"{name}s"):
                # What belongs to no unit of theirs, they could look at but not have watched.
                field.initial = choices[0]


def _works_for_all(user: User, part: str) -> bool:
    return user.is_superuser or "*" in getattr(getattr(user, "scope", None), part, ())


def reach(user: User) -> tuple[list[str], list[str]]:
    """Return the business units and regions that ``user`` works for."""
    rows = list(BusinessUnit.objects.values_list("slug", "regions"))
    scope = getattr(user, "scope", None)
    units, regions = [slug for slug, _ in rows], sorted({one for _, held in rows for one in held})
    if user.is_superuser or scope is None:
        return (units, regions) if user.is_superuser else ([], [])
    mine, places = scope.business_units, scope.regions
    return (
        [one for one in units if "*" in mine or one in mine],
        [one for one in regions if "*" in places or one in places],
    )


@require_safe
@login_required
def logs(request: HttpRequest) -> HttpResponse:
    """List the event logs, and take in a new one."""
    return _list(request, UploadForm(by=person(request)))


def _list(request: HttpRequest, form: UploadForm, status: int = 200) -> HttpResponse:
    context = {
        "tab": "logs",
        "region": _region(request),
        "form": form,
        "may_act": may_act(request.user),
        "most": settings.INSIGHTS_MAX_UPLOAD_MB,
        "has_units": bool(reach(person(request))[0]),
    }
    return render(request, "insights/logs.html", context, status=status)


@require_safe
@login_required
def logs_live(request: HttpRequest) -> HttpResponse:
    """Answer the list that keeps itself fresh."""
    return live_answer(request, _region(request))


def _region(request: HttpRequest) -> SafeString:
    rows = EventLog.objects.visible_to(request.user).select_related("uploaded_by")
    page = page_of(rows, request, size=25)
    waiting = any(one.state == LogState.IMPORTING for one in page.rows)
    cursor = request.GET.get("cursor", "")
    url = reverse("event_logs_live") + (f"?{urlencode({'cursor': cursor})}" if cursor else "")
    return live(request, "insights/_logs.html", {"page": page}, url=url, poll=waiting, every=2)


# The size is looked at before anything else reads the body: to look for the token in the form is to receive the file.
@csrf_exempt
@require_POST
@login_required
def upload(request: HttpRequest) -> HttpResponse:
    """Refuse what is too large before it is read; then take it in."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > (settings.INSIGHTS_MAX_UPLOAD_MB << 20) + _FORM:
        messages.error(request, f"The file is larger than {settings.INSIGHTS_MAX_UPLOAD_MB} MB. Send it in parts.")
        return redirect("event_logs")
    return _take_in(request)


@csrf_protect
@answers_refusals
def _take_in(request: HttpRequest) -> HttpResponse:
    if not may_act(request.user):
        raise NotAllowed("Only operators and automation owners bring in event logs.")
    form = UploadForm(request.POST, request.FILES, by=person(request))
    if not form.is_valid():
        return _list(request, form, status=422)
    told = form.cleaned_data
    file = told["file"]
    try:
        log = actions.receive(
            file.chunks(1 << 20),
            name=told["name"] or (file.name or "Event log").rsplit("/", 1)[-1],
            actor=person(request).get_username(),
            file_name=file.name or "",
            process=told["process"],
            business_unit=told["business_unit"],
            region=told["region"],
            look_first=told["look_first"],
            uploaded_by=person(request),
        )
    except (Invalid, TooLarge) as refusal:
        form.add_error("file", words_of(refusal))
        return _list(request, form, status=422)
    page = "event_log_mapping" if log.state == LogState.MAPPING else "event_log"
    return redirect(page, pk=log.pk)


@require_safe
@login_required
def example_file(request: HttpRequest) -> HttpResponse:
    """Send a small log to try things on."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(example.COLUMNS)
    writer.writerows(example.rows())
    answer = HttpResponse(text.getvalue(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="goldseam-example-orders.csv"'
    return answer


@require_safe
@login_required
def facts(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what a log holds, which lines were refused and why, and how it is taken away."""
    log = found(request, pk)
    if not log.generation:
        return state_page(request, log)
    context = {
        **frame(request, log, "event_log_facts", EVERYTHING),
        "rejected": log.refused_now()[:200],
        "kept_rejects": log.refused_now().count(),
        "failed_rejects": log.refused_last()[:50] if log.state == LogState.FAILED else (),
        "has_file": storage.given(log).exists(),
        "records": records.form_of(log),
        "mapping": [(key.replace("_", " "), value) for key, value in log.mapping.items() if value],
    }
    return render(request, "insights/log_facts.html", context)


@require_safe
@login_required
def rejects(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """Send the refused lines as a file."""
    log = found(request, pk)
    failed = log.state == LogState.FAILED and (not log.generation or request.GET.get("of") == "failed")
    rows = log.refused_last() if failed else log.refused_now()
    return csv_file(list(rows.values("line", "reason", "text")), f"rejected-{log.pk}")


@require_POST
@login_required
@answers_refusals
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a log away with all its files."""
    log = found(request, pk)
    if not may_act(request.user):
        raise NotAllowed("Only operators and automation owners take event logs away.")
    if request.POST.get("sure") != "yes":
        raise Invalid("Nothing was removed.", {"sure": ["Tick that you mean it."]})
    name = log.name
    actions.delete(log, actor=person(request).get_username(), reason=request.POST.get("reason", ""))
    messages.success(request, f"“{name}” is gone, with all its files. The ledger keeps that it was here.")
    return redirect("event_logs")
