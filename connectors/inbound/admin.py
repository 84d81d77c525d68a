"""What other systems deliver, in the configuration: a hook's address, secret and sample, and deliveries to replay."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from pydantic import ValidationError

from audit.admin import ReadOnlyAdmin, as_told
from audit.errors import Refusal
from audit.pages import words_of
from connectors import registry
from connectors.base import Connector, Sample
from connectors.inbound import replays
from connectors.models import Connection, Delivery

RECENT = 10
PLACEHOLDER = "$HOOK_SECRET"
# What became of a delivery: in a word, and in a sentence.
OUTCOMES = {
    "signal": ("signal", "It became signals."),
    "nothing_wrong": ("nothing wrong", "It was looked into, and all is well."),
    "no_rule": ("no rule", "No kind of exception asks for such an event."),
    "refused": ("refused", "A kind of exception asks for it, but it cannot be meant; the message says why."),
    "failed": ("failed", "What it has to be judged by could not be read; the message says why."),
    "": ("waiting", "It waits to be judged."),
}


@dataclass(frozen=True)
class Line:
    """One delivery in a short list."""

    row: Delivery

    @property
    def outcome(self) -> str:
        """What became of it, in a word."""
        return OUTCOMES.get(self.row.outcome, (self.row.outcome, ""))[0]


@dataclass(frozen=True)
class Desk:
    """What somebody needs who lets a system deliver here."""

    address: str
    opened_by: str
    is_set: bool
    to_do: str  # what is missing before anything can arrive; blank: nothing
    sample: str
    signed: bool  # the sample cannot be sent as it stands
    recent: Sequence[Line]
    all_of_them: str


def desk(request: HttpRequest, connection: Connection | None) -> Desk | None:
    """Return the inbound desk of a saved connection; ``None`` where its kind is told nothing by hooks."""
    kind = registry.KINDS.get(connection.kind) if connection is not None and connection.pk else None
    if connection is None or kind is None or not kind.listens():
        return None
    sample = _sample(kind, connection)
    in_path = sample is not None and sample.in_path and not kind.signed_with
    address = request.build_absolute_uri(reverse("hook", args=[connection.slug]))
    if in_path:
        address += f"{PLACEHOLDER}/"
    is_set = kind.signed_with in connection.secrets if kind.signed_with else bool(connection.hook_secret_digest)
    every = reverse("admin:connectors_delivery_changelist")
    return Desk(
        address,
        _opened_by(kind, in_path=in_path),
        is_set,
        _to_do(kind, connection, is_set=is_set),
        curl(address, sample, signed=bool(kind.signed_with)) if sample else "",
        bool(kind.signed_with),
        [Line(row) for row in connection.deliveries.order_by("-id")[:RECENT]],
        f"{every}?{urlencode({'connection__id__exact': connection.pk})}",
    )


def _sample(kind: type[Connector], connection: Connection) -> Sample | None:
    try:
        return kind.sample(kind.config.model_validate(connection.config))
    except ValidationError:
        return None


def _opened_by(kind: type[Connector], *, in_path: bool) -> str:
    if kind.signed_with:
        name = kind.signed_with.replace("_", " ")
        return f"The sender signs each delivery with the {name}; no other secret opens this address."
    if in_path:
        return "The hook secret, as the last part of the address: this system can send no header."
    return (
        "The hook secret: in the header X-Goldseam-Secret, as a Bearer token, as the password of Basic, "
        "or, where the sender can set no header, as one more part at the end of the address."
    )


def _to_do(kind: type[Connector], connection: Connection, *, is_set: bool) -> str:
    if not is_set:
        name = kind.signed_with.replace("_", " ") if kind.signed_with else "hook secret"
        return f"Enter the {name} under Secrets and save: until then every delivery is turned away."
    return "" if connection.enabled else "Enable the connection: until then every delivery is turned away."


def curl(address: str, sample: Sample, *, signed: bool = False) -> str:
    """Return a sample delivery as a command for a shell; the secret stands in it as a variable only."""
    lines = [f'curl -X POST "{address}"', f"-H {shlex.quote(f'Content-Type: {sample.content_type}')}"]
    lines += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in sample.headers]
    if not signed and not sample.in_path:
        lines.append(f'-H "X-Goldseam-Secret: {PLACEHOLDER}"')
    return " \\\n  ".join([*lines, f"--data-binary {shlex.quote(sample.body)}"])


class ReplayForm(forms.Form):
    """Why deliveries are judged again."""

    reason = forms.CharField(
        max_length=2_000,
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
        help_text="It stands in the ledger beside your name.",
    )


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """What other systems told us, as it came, and what became of it. It can be replayed, never changed."""

    list_display = ("id", "received_at", "connection", "event", "became")
    list_filter = ("connection", "outcome", "event")
    search_fields = ("=external_id", "event")
    list_select_related = ("connection",)
    ordering = ("-id",)
    show_full_result_count = False
    actions = ("replay_chosen",)
    fields = (
        "connection", "event", "external_id", "occurred_at", "received_at", "processed_at", "became", "meaning",
        "message", "attempts", "told",
    )  # fmt: skip
    change_form_template = "admin/connectors/delivery/change_form.html"

    class Media:
        css: ClassVar = {"all": ["css/inbound.css"]}

    @admin.display(description="Outcome", ordering="outcome")
    def became(self, obj: Delivery) -> str:
        """Say the outcome in a word."""
        return Line(obj).outcome

    @admin.display(description="What that means")
    def meaning(self, obj: Delivery) -> str:
        """Say the outcome in a sentence."""
        return OUTCOMES.get(obj.outcome, ("", ""))[1]

    @admin.display(description="What was told")
    def told(self, obj: Delivery) -> SafeString:
        """Show the payload as text, or say that it is gone."""
        if obj.forgotten_at is not None:
            return format_html("{} ({} UTC)", replays.FORGOTTEN, f"{obj.forgotten_at:%Y-%m-%d %H:%M}")
        return as_told(obj.payload)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Offer a replay to those who may."""
        row = context.get("original")
        gone = row is not None and row.forgotten_at is not None
        context["may_replay"] = self.has_replay_permission(request) and not gone
        return super().render_change_form(request, context, *args, **kwargs)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Let those replay who may change the connections that told."""
        return self.has_view_permission(request) and request.user.has_perm("connectors.change_connection")

    def get_urls(self) -> list[URLPattern]:
        """Add the page that asks why."""
        ask = path("replay/", self.admin_site.admin_view(self.replay_view), name="connectors_delivery_replay")
        return [ask, *super().get_urls()]

    @admin.action(description="Replay the chosen deliveries", permissions=["replay"])
    def replay_chosen(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> HttpResponse:
        """Go to the page that asks why."""
        ids = queryset.order_by("pk").values_list("pk", flat=True)[: replays.MOST]
        return HttpResponseRedirect(f"{reverse('admin:connectors_delivery_replay')}?{urlencode({'ids': _text(ids)})}")

    def replay_view(self, request: HttpRequest) -> HttpResponse:
        """Ask why deliveries are to be judged again, then let them be."""
        if not self.has_replay_permission(request):
            raise PermissionDenied
        ids = _ids(request.POST.get("ids") or request.GET.get("ids", ""))
        rows = list(self.get_queryset(request).filter(pk__in=ids))
        form = ReplayForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            return self._replayed(request, [row.pk for row in rows], form.cleaned_data["reason"])
        context = {
            **self.admin_site.each_context(request),
            "title": "Replay deliveries",
            "opts": self.model._meta,
            "lines": [Line(row) for row in rows],
            "ids": _text(row.pk for row in rows),
            "form": form,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/connectors/delivery/replay.html", context)

    def _replayed(self, request: HttpRequest, ids: list[int], reason: str) -> HttpResponse:
        try:
            found = replays.replay(ids, reason=reason, actor=request.user.get_username())
        except Refusal as refusal:
            self.message_user(request, words_of(refusal), messages.ERROR)
        else:
            gone = Delivery.objects.filter(pk__in=ids, forgotten_at__isnull=False).count()
            self.message_user(request, _said(len(found), len(ids) - len(found) - gone, gone), messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:connectors_delivery_changelist"))


def _said(replayed: int, waiting: int, gone: int) -> str:
    said = [f"{replayed} {'delivery is' if replayed == 1 else 'deliveries are'} replayed."]
    if waiting:
        said.append(f"{waiting} had not been judged yet and will be anyway.")
    if gone:
        said.append(f"Of {gone} what was told has been forgotten.")
    return " ".join(said)


def _text(ids: Any) -> str:
    return ",".join(map(str, ids))


def _ids(text: str) -> list[int]:
    """Read the ids of a page's address; what is no id is nobody's delivery."""
    parts = text.split(",")[: replays.MOST]
    return [int(part) for part in parts if part.isascii() and part.isdecimal() and len(part) < 19]
