"""Playbooks and policies are written here, each save a new version; plans and what came of them are looked at."""

from typing import Any, ClassVar

import yaml
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from pydantic import ValidationError

from audit.admin import AuditedAdmin, ReadOnlyAdmin, ReasonForm
from incidents.models import ExceptionKind
from playbooks import (
    breadth,
    guards,
    holdout_admin,  # noqa: F401 - shows its pages
    pack_actions,
    policy_actions,
)
from playbooks.definitions import PlaybookDefinition
from playbooks.manifests import documents, installer
from playbooks.models import DeadLetter, Execution, Plan, Playbook, PlaybookVersion, Policy, PolicyVersion
from playbooks.pack_models import Pack
from playbooks.policies import VARIABLES
from playbooks.telling import admin as telling  # noqa: F401 - shows its pages


class PlaybookForm(ReasonForm):
    """A playbook with the text of its active version."""

    kind_code = forms.ChoiceField(label="Mends")
    definition = forms.CharField(
        label="Definition",
        widget=forms.Textarea(attrs={"rows": 28, "cols": 110, "spellcheck": "false", "class": "code"}),
        help_text="YAML as in a pack: causes, rationale, slots, autonomy, steps. Another text is the next version.",
    )
    irreversible_accepted = forms.BooleanField(
        required=False, help_text="I know that a step of this cannot be undone, and I mean it."
    )
    confirm_breadth = forms.CharField(
        label="Why a second process now", required=False, max_length=2_000,
        help_text="Only asked before the first verified mend, where a second process is switched on.",
    )  # fmt: skip

    class Meta:
        model = Playbook
        fields = ("slug", "label", "kind_code", "enabled", "owner")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = ExceptionKind.objects.values_list("code", "label")
        choices = forms.ChoiceField(choices=[(code, f"{label} ({code})") for code, label in kinds])
        if "kind_code" in self.fields:
            self.fields["kind_code"] = choices
        active = self.instance.versions.filter(active=True).first() if self.instance.pk else None
        if active is not None:
            self.initial["definition"] = yaml.safe_dump(
                active.definition, sort_keys=False, allow_unicode=True, width=110
            )

    def clean_definition(self) -> dict[str, Any]:
        """Read the YAML and hold it against the schema; every message names its place."""
        try:
            value = yaml.safe_load(self.cleaned_data["definition"])
            PlaybookDefinition.model_validate(value)
        except yaml.YAMLError as broken:
            raise forms.ValidationError(f"This is not YAML: {broken}") from broken
        except RecursionError as deep:
            raise forms.ValidationError("This is nested deeper than any playbook.") from deep
        except ValidationError as wrong:
            raise forms.ValidationError([_placed(error) for error in wrong.errors()]) from wrong
        return value  # type: ignore[no-any-return]

    def clean(self) -> dict[str, Any]:
        """Say what speaks against activating it before anything is saved."""
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("enabled") and "definition" in cleaned and "kind_code" in cleaned:
            against = pack_actions.objections(
                cleaned["definition"],
                kind_code=cleaned["kind_code"],
                irreversible_accepted=cleaned.get("irreversible_accepted", False),
            )
            for where, texts in against.items():
                self.add_error("definition", [f"{where}: {text}" for text in texts])
            self.widening = pack_actions.widening_by(cleaned["kind_code"])
            if self.widening is not None and not str(cleaned.get("confirm_breadth", "")).strip():
                self.add_error("confirm_breadth", f"{self.widening.why} {self.widening.still} To go on, say why.")
        return cleaned

    widening: breadth.Widening | None = None


def _placed(error: Any) -> str:
    return f"{'.'.join(str(step) for step in error['loc'])}: {error['msg']}"


class ReadOnlyVersions(admin.TabularInline):  # type: ignore[type-arg]
    """Versions never change; a new text is a new one."""

    extra = 0
    can_delete = False
    readonly_fields: ClassVar[tuple[str, ...]] = ("number", "active", "author", "created_at")
    fields: ClassVar[tuple[str, ...]] = ("number", "active", "author", "created_at")
    ordering = ("-number",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class PlaybookVersions(ReadOnlyVersions):
    """The versions of one playbook."""

    model = PlaybookVersion


class PolicyVersions(ReadOnlyVersions):
    """The versions of one policy."""

    model = PolicyVersion
    fields = ("number", "active", "verdict", "condition", "message", "author", "created_at")
    readonly_fields = fields


@admin.register(Playbook)
class PlaybookAdmin(AuditedAdmin):
    """How each kind of exception is mended."""

    form = PlaybookForm
    list_display = ("label", "kind_code", "active_version", "enabled", "owner")
    list_filter = ("enabled", "kind_code")
    search_fields = ("slug", "label")
    inlines = (PlaybookVersions,)
    prepopulated_fields: ClassVar = {"slug": ("label",)}

    @admin.display(description="Version")
    def active_version(self, playbook: Playbook) -> str:
        """Show the number of the version in use."""
        active = playbook.versions.filter(active=True).first()
        return f"v{active.number}" if active else "none"

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Publish the text once the row stands; the same text again publishes nothing."""
        super().save_related(request, form, formsets, change)
        playbook = form.instance
        if form.widening is not None:
            who = request.user.get_username()
            breadth.confirm(form.widening, reason=form.cleaned_data["confirm_breadth"], actor=who)
        owner = playbook.owner.get_username() if playbook.owner else ""
        pack_actions.save_playbook(
            pack_actions.Header(playbook.slug, playbook.label, playbook.enabled, owner),
            kind_code=playbook.kind_code,
            definition=form.cleaned_data["definition"],
            irreversible_accepted=form.cleaned_data["irreversible_accepted"],
            actor=request.user.get_username(),
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Plans refer to versions for ever; a playbook is switched off instead.
        return False


class PolicyForm(ReasonForm):
    """A policy with the text of its active version."""

    condition = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 4, "cols": 100, "spellcheck": "false", "class": "code"}),
        help_text=f"CEL; true: the policy speaks. Known: {', '.join(sorted(VARIABLES))}.",
    )
    verdict = forms.ChoiceField(choices=PolicyVersion.Verdict.choices)
    message = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 2, "cols": 100}), help_text="Why, in people's words."
    )
    operations = forms.JSONField(
        required=False, initial=list, help_text='Such as ["fo:invoice.credit"]; an empty list: every write.'
    )
    corrections = forms.JSONField(
        required=False, initial=dict, help_text='With the verdict correct: {"parameter": "CEL"}.'
    )
    risk = forms.ChoiceField(
        required=False,
        choices=[("", "as the operation says"), *((tier, f"at least {tier}") for tier in ("low", "medium", "high"))],
    )

    class Meta:
        model = Policy
        fields = ("slug", "label", "enabled", "owner")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        active = self.instance.versions.filter(active=True).first() if self.instance.pk else None
        if active is not None:
            self.initial.update(pack_actions.policy_text(active))

    @property
    def text(self) -> dict[str, Any]:
        """Return the columns of a version."""
        cleaned = self.cleaned_data
        empty: dict[str, Any] = {"operations": [], "corrections": {}}
        return {name: cleaned.get(name) or empty.get(name, "") for name in pack_actions.POLICY_TEXT}

    def clean(self) -> dict[str, Any]:
        """Hold the text against the same schema as a file's."""
        cleaned: dict[str, Any] = super().clean() or {}
        if self.errors:
            return cleaned
        text = {name: value for name, value in self.text.items() if name != "condition"}
        try:
            documents.PolicyDocument.model_validate(
                {"kind": "policy", "slug": cleaned.get("slug"), "label": cleaned.get("label"), **text}
                | {"when": cleaned.get("condition")}
            )
        except ValidationError as wrong:
            for error in wrong.errors():
                self._add(str(error["loc"][0]) if error["loc"] else "", _placed(error))
            return cleaned
        for where, texts in policy_actions.objections(policy_actions.PolicyText(**self.text)).items():
            self._add(where.partition(".")[0], f"{where}: {' '.join(texts)}")
        enabled, operations = bool(cleaned.get("enabled")), self.text["operations"]
        # Under its old name, should it be renamed by the same click.
        slug = str(self.instance.slug if self.instance.pk else cleaned.get("slug"))
        if lost := guards.lost_by(slug, enabled=enabled, operations=operations):
            self._add("operations" if enabled else "enabled", lost)
        return cleaned

    def _add(self, name: str, message: str) -> None:
        field = {"when": "condition"}.get(name, name)
        self.add_error(field if field in self.fields else None, message)


@admin.register(Policy)
class PolicyAdmin(AuditedAdmin):
    """What may be done, what not, and what needs people."""

    form = PolicyForm
    list_display = ("label", "says", "enabled", "owner")
    list_filter = ("enabled",)
    search_fields = ("slug", "label")
    inlines = (PolicyVersions,)
    prepopulated_fields: ClassVar = {"slug": ("label",)}

    @admin.display(description="Says")
    def says(self, policy: Policy) -> str:
        """Show the active version's verdict."""
        active = policy.versions.filter(active=True).first()
        return f"v{active.number} {active.get_verdict_display()}" if active else "nothing"

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Publish the text once the row stands; the same text again publishes nothing."""
        super().save_related(request, form, formsets, change)
        policy = form.instance
        owner = policy.owner.get_username() if policy.owner else ""
        header = pack_actions.Header(policy.slug, policy.label, policy.enabled, owner)
        pack_actions.save_policy(header, text=form.text, actor=request.user.get_username())

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # What a policy said stands in plans for ever; it is switched off instead.
        return False


@admin.register(Pack)
class PackAdmin(ReadOnlyAdmin):
    """Which packs are installed, and a button to install or upgrade those that are shipped."""

    list_display = ("label", "version", "installed_at", "installed_by", "digest")
    change_list_template = "admin/playbooks/packs.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the page that plans and installs a shipped pack."""
        view = self.admin_site.admin_view(self.install)
        return [path("install/<slug:slug>/", view, name="playbooks_pack_install"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """List what is installed, and what could be."""
        shipped = sorted(
            folder.name for folder in installer.PACKS.iterdir() if folder.is_dir() and any(folder.glob("*.yaml"))
        )
        return super().changelist_view(request, {"shipped": shipped, **(extra_context or {})})

    def install(self, request: HttpRequest, slug: str) -> HttpResponse:
        """Show what installing would change; on POST, install."""
        if not request.user.has_perm("playbooks.add_pack"):
            raise PermissionDenied
        files, who = installer.pack_files(slug), request.user.get_username()
        reason = request.POST.get("confirm_breadth", "")[:2_000]
        report = installer.run(files, actor=who, plan_only=request.method != "POST", confirm_breadth=reason)
        if request.method == "POST" and report.widening is not None and not reason.strip():
            # Asked again with the same plan and the question why.
            report = installer.run(files, actor=who, plan_only=True)
        problems = [*report.problems, *report.conflicts]
        if request.method == "POST" and not problems and (report.widening is None or reason.strip()):
            done = f"{slug}: {report.count('created')} created, {report.count('changed')} changed."
            messages.success(request, done)
            return HttpResponseRedirect(reverse("admin:playbooks_pack_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Install {slug}",
            "opts": self.model._meta,
            "slug": slug,
            "widening": report.widening,
            "asked": request.method == "POST",
            "outcomes": [outcome for outcome in report.outcomes if outcome.word != "unchanged"],
            "unchanged": report.count("unchanged"),
            "problems": problems if files else [f"There is no pack “{slug}”."],
        }
        return TemplateResponse(request, "admin/playbooks/install_pack.html", context)


@admin.register(Plan)
class PlanAdmin(ReadOnlyAdmin):
    """Plans as they were proposed."""

    list_display = ("id", "incident", "playbook_version", "state", "risk_tier", "amount", "currency", "created_at")
    list_filter = ("state", "risk_tier")
    visible_through = "incident"


@admin.register(Execution)
class ExecutionAdmin(ReadOnlyAdmin):
    """Executions as they ran."""

    list_display = ("id", "incident", "direction", "state", "requested_by", "created_at", "finished_at")
    list_filter = ("direction", "state")
    visible_through = "incident"


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """What could not go on."""

    list_display = ("id", "incident", "state", "cause", "created_at", "closed_at")
    list_filter = ("state",)
    visible_through = "incident"
