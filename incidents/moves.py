"""The only writers of an incident's columns: one compare-and-swap, one history row, one line in the ledger."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, models, transaction
from django.db.models import F

from audit.clock import db_now
from audit.errors import IllegalMove, LostRace, Stale
from incidents import history, sla
from incidents.briefs import note
from incidents.models import Incident
from incidents.signals import incident_due, incident_moved, incident_overtaken
from incidents.states import CLOSED, MACHINE, NEXT, Status

ONE_OPEN = "one_open_incident_per_fingerprint"


def move(
    incident: Incident,
    to: Status | str,
    *,
    actor: str,
    reason: str = "",
    due_in: float | None = None,
    by: AbstractBaseUser | None = None,
    **columns: Any,
) -> Incident:
    """Change an incident's status, or say why not.

    ``due_in`` seconds from now the loop looks at it again (default: at once where the machine is at work, else never).
    Further ``columns`` are written with it. Raises ``IllegalMove`` and ``LostRace``.
    """
    to, before = Status(to), Status(incident.status)
    if to not in NEXT[before]:
        raise IllegalMove(f"{incident} is {before.label.lower()}: from there it cannot become {to.label.lower()}.")
    return _move(incident, to, columns, actor=actor, reason=reason, due_in=due_in, by=by)


def look_again(incident: Incident, *, actor: str, reason: str) -> Incident:
    """Have an incident looked into afresh; what waits for an answer about it is taken back in the same transaction.

    Raises ``LostRace`` where somebody was faster, and ``IllegalMove``; then nothing was taken back.
    """
    with transaction.atomic():
        incident_overtaken.send(sender=Incident, incident=incident, actor=actor, reason=reason)
        return move(incident, Status.TRIAGED, actor=actor, reason=reason)


def put_back(incident: Incident, to: Status, *, actor: str, reason: str, by: AbstractBaseUser, **columns: Any) -> None:
    """Give a folded incident the status back that it had; only for taking a merge apart.

    Raises ``IllegalMove`` where another incident is open for its problem by now.
    """
    _move(incident, to, columns, actor=actor, reason=reason, due_in=None, by=by, strict=True)


def _move(
    incident: Incident,
    to: Status,
    columns: dict[str, Any],
    *,
    actor: str,
    reason: str,
    due_in: float | None,
    by: AbstractBaseUser | None,
    strict: bool = False,
) -> Incident:
    before = Status(incident.status)
    with transaction.atomic():
        now = db_now()
        changes = {"status": to, "status_reason": reason, **_times(incident, to, now, due_in), **columns}
        rows = Incident.objects.filter(pk=incident.pk, status=before)
        reopening = incident.closed_at is not None and to not in CLOSED
        # Compare and swap: of two workers, the database lets one through.
        if not _write(incident, rows, changes, reopening=reopening, strict=strict or to is Status.TRIAGED):
            raise LostRace(f"{incident} was moved by someone else.")
        history.remember([incident], now, reason=reason, by=by)
        sla.follow(incident, before, now)
        after = {"status": to, **_plain(columns)}
        note(incident, f"incident.{to}", actor=actor, reason=reason, before={"status": before}, after=after)
        if incident.due_at is not None:
            incident_due.send(sender=Incident, incident_id=incident.pk)
        _tell(incident)
    return incident


def change(
    incident: Incident,
    verb: str,
    *,
    actor: str,
    reason: str = "",
    by: AbstractBaseUser | None = None,
    if_version: int | None = None,
    **columns: Any,
) -> Incident:
    """Write columns that are no move, entered in the ledger as ``verb``; nothing is written where nothing differs.

    Raises ``Stale`` where ``if_version`` is not the version that stands, else ``LostRace``.
    """
    differing = {name: value for name, value in columns.items() if getattr(incident, name) != value}
    check_version(incident, if_version)
    if not differing:
        return incident
    before = {name: getattr(incident, name) for name in differing}
    with transaction.atomic():
        rows = Incident.objects.filter(pk=incident.pk, row_version=incident.row_version)
        if not _write(incident, rows, differing):
            raise LostRace(f"{incident} was changed by someone else.")
        history.remember([incident], db_now(), reason=reason, by=by)
        note(incident, verb, actor=actor, reason=reason, before=_plain(before), after=_plain(differing))
    return incident


def ring(incident_id: int, *, in_seconds: float = 0) -> None:
    """Have the loop look at an incident, at once or later. Only a bell: the column ``due_at`` is what counts."""
    with transaction.atomic():
        due_at = db_now() + timedelta(seconds=in_seconds)
        if Incident.objects.filter(pk=incident_id).update(due_at=due_at):
            incident_due.send(sender=Incident, incident_id=incident_id)


def check_version(incident: Incident, if_version: int | None) -> None:
    """Raise ``Stale`` unless the caller saw the version that stands; ``None`` asks for nothing."""
    if if_version is not None and if_version != incident.row_version:
        raise Stale(
            f"{incident} has changed since you looked at it (version {if_version}, now {incident.row_version})."
        )


def lock(incident_id: int) -> Incident:
    """Return the incident, held against other writers until the transaction ends."""
    return Incident.objects.select_for_update().get(pk=incident_id)


def _times(incident: Incident, to: Status, now: Any, due_in: float | None) -> dict[str, Any]:
    due = to in MACHINE or due_in is not None
    times: dict[str, Any] = {"due_at": now + timedelta(seconds=due_in or 0) if due else None}
    if to in CLOSED:
        times["closed_at"] = incident.closed_at or now
    elif to is not Status.ROLLING_BACK:
        # While a closed incident is rolled back, signals of its fingerprint still speak of something new.
        times["closed_at"] = None
    if to is Status.RESOLVED:
        times["resolved_at"] = now
    return times


def _write(
    incident: Incident,
    rows: models.QuerySet[Incident],
    changes: dict[str, Any],
    *,
    reopening: bool = False,
    strict: bool = True,
) -> bool:
    try:
        with transaction.atomic():
            done = rows.update(**changes, row_version=F("row_version") + 1)
    except IntegrityError as error:
        if not reopening or Incident.objects.filter(fingerprint=incident.fingerprint, closed_at=None).count() == 0:
            raise
        if strict:
            raise IllegalMove(
                f"Another incident for the same problem is open; work on that one: {_open(incident)}."
            ) from error
        # It needs a person, but new signals already have a home: it stays closed to them.
        changes["closed_at"] = incident.closed_at
        done = rows.update(**changes, row_version=F("row_version") + 1)
    if done:
        for name, value in changes.items():
            setattr(incident, name, value)
        incident.row_version = Incident.objects.values_list("row_version", flat=True).get(pk=incident.pk)
    return bool(done)


def _open(incident: Incident) -> Incident:
    return Incident.objects.get(fingerprint=incident.fingerprint, closed_at=None)


def _plain(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.pk if isinstance(value, models.Model) else value for name, value in columns.items()}


def _tell(incident: Incident) -> None:
    pk, status = incident.pk, str(incident.status)
    transaction.on_commit(lambda: incident_moved.send(sender=Incident, incident_id=pk, status=status))
