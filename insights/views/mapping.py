"""Which column is what: guessed, shown with the first rows, and said by a person before anything is imported."""

from dataclasses import dataclass
from typing import Any
from zoneinfo import available_timezones

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from audit.errors import IllegalMove, Invalid, NotAllowed
from audit.pages import answers_refusals, person
from insights import actions, storage
from insights.access import may_act
from insights.eventlog.guess import SURE
from insights.eventlog.looking import Look, look
from insights.eventlog.shapes import NEEDED, ROLES, BadMapping, Mapping
from insights.models import EventLog
from insights.states import LogState
from insights.views.asked import found
from insights.views.state import state_page

_WORDS = {
    "case": ("Case", "One run through the process: an order, an invoice, a ticket."),
    "activity": ("Activity", "What was done: “Create order”, “Ship goods”."),
    "timestamp": ("Time", "When it was done."),
    "start": ("Began at", "When work on it began, where the file tells that too."),
    "resource": ("Person", "Who did it; needed for segregation of duties."),
    "amount": ("Amount", "What the case is worth; ranks bottlenecks by money."),
}
_TOLD = ("time_zone", "time_format", "duplicates", "future")


@dataclass(frozen=True)
class Role:
    """One thing that a column can be: what it is called, which column it is thought to be and how surely."""

    key: str
    label: str
    help: str
    column: str
    needed: bool
    confidence: float | None
    errors: tuple[str, ...]

    @property
    def sure(self) -> bool:
        """Tell whether nobody needs to look twice."""
        return self.confidence is not None and self.confidence >= SURE


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@answers_refusals
def mapping(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what the columns seem to be, and import the log with what is said of them."""
    log = found(request, pk)
    if log.state == LogState.IMPORTING or not storage.given(log).exists():
        return state_page(request, log)
    if request.method != "POST":
        return _page(request, log, Mapping.of(log.mapping), {})
    if not may_act(request.user):
        raise NotAllowed("Only operators and automation owners say what the columns are.")
    said = {key: request.POST.get(key, "").strip() for key in (*ROLES, *_TOLD)}
    said = {key: value for key, value in said.items() if value}
    try:
        actions.set_mapping(
            log, said, actor=person(request).get_username(), object_type=request.POST.get("object_type", "")
        )
    except BadMapping as wrong:
        return _page(request, log, _readable(said), wrong.errors, status=422)
    except (Invalid, IllegalMove) as wrong:
        return _page(request, log, _readable(said), {"": [str(wrong)]}, status=422)
    return redirect("event_log", pk=log.pk)


def _readable(said: dict[str, str]) -> Mapping:
    """Return what was said, for the form to show again, even where it cannot be used."""
    return Mapping(**said)


def _page(
    request: HttpRequest, log: EventLog, told: Mapping, errors: dict[str, list[str]], status: int = 200
) -> HttpResponse:
    # What was told or guessed before is not believed: how sure a guess is, only the file can say.
    object_type = request.GET.get("object_type", "")[:120] or log.object_type
    seen = look(storage.given(log), inside=True, object_type=object_type)
    mine = {key.removeprefix("mapping."): texts for key, texts in errors.items()}
    roles = [_role(key, seen, told, mine, posted=bool(errors)) for key in ROLES]
    chosen = {one.column: one.label for one in roles if one.column}
    form = {key: getattr(told, key) for key in _TOLD}
    if seen.guess and not told.time_format and not errors:
        form["time_format"] = seen.guess.mapping.time_format
    context: dict[str, Any] = {
        "log": log,
        "seen": seen,
        "roles": roles,
        "object_type": seen.inside.case if seen.inside else object_type,
        "head": [(name, chosen.get(name, "")) for name in seen.columns],
        "form": form,
        "wrong": {key: texts for key, texts in mine.items() if key in _TOLD},
        "other": [text for key, texts in mine.items() if key not in (*ROLES, *_TOLD) for text in texts],
        "zones": sorted(available_timezones()),
        "may_act": may_act(request.user),
        "again": log.generation > 0,
        "sure": log.generation > 0 or seen.guess is None or seen.guess.sure,
    }
    return render(request, "insights/mapping.html", context, status=status)


def _role(key: str, seen: Look, told: Mapping, errors: dict[str, list[str]], *, posted: bool) -> Role:
    label, words = _WORDS[key]
    guessed = seen.guess.mapping if seen.guess else Mapping()
    column = getattr(told, key) or ("" if posted else getattr(guessed, key))
    confidence = seen.guess.confidence.get(key) if seen.guess and column == getattr(guessed, key) else None
    return Role(key, label, words, column, key in NEEDED, confidence, tuple(errors.get(key, ())))
