"""Install playbooks, policies, schedules and packs: the verbs behind configuration as code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import models, transaction
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from audit.actions import record
from audit.clock import db_now
from audit.errors import Invalid
from audit.proofs import digest
from connectors import registry
from connectors.base import Reversible, Write
from connectors.models import Connection
from incidents.kinds import definition_of
from incidents.models import ExceptionKind
from playbooks import breadth, flows, guards
from playbooks.definitions import PlaybookDefinition, unknown_names
from playbooks.models import Playbook, PlaybookVersion, Policy, PolicyVersion
from playbooks.pack_models import Pack
from playbooks.policy_actions import publish

POLICY_TEXT = ("condition", "verdict", "message", "operations", "corrections", "risk")


@dataclass(frozen=True)
class Header:
    """What a playbook or a policy is called, whose it is and whether it is in use."""

    slug: str
    label: str
    enabled: bool = True
    owner: str = ""


def objections(
    definition: Mapping[str, Any], *, kind_code: str, irreversible_accepted: bool = False
) -> dict[str, list[str]]:
    """Say what speaks against activating a playbook, per path of its document; empty: nothing does.

    A playbook goes to work only when it names nothing but its kind's evidence, and when each step's operation
    exists, can be taken back (or its author accepted in writing that it cannot), is given the arguments that it
    knows, and stands under at least one active policy; and when data classes and labels let its data flow so.
    """
    found = _unknown_evidence(definition, kind_code) or _flowing(definition, kind_code)
    for number, step in enumerate(definition.get("steps", [])):
        for name, message in _step_objections(step, irreversible_accepted=irreversible_accepted):
            found.setdefault(f"definition.steps[{number}].{name}", []).append(message)
    return found


def _unknown_evidence(definition: Mapping[str, Any], kind_code: str) -> dict[str, list[str]]:
    kind = ExceptionKind.objects.filter(code=kind_code).first()
    if kind is None:
        return {"mends": [f"There is no exception kind “{kind_code}”. Apply it first, or in the same run."]}
    evidence = [query.name for query in definition_of(kind).evidence]
    unknown = unknown_names(PlaybookDefinition.model_validate(definition), evidence)
    return {f"definition.{path}": messages for path, messages in unknown.items()}


def _flowing(definition: Mapping[str, Any], kind_code: str) -> dict[str, list[str]]:
    kind = definition_of(ExceptionKind.objects.get(code=kind_code))
    against = flows.objections(PlaybookDefinition.model_validate(definition), kind)
    return {f"definition.{path}": messages for path, messages in against.items()}


def _step_objections(step: Mapping[str, Any], *, irreversible_accepted: bool) -> list[tuple[str, str]]:
    slug, name = str(step["connection"]), str(step["operation"])
    connection = Connection.objects.filter(slug=slug).first()
    if connection is None:
        return [("connection", f"There is no connection “{slug}”. Apply one first, or in the same run.")]
    operation = registry.operation_of(connection, name)
    if not isinstance(operation, Write):
        return [("operation", f"“{name}” is not a change that {connection.kind} connections can make.")]
    found = [(f"arguments{path}", message) for path, message in _argument_objections(operation, step)]
    if operation.reversible is Reversible.NO and not irreversible_accepted:
        found.append(("operation", f"“{name}” cannot be undone; say `irreversible_accepted: true` if that is meant."))
    if not guards.guarded(f"{slug}:{name}"):
        found.append(("operation", f"No active policy covers “{slug}:{name}”, so nothing would guard it."))
    return found


def _argument_objections(operation: Write, step: Mapping[str, Any]) -> list[tuple[str, str]]:
    fields = operation.arguments.model_fields
    given = set(step.get("arguments", {}))
    found = [(f".{name}", f"“{operation.name}” has no argument of this name.") for name in sorted(given - set(fields))]
    missing = sorted(name for name, field in fields.items() if field.is_required() and name not in given)
    if missing:
        found.append(("", f"“{operation.name}” also needs {', '.join(missing)}."))
    return found


def widening_by(kind_code: str) -> breadth.Widening | None:
    """Say what speaks against switching on a playbook for this kind now: a second process before the first mend."""
    kind = ExceptionKind.objects.filter(code=kind_code).first()
    active = breadth.active_processes()
    return breadth.widening(active, active | {breadth.process_of(kind)}) if kind is not None else None


def save_playbook(
    header: Header, *, kind_code: str, definition: dict[str, Any], irreversible_accepted: bool = False, actor: str
) -> bool:
    """Make a playbook say ``definition``: a text that is new becomes a new version, and the active one.

    Returns whether anything changed. Raises ``Invalid`` where ``objections`` has any.
    """
    against: dict[str, list[str]] = {}
    if header.enabled:
        against = objections(definition, kind_code=kind_code, irreversible_accepted=irreversible_accepted)
    if against:
        raise Invalid(f"The playbook {header.slug} cannot be activated.", errors=against)
    with transaction.atomic():
        playbook, changed = _save_header(Playbook, header, {"kind_code": kind_code}, actor)
        return _activate_definition(playbook, definition, actor) or changed


def _activate_definition(playbook: Playbook, definition: dict[str, Any], actor: str) -> bool:
    text = digest(definition)
    active = playbook.versions.filter(active=True).first()
    if active is not None and active.digest == text:
        return False
    playbook.versions.filter(active=True).update(active=False)
    newest = playbook.versions.first()
    if newest is not None and newest.digest == text:
        newest.active = True
        newest.save(update_fields=["active"])
    else:
        number = (newest.number if newest else 0) + 1
        newest = PlaybookVersion.objects.create(
            playbook=playbook,
            number=number,
            definition=definition,
            digest=text,
            active=True,
            author=actor,
            created_at=db_now(),
        )
    before = {"version": active.number, "digest": active.digest} if active else None
    after = {"version": newest.number, "digest": text}
    record("playbook.activated", actor=actor, target=playbook, before=before, after=after)
    return True


def save_policy(header: Header, *, text: dict[str, Any], actor: str, tests: Sequence[Mapping[str, Any]] = ()) -> bool:
    """Make a policy say ``text`` (the columns of ``POLICY_TEXT``): another text becomes a new, active version.

    Returns whether anything changed. Raises ``Invalid`` where the text cannot be meant or one of its ``tests`` fails.
    """
    with transaction.atomic():
        policy, changed = _save_header(Policy, header, {}, actor)
        before = policy.versions.filter(active=True).first()
        return publish(header.slug, **text, author=actor, tests=tests) != before or changed


def policy_text(version: PolicyVersion) -> dict[str, Any]:
    """Return what a policy version says, as the columns that make a version differ from another."""
    return {name: getattr(version, name) for name in POLICY_TEXT}


def _save_header(model: type[Any], header: Header, more: dict[str, Any], actor: str) -> tuple[Any, bool]:
    """Create or update the row above the versions; the ledger hears of it only where something differs."""
    wanted = {"label": header.label, "enabled": header.enabled, "owner": person(header.owner), **more}
    return _save_row(model, {"slug": header.slug}, wanted, actor, model._meta.model_name)


def _save_row(model: type[Any], key: dict[str, Any], wanted: dict[str, Any], actor: str, noun: str) -> tuple[Any, bool]:
    row = model.objects.filter(**key).first()
    if row is None:
        row = model.objects.create(**key, **wanted)
        record(f"{noun}.created", actor=actor, target=row, after=_plain({**key, **wanted}))
        return row, True
    before = {name: getattr(row, name) for name in wanted}
    changed = {name for name in wanted if before[name] != wanted[name]}
    if not changed:
        return row, False
    for name in changed:
        setattr(row, name, wanted[name])
    row.save()
    record(
        f"{noun}.changed",
        actor=actor,
        target=row,
        before=_plain({name: before[name] for name in changed}),
        after=_plain({name: wanted[name] for name in changed}),
    )
    return row, True


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, models.Model) else value for name, value in values.items()}


def person(username: str) -> AbstractBaseUser | None:
    """Find the owner that a file names. Raises ``Invalid`` where there is no such user."""
    if not username:
        return None
    found = get_user_model().objects.filter(username=username).first()
    if found is None:
        raise Invalid(f"There is no user “{username}”.", errors={"owner": [f"There is no user “{username}”."]})
    return found


def save_schedule(*, name: str, task: str, every_seconds: int, arguments: str, enabled: bool, actor: str) -> bool:
    """Make beat ring ``task`` every ``every_seconds``. Returns whether anything changed."""
    with transaction.atomic():
        interval, _ = IntervalSchedule.objects.get_or_create(every=every_seconds, period=IntervalSchedule.SECONDS)
        wanted = {"task": task, "interval": interval, "kwargs": arguments, "enabled": enabled}
        return _save_row(PeriodicTask, {"name": name}, wanted, actor, "schedule")[1]


def save_pack(*, slug: str, label: str, version: str, digest_of_files: str, actor: str) -> bool:
    """Note that a folder of configuration was installed, and what its files were. Returns whether that is news."""
    with transaction.atomic():
        pack = Pack.objects.filter(slug=slug).first()
        now = {"label": label, "version": version, "digest": digest_of_files}
        before = {name: getattr(pack, name) for name in now} if pack else None
        if before == now:
            return False
        pack, _ = Pack.objects.update_or_create(
            slug=slug, defaults={**now, "installed_at": db_now(), "installed_by": actor}
        )
        record("pack.installed", actor=actor, target=pack, before=before, after=now)
        return True
