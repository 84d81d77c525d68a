"""The documents of this floor: playbooks, policies, schedules and the header of a pack."""

import json
from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any, Literal

from celery import current_app
from django.utils.module_loading import autodiscover_modules
from django_celery_beat.models import PeriodicTask
from pydantic import BaseModel, ConfigDict, Field, field_validator

from audit.errors import Invalid
from audit.manifests import Difference, Document, DocumentType, differences
from incidents.expressions import compile_expression
from playbooks import holdout_actions, pack_actions
from playbooks.definitions import PlaybookDefinition
from playbooks.holdout_actions import Terms, terms_of
from playbooks.holdout_models import LONGEST_DAYS, MOST_SHARE
from playbooks.models import Playbook, Policy
from playbooks.pack_actions import Header
from playbooks.pack_models import Pack
from playbooks.policies import VARIABLES

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]
Label = Annotated[str, Field(min_length=1, max_length=120)]


class Body(Document):
    """What every document of this floor keeps to: no unknown names, no spare blanks."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class PlaybookDocument(Body):
    """How one kind of exception is mended."""

    slug: Slug
    label: Label
    mends: Slug = Field(description="The code of the exception kind.")
    owner: str = ""
    enabled: bool = True
    irreversible_accepted: bool = Field(
        default=False, description="The author knows that a step cannot be undone, and means it."
    )
    definition: PlaybookDefinition

    @property
    def header(self) -> Header:
        """Return what stands above the versions."""
        return Header(self.slug, self.label, self.enabled, self.owner)

    @property
    def text(self) -> dict[str, Any]:
        """Return the definition as it is kept: what the author wrote, in JSON's types."""
        return self.definition.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _about_a_change(source: str) -> None:
    """Compile a policy's expression; a name that no change has would ask a person every time."""
    unknown = sorted(compile_expression(source).references() - VARIABLES)
    if unknown:
        raise ValueError(f"“{unknown[0]}” is not known to policies; they know {', '.join(sorted(VARIABLES))}.")


class PolicyTest(BaseModel):
    """A situation, and the verdict that the policy must come to in it; `allow` where it stays silent."""

    model_config = ConfigDict(extra="forbid")

    given: dict[str, Any]
    expect: Literal["allow", "block", "correct", "needs_approval"]


class PolicyDocument(Body):
    """When a policy speaks, and what it then says."""

    slug: Slug
    label: Label
    owner: str = ""
    enabled: bool = True
    operations: list[Annotated[str, Field(pattern=r"^[a-z0-9_-]+:[a-z0-9_.]+$")]] = Field(
        default=[], description="Such as fo:invoice.credit; empty: every change."
    )
    when: str = Field(description="CEL; the policy speaks where it is true.")
    verdict: Literal["allow", "block", "correct", "needs_approval"]
    message: Annotated[str, Field(min_length=1)]
    corrections: dict[str, str] = Field(default={}, description="For `correct`: parameter and the CEL that mends it.")
    risk: Literal["", "low", "medium", "high"] = ""
    tests: list[PolicyTest] = Field(default=[], description="All must pass before the text is activated.")

    @field_validator("when")
    @classmethod
    def _is_expression(cls, source: str) -> str:
        _about_a_change(source)
        return source

    @field_validator("corrections")
    @classmethod
    def _are_expressions(cls, corrections: dict[str, str], info: Any) -> dict[str, str]:
        for source in corrections.values():
            _about_a_change(source)
        if corrections and info.data.get("verdict") not in (None, "correct"):
            raise ValueError("Only the verdict `correct` has corrections.")
        return corrections

    @property
    def header(self) -> Header:
        """Return what stands above the versions."""
        return Header(self.slug, self.label, self.enabled, self.owner)

    @property
    def text(self) -> dict[str, Any]:
        """Return the columns of the version."""
        return {
            "condition": self.when,
            "verdict": self.verdict,
            "message": self.message,
            "operations": list(self.operations),
            "corrections": dict(self.corrections),
            "risk": self.risk,
        }


class HoldOutDocument(Body):
    """What share of a playbook's mends is left to people by lot, and for how long; a share of 0 ends it."""

    playbook: Slug
    share: Annotated[int, Field(ge=0, le=MOST_SHARE)]
    purpose: Annotated[str, Field(max_length=300)] = ""
    days: Annotated[int, Field(ge=1, le=LONGEST_DAYS)] = 30
    max_severity: Literal["critical", "high", "medium", "low"] = "medium"
    max_amount: Annotated[Decimal | None, Field(ge=0, max_digits=18, decimal_places=2)] = None
    currency: Annotated[str, Field(pattern=r"^([A-Z]{3})?$")] = ""

    @property
    def terms(self) -> Terms:
        """Return what the trial is asked to be."""
        return Terms(**self.model_dump(exclude={"kind", "playbook"}))


class ScheduleDocument(Body):
    """A task that beat rings again and again."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    task: str = Field(description="Such as playbooks.sweep.")
    every_seconds: Annotated[int, Field(ge=1, le=86_400 * 31)]
    arguments: dict[str, str | int | bool] = {}
    enabled: bool = True

    @field_validator("task")
    @classmethod
    def _is_task(cls, name: str) -> str:
        # Only tasks that the apps declare: a schedule must not become a way to run anything importable.
        autodiscover_modules("tasks")
        own = sorted(task for task in current_app.tasks if not task.startswith("celery."))
        if name not in own:
            raise ValueError(f"There is no task “{name}”. Known tasks: {', '.join(own)}.")
        return name

    @property
    def kwargs(self) -> str:
        """Return the arguments as beat keeps them."""
        return json.dumps(self.arguments, sort_keys=True)


class PackDocument(Body):
    """What a folder of documents is called."""

    slug: Slug
    label: Label
    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+){1,2}$")]
    confirm_breadth: str = Field(
        default="", description="Why a second process starts before the first verified mend of this installation."
    )


class SealedPack(PackDocument):
    """A pack's header together with the digest of the files that were given of its folder."""

    digest: str = ""


def sealed(model: BaseModel, digest: str) -> BaseModel:
    """Put the digest of the files into a pack's header; other documents pass as they are."""
    return SealedPack(**model.model_dump(), digest=digest) if isinstance(model, PackDocument) else model


def _owner(row: Any) -> str:
    return row.owner.get_username() if row.owner else ""


def plan_playbook(document: PlaybookDocument) -> list[Difference]:
    """Say what applying the document will change."""
    header = document.header
    after = {"label": header.label, "enabled": header.enabled, "owner": header.owner, "mends": document.mends}
    row = Playbook.objects.filter(slug=document.slug).select_related("owner").first()
    before = None
    if row is not None:
        active = row.versions.filter(active=True).first()
        before = {"label": row.label, "enabled": row.enabled, "owner": _owner(row), "mends": row.kind_code}
        before["definition"] = active.definition if active else None
    return differences(f"playbook {document.slug}", before, {**after, "definition": document.text})


def apply_playbook(document: PlaybookDocument, actor: str) -> bool:
    """Install the playbook and activate its text."""
    return pack_actions.save_playbook(
        document.header,
        kind_code=document.mends,
        definition=document.text,
        irreversible_accepted=document.irreversible_accepted,
        actor=actor,
    )


def plan_policy(document: PolicyDocument) -> list[Difference]:
    """Say what applying the document will change."""
    header = document.header
    after = {"label": header.label, "enabled": header.enabled, "owner": header.owner, **document.text}
    row = Policy.objects.filter(slug=document.slug).select_related("owner").first()
    before = None
    if row is not None:
        active = row.versions.filter(active=True).first()
        text = pack_actions.policy_text(active) if active else dict.fromkeys(document.text)
        before = {"label": row.label, "enabled": row.enabled, "owner": _owner(row), **text}
    return differences(f"policy {document.slug}", before, after)


def apply_policy(document: PolicyDocument, actor: str) -> bool:
    """Install the policy and activate its text."""
    tests = [test.model_dump() for test in document.tests]
    return pack_actions.save_policy(document.header, text=document.text, actor=actor, tests=tests)


def plan_hold_out(document: HoldOutDocument) -> list[Difference]:
    """Say what applying the document will change."""
    playbook = Playbook.objects.filter(slug=document.playbook).first()
    latest = playbook.hold_outs.first() if playbook is not None else None
    # One that somebody stopped is not there any more; one whose time is over has been what it was asked to be.
    stopped = latest is not None and holdout_actions.stopped_early(latest)
    known = latest if latest is not None and not stopped else None
    name, after = f"hold_out {document.playbook}", asdict(document.terms)
    if document.share == 0:
        runs = known is not None and known.ended_at is None
        return differences(name, {"share": known.share if known and runs else 0}, {"share": 0})
    return differences(name, asdict(terms_of(known)), after) if known else [Difference(name, "", None, after)]


def apply_hold_out(document: HoldOutDocument, actor: str) -> bool:
    """Begin, change or end the trial."""
    playbook = Playbook.objects.filter(slug=document.playbook).first()
    if playbook is None:
        why = f"There is no playbook “{document.playbook}”. Apply it first, or in the same run."
        raise Invalid(why, {"playbook": [why]})
    return holdout_actions.configure(playbook, document.terms, actor=actor) is not None


def plan_schedule(document: ScheduleDocument) -> list[Difference]:
    """Say what applying the document will change."""
    after = {
        "task": document.task,
        "every_seconds": document.every_seconds,
        "arguments": document.kwargs,
        "enabled": document.enabled,
    }
    row = PeriodicTask.objects.filter(name=document.name).select_related("interval").first()
    before = None
    if row is not None:
        seconds = int(row.interval.schedule.run_every.total_seconds()) if row.interval else None
        before = {"task": row.task, "every_seconds": seconds, "arguments": row.kwargs, "enabled": row.enabled}
    return differences(f"schedule {document.name}", before, after)


def apply_schedule(document: ScheduleDocument, actor: str) -> bool:
    """Make beat ring the task."""
    return pack_actions.save_schedule(
        name=document.name,
        task=document.task,
        every_seconds=document.every_seconds,
        arguments=document.kwargs,
        enabled=document.enabled,
        actor=actor,
    )


def plan_pack(document: SealedPack) -> list[Difference]:
    """Say what applying the document will change."""
    after = {"label": document.label, "version": document.version, "digest": document.digest}
    row = Pack.objects.filter(slug=document.slug).first()
    before = {name: getattr(row, name) for name in after} if row else None
    return differences(f"pack {document.slug}", before, after)


def apply_pack(document: SealedPack, actor: str) -> bool:
    """Note that the pack is installed."""
    return pack_actions.save_pack(
        slug=document.slug,
        label=document.label,
        version=document.version,
        digest_of_files=document.digest,
        actor=actor,
    )


# Policies come before playbooks: a playbook is activated only where a policy guards it.
DOCUMENTS: dict[str, DocumentType] = {
    "policy": DocumentType(PolicyDocument, 70, plan_policy, apply_policy),
    "playbook": DocumentType(PlaybookDocument, 80, plan_playbook, apply_playbook),
    "hold_out": DocumentType(HoldOutDocument, 85, plan_hold_out, apply_hold_out),
    "schedule": DocumentType(ScheduleDocument, 90, plan_schedule, apply_schedule),
    "pack": DocumentType(PackDocument, 99, plan_pack, apply_pack),
}
