"""The page of a connection's rights under its configuration: what could go, and the click that takes it away."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST, require_safe

from audit.errors import Invalid, Refusal
from audit.pages import words_of
from connectors.models import Connection
from connectors.rights import withdrawing
from connectors.rights import wording as rights_pages


class RightsPages:
    """Adds the pages to the connections' admin."""

    admin_site: Any
    model: Any

    def rights_urls(self) -> list[URLPattern]:
        """Return the addresses of the page and of its two buttons."""
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/rights/", wrap(require_safe(self.rights_view)), name="connection-rights"),
            path("<int:pk>/rights/withdraw/", wrap(require_POST(self.withdraw_view)), name="connection-withdraw"),
            path("<int:pk>/rights/give-back/", wrap(require_POST(self.give_back_view)), name="connection-give-back"),
        ]

    def rights_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show which of the connection's rights are used."""
        connection = self._seen(request, pk)
        days = self._days(request.GET.get("days", ""))
        context = {
            **self.admin_site.each_context(request),
            **rights_pages.context(connection, days),
            "title": f"Rights of {connection.label or connection.slug}",
            "opts": self.model._meta,
            "withdrawn": withdrawing.withdrawn(connection, days),
            "acts": self._may_change(request, connection),
        }
        return TemplateResponse(request, "admin/connectors/connection/rights.html", context)

    def withdraw_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take the chosen operations away."""
        connection, days = self._changeable(request, pk), self._days(request.POST.get("days", ""))
        reason, who = request.POST.get("reason", "")[:2_000], request.user.get_username()
        try:
            names = request.POST.getlist("operation")
            gone = withdrawing.withdraw(connection, names, actor=who, reason=reason, days=days)
        except Refusal as refusal:
            messages.error(request, words_of(refusal))
        else:
            said = f"{connection.slug} may no longer use {', '.join(gone)}. It can be given back below."
            messages.success(request, said if gone else "Nothing of that was allowed any more.")
        return self._back(pk, days)

    def give_back_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Allow one operation again."""
        connection, days = self._changeable(request, pk), self._days(request.POST.get("days", ""))
        name, who = request.POST.get("operation", ""), request.user.get_username()
        try:
            given = withdrawing.give_back(connection, name, actor=who, reason=request.POST.get("reason", "")[:2_000])
        except Refusal as refusal:
            messages.error(request, words_of(refusal))
        else:
            messages.success(request, f"{connection.slug} may use {name} again." if given else f"{name} is allowed.")
        return self._back(pk, days)

    def _days(self, text: str) -> int:
        try:
            return rights_pages.days_of(text)
        except Invalid as invalid:
            raise Http404(str(invalid)) from None

    def _back(self, pk: int, days: int) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse('admin:connection-rights', args=[pk])}?days={days}")

    def _seen(self, request: HttpRequest, pk: int) -> Connection:
        this: Any = self
        connection: Connection | None = this.get_object(request, str(pk))
        if connection is None:
            raise Http404
        if not this.has_view_or_change_permission(request, connection):
            raise PermissionDenied
        return connection

    def _may_change(self, request: HttpRequest, connection: Connection) -> bool:
        this: Any = self
        return bool(this.has_change_permission(request, connection))

    def _changeable(self, request: HttpRequest, pk: int) -> Connection:
        """Return the connection, or answer 404 or 403 where there is none or it is not the caller's to change."""
        connection = self._seen(request, pk)
        if not self._may_change(request, connection):
            raise PermissionDenied
        return connection
