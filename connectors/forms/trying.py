"""Pages on which a connection's reads are tried by hand, and what a document offers is listed."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from connectors import gateway, registry
from connectors.base import ConnectorError, Read, Record
from connectors.door import classes
from connectors.forms import settings as setting_fields
from connectors.kit import confidential
from connectors.models import Connection
from connectors.redaction import HIDDEN, Redactor

MOST_FIELDS, MOST_ROWS, LONGEST = 60, 5, 200


class TryingPages:
    """Adds the pages to the connections' admin."""

    admin_site: Any
    model: Any

    def trying_urls(self) -> list[URLPattern]:
        """Return the addresses of these pages."""
        return [path("<int:pk>/try/", self.admin_site.admin_view(self.try_view), name="connection-try")]

    def try_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask one read of a connection with arguments that are entered, and show what came back."""
        connection: Connection = self._changeable(request, pk)  # type: ignore[attr-defined]
        reads = {one.name: one for one in registry.operations_of(connection) if isinstance(one, Read)}
        chosen = reads.get(request.POST.get("read") or request.GET.get("read", ""))
        form = form_of(chosen, request.POST if request.method == "POST" else None) if chosen else None
        result: dict[str, Any] = {}
        if chosen and form and form.is_valid():
            result = tried(connection, chosen, given(form.cleaned_data), request.user.get_username())
        context = {
            **self.admin_site.each_context(request),
            "title": f"Try a read of {connection.label or connection.slug}",
            "opts": self.model._meta,
            "connection": connection,
            "reads": list(reads.values()),
            "chosen": chosen,
            "form": form,
            "result": result,
        }
        return TemplateResponse(request, "admin/connectors/connection/try.html", context)

    def offers_view(self, request: HttpRequest, connection: Connection) -> HttpResponse:
        """Show what the document of a connection offers, and what is chosen of it; nothing is asked of the system."""
        config = connection.config
        context = {
            **self.admin_site.each_context(request),
            "title": f"What {connection.label or connection.slug} offers",
            "opts": self.model._meta,
            "connection": connection,
            "groups": [
                (group, [(label, stands(connection, name)) for name, label in choices])
                for group, choices in setting_fields.offered(registry.kind_of(connection), config)
            ],
        }
        return TemplateResponse(request, "admin/connectors/connection/offers.html", context)


def stands(connection: Connection, name: str) -> str:
    """Say what a connection may do with an operation that its document offers."""
    if name in (connection.config.get("waiting") or ()):
        return "chosen, waits for its declaration"
    if name not in (connection.config.get("chosen") or ()):
        return "not chosen"
    operation = registry.operation_of(connection, name)
    if isinstance(operation, Read):
        return "may read it" if not connection.reads or name in connection.reads else "chosen, not allowed"
    return "may use it" if name in connection.operations else "chosen, not allowed"


def form_of(read: Read, data: Mapping[str, Any] | None) -> forms.Form:
    """Return a form with a field for each argument of a read; what a type says beyond text is held by the read."""
    hidden = confidential.veiled(read.arguments)
    fields: dict[str, Any] = {}
    for name, info in read.arguments.model_fields.items():
        kind: Any = forms.PasswordInput if name in hidden else forms.TextInput
        fields[f"argument_{name}"] = forms.CharField(
            required=info.is_required(),
            label=name,
            help_text=(info.description or "")[:200],
            widget=kind(attrs={"class": "vTextField", "autocomplete": "off"}),
        )
    made: type[forms.Form] = type("TryForm", (forms.Form,), fields)
    return made(data)


def given(cleaned: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that were entered; what looks like a list or an object is read as JSON."""
    found: dict[str, Any] = {}
    for field, text in cleaned.items():
        if not text:
            continue
        value: Any = text
        if text[:1] in "[{":
            try:
                value = json.loads(text)
            except ValueError:
                value = text
        found[field.removeprefix("argument_")] = value
    return found


def tried(connection: Connection, read: Read, arguments: Mapping[str, Any], actor: str) -> dict[str, Any]:
    """Use a read through the door, and return what to show of it: secrets and personal fields are not."""
    try:
        answer = gateway.call(connection, read.name, arguments, actor=actor)
    except ConnectorError as error:
        return {"ok": False, "said": str(error), "status": error.status}
    call = answer.call
    seconds = (call.finished_at - call.started_at).total_seconds() if call.finished_at else 0
    return {
        "ok": True,
        "status": call.status,
        "requests": call.requests,
        "milliseconds": round(seconds * 1000),
        "count": len(answer.records),
        "rows": [(record.entity, record.key, record.version) for record in answer.records[:MOST_ROWS]],
        "fields": fields_of(connection, answer.records[0]) if answer.records else [],
    }


def fields_of(connection: Connection, record: Record) -> list[tuple[str, str]]:
    """Return a record's fields for people, shortened; what is labelled personal or looks like a secret is hidden."""
    shown = Redactor().data(dict(list(record.fields.items())[:MOST_FIELDS]))
    found = []
    for name, value in shown.items():
        hidden = classes.label_of(connection, name) == "personal"
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        found.append((name, HIDDEN if hidden else text[:LONGEST]))
    return found
