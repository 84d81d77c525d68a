"""The list of incidents, and the same as a file."""

import csv
from collections.abc import Iterator

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from audit.exports import cell
from audit.pages import page_of, person
from incidents.browsing import COLUMNS, VIEWS, filters, narrowed, view_of
from incidents.models import Incident

MOST_EXPORTED = 50_000
EXPORTED = tuple(name for name in COLUMNS if name != "row_version")


@require_safe
@login_required
def incidents(request: HttpRequest) -> HttpResponse:
    """Show the incidents that the reader may see, newest first."""
    chosen = filters(request.GET)
    page = page_of(_rows(request).select_related("queue", "assignee", "sla").only(*COLUMNS), request)
    context = {
        "page": page,
        "filters": chosen,
        "filtered": any(one.value for one in chosen) or bool(request.GET.get("search")),
        "search": request.GET.get("search", "")[:200],
        "view": view_of(request.GET),
        "views": [(name, label) for name, (label, _) in VIEWS.items()],
        "query": request.GET.urlencode(),
    }
    return render(request, "incidents/list.html", context)


@require_safe
@login_required
def export(request: HttpRequest) -> StreamingHttpResponse:
    """Stream what the list shows as CSV, at most fifty thousand lines."""
    response = StreamingHttpResponse(_csv(_rows(request)), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="incidents.csv"'
    return response


def _rows(request: HttpRequest) -> "QuerySet[Incident]":
    return narrowed(Incident.objects.visible_to(request.user), request.GET, person(request))


class _Echo:
    """A file that hands each written line back."""

    def write(self, line: str) -> str:
        return line


def _csv(rows: "QuerySet[Incident]") -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(EXPORTED)
    for row in rows.order_by("-id").values_list(*EXPORTED)[:MOST_EXPORTED].iterator(2_000):
        yield writer.writerow([cell(value) for value in row])
