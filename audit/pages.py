"""What every console page shares: refusals as messages, lists by cursor, regions that refresh only when they differ."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString, mark_safe
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from audit.errors import Invalid, Refusal
from audit.paging import Cursor

P = ParamSpec("P")
R = TypeVar("R", bound=HttpResponse)
View = Callable[Concatenate[HttpRequest, P], HttpResponse]
# What changes on every rendering and says nothing new: relative times and masked form tokens.
_RESTLESS = re.compile(r'(?<=<time)[^>]*>[^<]*|name="csrfmiddlewaretoken" value="[^"]*"')
_MOMENT = re.compile(r'datetime="[^"]*"')


def answers_refusals(view: View[P]) -> View[P]:
    """Answer a refused action with a message on the page that it came from; a refusal of 404 is a missing page."""

    @wraps(view)
    def answered(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except Refusal as refusal:
            if refusal.status == 404:
                raise Http404(str(refusal)) from refusal
            messages.error(request, words_of(refusal))
            return redirect(came_from(request))

    return answered


def words_of(refusal: Refusal) -> str:
    """Return a refusal as one text: its sentence, and what is wrong with each field."""
    errors = refusal.errors if isinstance(refusal, Invalid) else {}
    return " ".join([str(refusal), *(text for texts in errors.values() for text in texts if text not in str(refusal))])


def came_from(request: HttpRequest, default: str = "/") -> str:
    """Return the address of this site that the form names as ``next``, else the page before, else ``default``."""
    for url in (request.POST.get("next", ""), request.headers.get("Referer", "")):
        if url and url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure()):
            return url
    return default


def person(request: HttpRequest) -> User:
    """Return who is signed in; pages that ask are behind ``login_required``."""
    return cast(User, request.user)


def cleaned(form: Form) -> dict[str, Any]:
    """Return a form's values, or raise ``Invalid`` with its errors in words."""
    if form.is_valid():
        return form.cleaned_data
    errors = {name: [str(error) for error in found] for name, found in form.errors.items()}
    raise Invalid("Nothing was done:", errors)


@dataclass(frozen=True)
class Page:
    """One page of a list: its rows and the addresses of the pages around it ("" where there is none)."""

    rows: list[Any]
    previous: str
    next: str


def page_of(rows: "QuerySet[Any]", request: HttpRequest, *, ordering: str = "-id", size: int = 50) -> Page:
    """Return the page that ``request`` asks for; the last page costs as little as the first.

    Raises ``Http404`` for a cursor that was not given out here.
    """
    cursor = Cursor()
    cursor.page_size = size
    cursor.ordering = ordering
    try:
        found = cursor.paginate_queryset(rows, Request(request)) or []
    except NotFound as foreign:
        raise Http404("There is no such page.") from foreign
    return Page(list(found), _query(cursor.get_previous_link()), _query(cursor.get_next_link()))


def _query(link: str | None) -> str:
    # Only the query: a page's address is the proxy's business, not ours.
    return f"?{link.partition('?')[2]}" if link else ""


def live(
    request: HttpRequest, template: str, context: dict[str, Any], *, url: str, poll: bool = True, every: int = 4
) -> SafeString:
    """Render a region that keeps itself fresh: it asks ``url`` again every few seconds, as long as ``poll``.

    The address carries the digest of what stands, so that ``live_answer`` can say "nothing new" in a few bytes.
    """
    inside = render_to_string(template, context, request)
    joint = "&" if "?" in url else "?"
    frame = {"inside": mark_safe(inside), "url": f"{url}{joint}seen={seen(inside)}", "poll": poll, "every": every}  # noqa: S308 - rendered by our own template just now
    return render_to_string("components/_live.html", frame, request)


def live_answer(request: HttpRequest, region: str) -> HttpResponse:
    """Answer a region's question: the region, or 204 where the reader already sees the same."""
    given = request.GET.get("seen", "")
    if given and f"seen={given}" in region:
        return HttpResponse(status=204)
    return HttpResponse(region, headers={"Cache-Control": "no-store"})


def seen(html: str) -> str:
    """Return a digest of what a region says, blind to relative times and form tokens."""
    said = _RESTLESS.sub(lambda found: "".join(_MOMENT.findall(found.group())), html)
    return hashlib.sha256(said.encode()).hexdigest()[:16]
