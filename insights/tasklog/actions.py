"""The verbs of task mining: take a step log in, say where its windows belong, draft a playbook, remove a log."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.auth.models import User
from django.db import transaction

from audit.actions import record
from audit.clock import db_now
from audit.errors import Invalid, NotAllowed
from audit.models import BusinessUnit
from connectors.models import Connection
from incidents.models import ExceptionKind
from insights.access import may_act
from insights.models import EventLog
from insights.tasklog import drafts, entry, running
from insights.tasklog.layout import NAMES
from insights.tasklog.models import ActivityLink, RejectedStep, Routine, TaskLog
from insights.tasklog.signals import task_log_waits
from playbooks.models import Playbook


def receive(
    chunks: Iterable[bytes],
    *,
    name: str,
    by: User,
    file_name: str = "",
    size: int = 0,
    mapping: Mapping[str, Any] | None = None,
    time_zone: str = "UTC",
    business_unit: str = "",
    region: str = "",
) -> TaskLog:
    """Take a step log in: names and values end here, the rest is kept and a worker mines it.

    Raises ``Invalid`` with the field at fault, and ``NotAllowed``.
    """
    require(by)
    if not name.strip():
        raise Invalid("The log needs a name.", {"name": ["Give a name."]})
    require_unit(by, business_unit, region)
    told = _told(mapping or {})
    entered = entry.enter(chunks, told, zone=_zone(time_zone), latest=db_now())
    with transaction.atomic():
        now = db_now()
        log = TaskLog.objects.create(
            name=name.strip()[:120], file_name=Path(file_name).name[:200], size=size, mapping=entered.mapping,
            business_unit=business_unit, region=region, uploaded_by=by, created_at=now,
            expires_at=now + running.kept_for(), steps=len(entered.when), people=len(entered.people),
            rejected_count=entered.rejected_count,
        )  # fmt: skip
        RejectedStep.objects.bulk_create(RejectedStep(log=log, line=line, reason=why) for line, why in entered.rejected)
        try:
            entry.keep(log, entered)
        except BaseException:
            entry.forget(log)
            raise
        said = {"name": log.name, "steps": log.steps, "people": log.people, "rejected": log.rejected_count}
        record("task_log.received", actor=by.get_username(), target=log, data=said)
        task_log_waits.send(TaskLog, log_id=log.pk)
    return log


def delete(log: TaskLog, *, by: User) -> None:
    """Remove a task log with all that was found in it; the ledger keeps that it was there."""
    require(by)
    with transaction.atomic():
        record("task_log.deleted", actor=by.get_username(), target=log, data={"name": log.name, "steps": log.steps})
        gone = TaskLog(pk=log.pk)
        log.delete()
        transaction.on_commit(lambda: entry.forget(gone))


def link(
    log: TaskLog, *, by: User, application: str, element: str = "", event_log: EventLog, activity: str
) -> ActivityLink:
    """Declare that steps in a window are an activity of a process. Saying it anew replaces what was said."""
    require(by)
    application, element, activity = application.strip()[:80], element.strip()[:80], activity.strip()[:200]
    empty = [part for part, text in (("application", application), ("activity", activity)) if not text]
    if empty:
        raise Invalid("The link is not complete.", {part: ["Choose one."] for part in empty})
    with transaction.atomic():
        row, _ = ActivityLink.objects.update_or_create(
            task_log=log,
            application=application,
            element=element,
            defaults={
                "event_log": event_log,
                "activity": activity,
                "declared_by": by.get_username(),
                "created_at": db_now(),
            },
        )
        said = {"application": application, "element": element, "event_log": event_log.pk, "activity": activity}
        record("task_log.linked", actor=by.get_username(), target=log, data=said)
    return row


def name_system(log: TaskLog, *, by: User, application: str, connection: str) -> TaskLog:
    """Declare which connection stands behind an application; an empty one takes it back."""
    require(by)
    if connection and not Connection.objects.filter(slug=connection).exists():
        raise Invalid("There is no such connection.", {"connection": ["Choose one of the connections."]})
    with transaction.atomic():
        row = TaskLog.objects.select_for_update().get(pk=log.pk)
        before = dict(row.systems)
        row.systems = {**{name: slug for name, slug in before.items() if name != application}}
        if connection:
            row.systems[application[:80]] = connection
        row.save(update_fields=["systems"])
        record("task_log.linked", actor=by.get_username(), target=row, before=before, after=row.systems)
    return row


def draft(routine: Routine, *, by: User, kind_code: str) -> Playbook:
    """Write a playbook draft of the steps seen: off, not active, and linked back. Drafting again returns the first.

    Raises ``Invalid`` for a kind that does not exist.
    """
    require(by)
    if not ExceptionKind.objects.filter(code=kind_code).exists():
        raise Invalid("There is no such kind of exception.", {"kind": ["Choose what the playbook would mend."]})
    with transaction.atomic():
        # Of two people who ask at once, the second finds the first one's draft.
        row = Routine.objects.select_for_update().select_related("log").get(pk=routine.pk)
        if row.playbook is not None:
            return row.playbook
        playbook = drafts.write(row, kind_code=kind_code, author=by.get_username())
        row.playbook = playbook
        row.save(update_fields=["playbook"])
    return playbook


def require(by: User) -> None:
    """Raise ``NotAllowed`` unless ``by`` may bring in and change task logs and trackers."""
    if not may_act(by):
        raise NotAllowed("This takes the role operator or automation_admin.")


def require_unit(by: User, unit: str, region: str) -> None:
    """Raise ``Invalid`` for a unit that does not exist, or where ``by`` would not see what they bring in."""
    if unit and not BusinessUnit.objects.filter(slug=unit).exists():
        raise Invalid("No such business unit.", {"business_unit": ["There is no such business unit."]})
    if by.is_superuser:
        return
    scope = getattr(by, "scope", None)
    for field, value, allowed in (
        ("business_unit", unit, scope.business_units if scope else []),
        ("region", region, scope.regions if scope else []),
    ):
        if "*" not in allowed and value not in allowed:
            raise Invalid("Not your unit.", {field: [f"Choose one of {', '.join(allowed) or 'none'}."]})


def _told(mapping: Mapping[str, Any]) -> dict[str, str]:
    strange = sorted(set(mapping) - set(NAMES))
    if strange or not all(isinstance(value, str) for value in mapping.values()):
        raise Invalid("The mapping cannot be read.", {"mapping": [f"It names columns for {', '.join(NAMES)}."]})
    return {name: value.strip() for name, value in mapping.items() if value.strip()}


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError) as error:
        raise Invalid("No such time zone.", {"time_zone": ["Use a name such as Europe/Berlin."]}) from error
