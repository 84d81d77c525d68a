"""What every page of a log shares: the log, its filter, the tabs, a file of the same rows, and what is said instead."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from audit.access import has_role
from audit.errors import Invalid, Refusal
from audit.pages import words_of
from insights.access import may_act
from insights.mining.answers import kept
from insights.mining.asking import names
from insights.mining.filters import EVERYTHING, Filter, parse
from insights.mining.serving import Given
from insights.mining.telling import lines, told
from insights.models import EventLog
from insights.objectstore.faults import StoreUnavailable
from insights.states import LogState
from insights.views.chips import chips
from insights.views.state import state_page

Kept = TypeVar("Kept")
# The page's own words in its address, beside those of the filter; carried along when the filter changes.
OWN = frozenset({"activities", "paths", "colour", "target", "slow_days", "by", "rank", "money", "model", "target_days",
                 "rate", "ordering", "step", "step_from", "step_to", "page", "format"})  # fmt: skip
# Of these a change of the filter makes nonsense.
PASSING = frozenset({"step", "step_from", "step_to", "page", "format"})
TABS = (
    ("event_log", "Map"),
    ("event_log_variants", "Variants"),
    ("event_log_throughput", "Times"),
    ("event_log_bottlenecks", "Bottlenecks"),
    ("event_log_rework", "Rework"),
    ("event_log_conformance", "Conformance"),
    ("event_log_duties", "Duties"),
    ("event_log_causes", "Causes"),
    ("event_log_hotspots", "Hot spots"),
    ("event_log_leakage", "KPI leakage"),
    ("event_log_cases", "Cases"),
    ("event_log_compare", "Compare"),
    ("event_log_facts", "Facts"),
)
_SUGGESTED = 300


def address(log: EventLog, page: str, filter: Filter = EVERYTHING, /, **own: Any) -> str:
    """Return the address of a page of ``log`` about the cases that ``filter`` leaves."""
    pairs = [*filter.pairs(), *((key, str(value)) for key, value in own.items() if value not in (None, ""))]
    return f"{reverse(page, args=[log.pk])}{'?' if pairs else ''}{urlencode(pairs)}"


def found(request: HttpRequest, pk: int) -> EventLog:
    """Return the log, or answer 404 where it is not the reader's to see."""
    log: EventLog = get_object_or_404(EventLog.objects.visible_to(request.user), pk=pk)
    return log


@dataclass(frozen=True)
class Asked:
    """One request for a page of a log that is ready: which log, which cases, which page."""

    request: HttpRequest
    log: EventLog
    filter: Filter
    page: str

    @property
    def given(self) -> Given:
        """Return the page's own parameters."""
        return Given(self.request.GET)

    @property
    def as_csv(self) -> bool:
        """Tell whether the rows are asked for as a file."""
        return self.request.GET.get("format") == "csv"

    @property
    def may_act(self) -> bool:
        """Tell whether the reader may make something of what the page shows."""
        return may_act(self.request.user)

    def own(self) -> dict[str, str]:
        """Return the page's own parameters as they were given, without those that hold for one look."""
        return {key: str(value) for key, value in self.request.GET.items() if key in OWN - PASSING and value}

    def ask(self, question: Callable[..., Kept], **also: Any) -> Kept:
        """Return the answer to ``question`` about the chosen cases, from the last time where it stands."""
        return kept(question, self.log, self.filter, **also)

    def here(self, filter: Filter | None = None, /, **own: Any) -> str:
        """Return this page's address with another filter, or with other parameters of its own."""
        return address(self.log, self.page, self.filter if filter is None else filter, **{**self.own(), **own})

    def at(self, page: str, filter: Filter | None = None, /, **own: Any) -> str:
        """Return the address of another page of the log."""
        return address(self.log, page, self.filter if filter is None else filter, **own)

    def show(self, template: str, context: Mapping[str, Any] | None = None, status: int = 200) -> HttpResponse:
        """Render a page of the log with its head, tabs and filter."""
        shared = frame(self.request, self.log, self.page, self.filter, self.own())
        file = {"csv_url": self._as_file()}
        return render(self.request, template, {"asked": self, **file, **shared, **(context or {})}, status=status)

    def _as_file(self) -> str:
        told = self.request.GET.copy()
        for key in PASSING:
            told.pop(key, None)
        told["format"] = "csv"
        return f"{self.request.path}?{told.urlencode()}"

    def csv(self, rows: Sequence[Any], name: str) -> StreamingHttpResponse:
        """Send ``rows`` as a file in which no cell is a formula."""
        return csv_file([told(one) if not isinstance(one, dict) else one for one in rows], f"{name}-{self.log.pk}")


def csv_file(rows: Sequence[Mapping[str, Any]], name: str) -> StreamingHttpResponse:
    """Send ``rows`` as a CSV file."""
    answer = StreamingHttpResponse(lines(rows), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer


def frame(
    request: HttpRequest, log: EventLog, page: str, filter: Filter, own: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return what the head of every page of a log needs."""
    known: list[str] = []
    # Where the tables are out of reach the page still says what is known of the log, and lets it be taken away.
    with suppress(StoreUnavailable):
        known = list(names(log).by_number.values()) if log.generation else []
    return {
        "log": log,
        "tabs": [(label, address(log, name, filter), name == page) for name, label in TABS],
        "page_name": page,
        "chips": [(chip.words, address(log, page, chip.without, **(own or {}))) for chip in chips(filter)],
        "clear_url": address(log, page, EVERYTHING, **(own or {})),
        "carried": [*filter.pairs(), *(own or {}).items()],
        "known_activities": known[:_SUGGESTED],
        "known_attributes": [(one["name"], one["type"]) for one in log.attributes][:_SUGGESTED],
        "may_act": may_act(request.user),
        "may_draft": has_role(request.user, "automation_admin"),
        "importing_again": log.state == LogState.IMPORTING,
    }


Answered = HttpResponse | StreamingHttpResponse
View = Callable[[Asked], Answered]
Page = Callable[[HttpRequest, int], Answered]


def about(page: str, *, also: Iterable[str] = ()) -> Callable[[View], Page]:
    """Make of a function of ``Asked`` the view of a log's page; whatever keeps it from answering is a page too."""

    def made(view: View) -> Page:
        @require_safe
        @login_required
        @wraps(view)
        def answered(request: HttpRequest, pk: int) -> Answered:
            log = found(request, pk)
            if not log.generation or log.state == LogState.MAPPING:
                return state_page(request, log)
            try:
                chosen = parse(log, request.GET, also=(*OWN, *also), activities=names(log).numbers)
            except Refusal as refusal:
                return _wrong(request, log, page, refusal)
            try:
                return view(Asked(request, log, chosen, page))
            except Refusal as refusal:
                if refusal.status == 404:
                    raise Http404(str(refusal)) from refusal
                return _wrong(request, log, page, refusal, chosen)

        return answered

    return made


def _wrong(
    request: HttpRequest, log: EventLog, page: str, refusal: Refusal, filter: Filter = EVERYTHING
) -> HttpResponse:
    """Say why the page cannot answer this, with a way out."""
    label = dict(TABS).get(page, "Cases")
    context = {
        **frame(request, log, page, filter),
        "label": label,
        "words": words_of(refusal),
        "way_out": address(log, page),
    }
    return render(
        request, "insights/log_refused.html", context, status=422 if isinstance(refusal, Invalid) else refusal.status
    )
