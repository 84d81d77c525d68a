"""The verbs of insights: bring in a log, say what its columns are, take it away."""

import hashlib
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from audit.access import grant
from audit.actions import record
from audit.clock import db_now
from audit.errors import IllegalMove, Invalid
from audit.strictjson import TooLarge
from insights import storage
from insights.eventlog import importing
from insights.eventlog.looking import Look, look
from insights.eventlog.shapes import Mapping
from insights.models import EventLog
from insights.signals import log_waits
from insights.states import NEXT, LogState

_CHUNK = 1 << 20


def receive(
    chunks: Iterable[bytes],
    *,
    name: str,
    actor: str,
    file_name: str = "",
    mapping: dict[str, Any] | None = None,
    object_type: str = "",
    process: str = "",
    business_unit: str = "",
    region: str = "",
    origin: str = "upload",
    uploaded_by: Any = None,
    look_first: bool = False,
) -> EventLog:
    """Keep a file as a new event log, and let a worker import it where its columns are told or plain to see.

    ``look_first`` leaves it to wait until somebody has seen what is in it.
    The file is on disk before the row is committed, and no transaction is open while it arrives. Who brought it may
    see it, whatever their units. Raises ``Invalid`` with the field at fault, ``TooLarge``.
    """
    wanted = Mapping.of(mapping or {})
    if not name.strip():
        raise Invalid("The log needs a name.", {"name": ["Give a name."]})
    arriving = Path(settings.INSIGHTS_DIR) / "incoming" / secrets.token_hex(16)
    arriving.mkdir(parents=True)
    try:
        size, digest = _keep(arriving / "given", chunks)
        seen = look(arriving / "given", wanted)
        if seen.guess is not None:
            wanted.check_told(seen.columns)
        state = _first_state(seen, wanted, look_first=look_first)
        with transaction.atomic():
            log = EventLog.objects.create(
                name=name.strip()[:120], file_name=Path(file_name).name[:200], origin=origin, process=process,
                business_unit=business_unit, region=region, object_type=object_type[:120], format=seen.format,
                mapping=_merged(seen, wanted), state=state, size=size, digest=digest,
                uploaded_by=uploaded_by, created_at=db_now(),
            )  # fmt: skip
            if uploaded_by is not None and not uploaded_by.is_superuser:
                grant(uploaded_by, log)
            _settle(arriving, log)
            if log.state == LogState.IMPORTING:
                log_waits.send(EventLog, log_id=log.pk)
            record("event_log.received", actor=actor, target=log, data=_said(log))
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
    return log


def import_file(path: str | Path, *, name: str = "", mapping: dict[str, Any] | None = None, **more: Any) -> EventLog:
    """Import a file at once, in this thread, and return its log: ``ready``, ``failed``, or waiting for its mapping."""
    path = Path(path)
    told = {"actor": importing.ACTOR, "origin": "folder", **more}
    with path.open("rb") as file:
        chunks = iter(lambda: file.read(_CHUNK), b"")
        log = receive(chunks, name=name or path.name, file_name=path.name, mapping=mapping, **told)
    return importing.run(log.pk, aside=False) if log.state == LogState.IMPORTING else log


def set_mapping(log: EventLog, mapping: dict[str, Any], *, actor: str, object_type: str = "") -> EventLog:
    """Say what the columns of a log are and import it, again where it was imported before.

    What is ready stays readable until the new import takes its place. Raises ``BadMapping`` for columns that the file
    has not, ``IllegalMove`` while it is being imported or where there is no file.
    """
    wanted = Mapping.of(mapping)
    if LogState.IMPORTING not in NEXT[LogState(log.state)]:
        raise IllegalMove(f"{log} is being imported; wait until it is ready.")
    if not storage.given(log).exists():
        raise IllegalMove(f"{log} did not come as a file; its columns are known.")
    seen = look(storage.given(log), wanted)
    if seen.guess is not None:
        wanted.check(seen.columns)
    merged = _merged(seen, wanted)
    with transaction.atomic():
        moved = EventLog.objects.filter(pk=log.pk, state=log.state).update(
            state=LogState.IMPORTING, mapping=merged, progress=0.0, error="", attempts=0, object_type=object_type[:120],
        )  # fmt: skip
        if not moved:
            raise IllegalMove(f"{log} was moved by someone else.")
        log_waits.send(EventLog, log_id=log.pk)
        record("event_log.mapped", actor=actor, target=log, before=log.mapping, after=merged)
    log.refresh_from_db()
    return log


def delete(log: EventLog, *, actor: str, reason: str = "") -> None:
    """Remove a log with all its files and objects; the ledger keeps that it was there."""
    number = log.pk
    with transaction.atomic():
        record("event_log.deleted", actor=actor, target=log, reason=reason, data=_said(log))
        log.delete()
        # Only once nobody can find the row any more; what a crash leaves, the sweep takes away.
        transaction.on_commit(lambda: storage.forget(number))


def _keep(target: Path, chunks: Iterable[bytes]) -> tuple[int, str]:
    """Write what was given to disk, counting; nothing of it is ever whole in memory."""
    digest, size = hashlib.sha256(), 0
    limit = settings.INSIGHTS_MAX_UPLOAD_MB << 20
    with target.open("wb") as file:
        for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise TooLarge(
                    f"The file is larger than {settings.INSIGHTS_MAX_UPLOAD_MB} MB (INSIGHTS_MAX_UPLOAD_MB)."
                )
            digest.update(chunk)
            file.write(chunk)
    if not size:
        raise Invalid("The file is empty.", {"file": ["The file is empty."]})
    return size, digest.hexdigest()


def _settle(arriving: Path, log: EventLog) -> None:
    """Give the file its place; a folder that a rolled-back row of this number left is nobody's."""
    home = storage.home(log)
    shutil.rmtree(home, ignore_errors=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    arriving.rename(home)


def _merged(seen: Look, wanted: Mapping) -> dict[str, str]:
    """Return what was told, the rest filled in from the guess."""
    return {**(seen.guess.mapping.as_json() if seen.guess else {}), **wanted.as_json()}


def _first_state(seen: Look, wanted: Mapping, *, look_first: bool) -> LogState:
    """Ask only where it is worth asking: a file that cannot be read goes on to say why."""
    if look_first and not seen.error:
        return LogState.MAPPING
    told = not wanted.missing() or seen.guess is None or seen.guess.sure
    return LogState.IMPORTING if told else LogState.MAPPING


def _said(log: EventLog) -> dict[str, Any]:
    return {"name": log.name, "file": log.file_name, "size": log.size, "digest": log.digest, "origin": log.origin}
