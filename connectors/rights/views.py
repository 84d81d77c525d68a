"""The pages about rights in the console: which are used, and which could go. They change nothing."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from audit.access import has_role
from audit.errors import Invalid
from connectors.door import credential_uses
from connectors.models import Connection
from connectors.rights import report as rights
from connectors.rights import wording as rights_pages
from connectors.views import READERS


@require_safe
@login_required
def connection_rights(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the rights of one connection, or send them as a file."""
    days = _asked(request)
    connection = get_object_or_404(Connection.objects.select_related("owner"), slug=slug)
    if request.GET.get("format") == "csv":
        return rights_pages.as_csv([rights.report(connection, days)], f"rights-{slug}")
    context = rights_pages.context(connection, days)
    return render(request, "connectors/rights.html", {**context, **_may(request)})


@require_safe
@login_required
def all_rights(request: HttpRequest) -> HttpResponse:
    """Show of every connection what could go, or send all rights as a file."""
    days = _asked(request)
    reports = rights.reports(Connection.objects.order_by("slug"), days)
    if request.GET.get("format") == "csv":
        return rights_pages.as_csv(reports, "rights")
    lines = [
        (one, [secret for secret in credential_uses.credentials(one.connection, days) if secret.unused])
        for one in reports
    ]
    context = {"lines": lines, "days": days, "choices": sorted({*rights.CHOICES, days})}
    return render(request, "connectors/all_rights.html", {**context, **_may(request)})


def _asked(request: HttpRequest) -> int:
    if not has_role(request.user, *READERS):
        raise PermissionDenied("Connections are for operators, automation owners, compliance and auditors.")
    try:
        return rights_pages.days_of(request.GET.get("days", ""))
    except Invalid as invalid:
        raise Http404(str(invalid)) from None


def _may(request: HttpRequest) -> dict[str, Any]:
    return {"may_configure": has_role(request.user, "automation_admin")}
