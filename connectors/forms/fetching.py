"""A document that is fetched from an address: the button, what came back, and what it changes, before it is saved."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from audit.errors import Invalid
from connectors import actions, texts
from connectors.base import Connector, ConnectorError
from connectors.forms import settings as setting_fields
from connectors.kit import fetching
from connectors.kit.declaring import Declares, Described, Difference
from connectors.models import Connection

FETCH = "_fetch"  # the button that fetches, without saving anything
FETCHED = "_fetched"  # ends the name of the field that holds what was fetched and where
READ = "_read"  # ends the name of the box: I have read what it changes
_REFUSED = "fetch_refused"


class FetchedFrom(forms.TextInput):
    """An address with a button; the form says what was found there."""

    template_name = "admin/connectors/connection/fetched.html"

    def __init__(self, attrs: Any = None) -> None:
        """Begin with nothing fetched."""
        super().__init__(attrs)
        self.described: Described | None = None
        self.differences: Sequence[Difference] = ()
        self.waiting = ""  # the name of what was fetched, and where
        self.entered_host = ""
        self.asks = False  # whether what it changes has to be confirmed
        self.is_read = False

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Draw it with the site's own templates."""
        context: dict[str, Any] = self.get_context(name, value, attrs)
        context |= {
            "told": self.described,
            "differences": self.differences,
            "waiting": self.waiting,
            "host": self.waiting.partition(" ")[2],
            "base": self.entered_host,
            "foreign": bool(self.described and self.described.hosts and self.entered_host not in self.described.hosts),
            "hidden": name + FETCHED,
            "box": name + READ,
            "is_read": self.is_read,
        }
        return render_to_string(self.template_name, context)


class FetchingPages:
    """Lets the connections' admin fetch a document before it draws the form anew."""

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Fetch where that button was pressed: outside the transaction in which the form is drawn and saved."""
        if request.method == "POST" and FETCH in request.POST:
            self._fetch(request, object_id)
        view: Any = super()
        answer: HttpResponse = view.changeform_view(request, object_id, form_url, extra_context)
        return answer

    def _fetch(self, request: HttpRequest, object_id: str | None) -> None:
        """Fetch what was asked for, and go on as if it had been entered and was to be looked at."""
        site: Any = self
        found = site.get_object(request, object_id) if object_id else None
        may = site.has_change_permission(request, found) if object_id else site.has_add_permission(request)
        if not may or (object_id and found is None):
            return  # the page says so
        kind: type[Connector] = self._kind(request, found)  # type: ignore[attr-defined]
        field = setting_fields.marked(kind, "fetches")
        post: Any = request.POST.copy()
        request.POST = post
        post["_look"] = "1"
        if not field or not issubclass(kind, Declares):
            return
        try:
            reference, host = fetched(kind, field, post, request.user.get_username(), found)
        except (ConnectorError, Invalid) as refused:
            request.__dict__[_REFUSED] = str(refused)
            return
        text = setting_fields.CONFIG + setting_fields.extra_of(kind, field, "fetches")
        post[field + FETCHED] = f"{reference} {host}"
        # What was pasted or chosen before gives way: the button was pressed after it.
        post[text] = ""
        request.FILES.pop(text + setting_fields.FILE, None)


def fetched(kind: Any, field: str, post: Any, actor: str, connection: Connection | None) -> tuple[str, str]:
    """Fetch from the address in the form. Raises ``Invalid`` and ``ConnectorError``."""
    name, url = field.removeprefix(setting_fields.CONFIG), str(post.get(field) or "").strip()
    if not url:
        raise Invalid("Enter the address of the document first.")
    try:
        actions.valid_settings(kind.slug, {name: url})
    except Invalid as invalid:
        if said := invalid.errors.get(name):
            raise Invalid(" ".join(one.removeprefix("Value error, ") for one in said)) from None
    found = actions.fetch_document(kind, url, actor=actor, connection=connection)
    return found.reference, found.host


def refused(request: HttpRequest) -> str:
    """Say why the document that was asked for did not come; blank where it did, or none was asked for."""
    return str(request.__dict__.get(_REFUSED, ""))


def waiting(data: Any, field: str) -> str:
    """Return the name of a text that was fetched and is not saved yet; blank where none was."""
    found = str(data.get(field + FETCHED) or "").partition(" ")[0]
    return found if texts.is_reference(found) else ""


def host_of(url: str) -> str:
    """Return the host that an address names; blank where it names none."""
    try:
        return fetching.host_of(url)
    except ValueError:
        return ""
