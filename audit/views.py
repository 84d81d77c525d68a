"""Console pages of the ground floor: the ledger, and signing in."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from audit import exports, ledger, sign_in
from audit.access import has_role
from audit.actions import entry_hash, record
from audit.filters import EntryFilter
from audit.models import Entry
from audit.serializers import body_of

PAGE = 50
READERS = ("operator", "compliance", "auditor")
VERIFIERS = ("compliance", "auditor")
# Families of verbs, as the filter offers them.
FAMILIES = (
    *("incident.", "evidence.", "plan.", "approval.", "execution.", "effect.", "verification.", "rollback."),
    *("dead_letter.", "refused.", "connection.", "login.", "stop."),
)


@require_safe
@login_required
def entries(request: HttpRequest) -> HttpResponseBase:
    """Show the ledger: filtered, paged by number, or as a file with ``?format=csv`` or ``json``."""
    if not has_role(request.user, *READERS):
        raise PermissionDenied
    found = EntryFilter(request.GET, queryset=Entry.objects.visible_to(request.user))
    rows: QuerySet[Entry] = found.qs if found.is_valid() else Entry.objects.none()
    if found.is_valid() and request.GET.get("format") in _FORMATS:
        return _export(request, rows.order_by("n"), request.GET["format"])
    page, newer, older = _page(rows, request)
    channels = ("console", "api", "admin", "hook", "task", "command", "system")
    context = {
        "entries": [(entry, body_of(entry)) for entry in page],
        "filter": found,
        "filtered": any(value for name, value in request.GET.items() if name in found.filters),
        "search": request.GET.get("search", ""),
        "previous": newer,
        "next": older,
        "csv_url": _address(request, format="csv"),
        "json_url": _address(request, format="json"),
        "may_verify": has_role(request.user, *VERIFIERS),
        "choices": [_choice(request, "verb", "What", FAMILIES), _choice(request, "channel", "Came by", channels)],
    }
    return render(request, "audit/entries.html", context, status=200 if found.is_valid() else 400)


def _choice(request: HttpRequest, name: str, label: str, values: tuple[str, ...]) -> dict[str, Any]:
    named = [(value, value.rstrip(".").replace("_", " ").capitalize()) for value in values]
    return {"name": name, "label": label, "value": request.GET.get(name, ""), "choices": named}


@require_safe
@login_required
def entry(request: HttpRequest, n: int) -> HttpResponse:
    """Show one entry: what changed, where it came from, its place in the chain."""
    if not has_role(request.user, *READERS):
        raise PermissionDenied
    found = get_object_or_404(Entry.objects.visible_to(request.user), n=n)
    body = body_of(found)
    before, after = body.get("before") or {}, body.get("after") or {}
    context = {
        "entry": found,
        "holds": found.hash == entry_hash(found),
        "changes": [
            {"field": name, "before": before.get(name), "after": after.get(name)}
            for name in dict.fromkeys([*before, *after])
        ],
        "data": body.get("data") or {},
    }
    return render(request, "audit/entry.html", context)


@require_POST
@login_required
def verify(request: HttpRequest) -> HttpResponse:
    """Walk the whole chain and say whether it holds."""
    if not has_role(request.user, *VERIFIERS):
        raise PermissionDenied
    report = ledger.verify()
    if report.broken:
        messages.error(request, f"The chain is broken at entry {report.broken.n}: {report.broken.because}")
    else:
        messages.success(request, f"{report.entries} entries hold. The chain ends at {report.n} with {report.hash}.")
    return redirect("audit")


_FORMATS = {"csv": (exports.as_csv, "text/csv; charset=utf-8"), "json": (exports.as_json, "application/json")}


def _page(rows: "QuerySet[Entry]", request: HttpRequest) -> tuple[list[Entry], str, str]:
    """Return one page, newest first, and the addresses of the newer and the older one where they exist."""
    before, after = _number(request, "before"), _number(request, "after")
    if after is not None:
        found = list(rows.filter(n__gt=after).order_by("n")[: PAGE + 1])
        more_newer, more_older = len(found) > PAGE, bool(found)
        page = found[:PAGE][::-1]
    else:
        found = list((rows if before is None else rows.filter(n__lt=before)).order_by("-n")[: PAGE + 1])
        more_newer, more_older = before is not None, len(found) > PAGE
        page = found[:PAGE]
    newer = _address(request, after=page[0].n) if page and more_newer else ""
    older = _address(request, before=page[-1].n) if page and more_older else ""
    return page, newer, older


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _address(request: HttpRequest, **changes: Any) -> str:
    kept = {name: value for name, value in request.GET.items() if name not in ("before", "after", "format") and value}
    return "?" + urlencode({**kept, **changes})


def _export(request: HttpRequest, rows: "QuerySet[Entry]", form: str) -> StreamingHttpResponse:
    """Stream the rows as a file; that somebody took them away is itself entered."""
    # Ends before its own entry, so that the same export twice differs by nothing but what happened between.
    last = rows.order_by("-n").values_list("n", flat=True).first() or 0
    asked = {name: value for name, value in request.GET.items() if value}
    with transaction.atomic():
        record("ledger.exported", actor=request.user.get_username(), data={"filters": asked, "up_to": last})
    write, content_type = _FORMATS[form]
    response = StreamingHttpResponse(write(rows.filter(n__lte=last)), content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="ledger-{last}.{form}"'
    return response


class LoginView(auth_views.LoginView):
    """Sign in. Too many failures of one name from one address, or of one address, must wait."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        wait = sign_in.seconds_to_wait(request.POST.get("username", ""))
        if wait:
            response = render(request, "429.html", {"retry_after": wait}, status=429)
            response["Retry-After"] = str(wait)
            return response
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        sign_in.succeeded(form.get_user())
        return super().form_valid(form)

    def form_invalid(self, form: Any) -> HttpResponse:
        sign_in.failed(self.request.POST.get("username", ""))
        response = super().form_invalid(form)
        response.status_code = 422
        return response


class LogoutView(auth_views.LogoutView):
    """Sign out; that too is entered."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            sign_in.left(request.user)
        return super().post(request, *args, **kwargs)


@require_safe
def admin_login(request: HttpRequest) -> HttpResponse:
    """Send the admin's own sign-in to the one page that counts failures."""
    if request.user.is_authenticated:
        raise PermissionDenied
    wanted = request.GET.get("next", "")
    safe = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return redirect(f"/login/?{urlencode({'next': wanted if safe else '/admin/'})}")
