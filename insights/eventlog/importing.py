"""The import itself: the one writer of an event log's state. Rows are leased, generations fenced.

1. ``claim`` takes the lease: of two workers the database lets one through.
2. What was given is staged, then built into a folder that no reader knows.
3. ``deliver`` brings the tables to the object store where there is one; no row names them yet.
4. ``publish`` moves the row to the new generation, only while the lease is still held; the folder takes its final
   name inside that transaction, so that a worker that was believed dead changes nothing.
"""

import logging
import secrets
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import duckdb
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import F, Q

from audit.actions import record
from audit.clock import db_now
from audit.errors import LostRace
from insights import storage
from insights.eventlog import staging
from insights.eventlog.build import build
from insights.eventlog.shapes import ROLES, BadMapping, Built, ImportFailed, Mapping, Refused, Staged, storable
from insights.eventlog.templates import best_for
from insights.models import EventLog, Rejected
from insights.objectstore.faults import WAIT_SECONDS, StoreUnavailable
from insights.states import LogState

logger = logging.getLogger(__name__)
ACTOR = "system:import"
# A file that ends its worker each time must not do so for ever.
ATTEMPTS = 5
BEAT_SECONDS = 2.0
# Long enough that nobody is still writing there.
TIDY_AFTER = timedelta(hours=24)


class LeaseLost(LostRace):
    """Another worker imports this log, or nobody needs to."""


def due() -> list[int]:
    """Return the logs that wait for a worker, or whose worker has not been heard of."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=db_now())
    # What grows by itself has no file to import.
    rows = EventLog.objects.filter(free, state=LogState.IMPORTING).exclude(digest="")
    return list(rows.order_by("pk").values_list("pk", flat=True)[:100])


def claim(log_id: int) -> EventLog:
    """Take the lease of a log that is to be imported. Raises ``LeaseLost`` where somebody holds it."""
    token, now = secrets.token_hex(16), db_now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    taken = EventLog.objects.filter(free, pk=log_id, state=LogState.IMPORTING).update(
        lease_token=token, lease_until=now + timedelta(seconds=settings.LEASE_SECONDS), attempts=F("attempts") + 1
    )
    if not taken:
        raise LeaseLost(f"event log {log_id} is not to be imported, or by another worker")
    return EventLog.objects.get(pk=log_id)


class _Beat:
    """Keep the lease and tell the progress from a thread of its own: a long query must not look like a dead worker."""

    def __init__(self, log: EventLog) -> None:
        self.log, self.share, self.lost = log, 0.0, False
        self.done = threading.Event()
        self.db: duckdb.DuckDBPyConnection | None = None

    def told(self, share: float, db: duckdb.DuckDBPyConnection | None = None) -> None:
        """Note the share that is done. Raises ``LeaseLost`` once another worker has the log."""
        self.share, self.db = min(max(share, 0.0), 1.0), db
        if self.lost:
            raise LeaseLost(f"event log {self.log.pk} was taken over")

    def run(self) -> None:
        try:
            while not self.done.wait(BEAT_SECONDS):
                self._beat()
        finally:
            connection.close()

    def _beat(self) -> None:
        try:
            until = db_now() + timedelta(seconds=settings.LEASE_SECONDS)
            held = EventLog.objects.filter(pk=self.log.pk, lease_token=self.log.lease_token)
            self.lost = not held.update(lease_until=until, progress=self.share)
        except OperationalError:
            # A busy database is no reason to stop; the lease outlives several beats.
            logger.info("event log %s: a beat was missed", self.log.pk)
        if self.lost and self.db is not None:
            self.db.interrupt()


@contextmanager
def beating(log: EventLog, *, aside: bool = True) -> Iterator[_Beat]:
    """Keep the lease of ``log`` while the block runs; ``aside`` does so from a thread."""
    beat = _Beat(log)
    thread = threading.Thread(target=beat.run, name=f"import {log.pk}", daemon=True)
    if aside:
        thread.start()
    try:
        yield beat
    finally:
        beat.done.set()
        if aside:
            thread.join()


def run(log_id: int, *, aside: bool = True) -> EventLog:
    """Import one log that waits, from where an earlier worker left it. Raises ``LeaseLost``.

    What is wrong with the file ends in state ``failed`` with words; ``aside`` keeps the lease from a thread.
    """
    log = claim(log_id)
    if log.attempts > ATTEMPTS:
        _fail(log, f"The import was broken off {ATTEMPTS} times; the file may need more memory than there is.")
        return log
    work = storage.home(log) / f"work-{log.lease_token}"
    work.mkdir(parents=True, exist_ok=True)
    try:
        storage.require()
        with beating(log, aside=aside) as beat:
            built = _import(log, work, beat)
            deliver(log, work / "tables", beat)
        publish(log, built, work / "tables")
    except ImportFailed as reason:
        _fail(log, str(reason), reason.refused, reason.refused_count)
    except BadMapping as reason:
        _fail(log, _words(reason))
    except StoreUnavailable as away:
        _put_off(log, str(away))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    log.refresh_from_db()
    return log


def deliver(log: EventLog, tables: Path, beat: _Beat) -> None:
    """Bring the tables to where they belong while the lease is kept. Raises ``LeaseLost``, ``StoreUnavailable``."""
    storage.deliver(log, log.generation + 1, tables, lambda: beat.told(beat.share))


def _words(reason: BadMapping) -> str:
    return " ".join([str(reason), *(f"{key}: {' '.join(told)}" for key, told in reason.errors.items())])


def _import(log: EventLog, work: Path, beat: _Beat) -> Built:
    try:
        staged = _staged(log, work, beat)
        mapping = Mapping.of({**staged.roles, **_fitting(log.mapping, staged)})
        tables = work / "tables"
        tables.mkdir(exist_ok=True)
        built = build(staged, mapping, tables, now=db_now(), told=lambda share, db: beat.told(0.5 + share / 2, db))
    except (ImportFailed, OSError):
        # Whatever broke because the files were taken away says nothing of the log.
        beat.told(beat.share)
        raise
    log.mapping, log.object_type = mapping.as_json(), staged.chosen or log.object_type
    shutil.rmtree(tables / "spill", ignore_errors=True)
    return built


def _fitting(told: dict[str, str], staged: Staged) -> dict[str, str]:
    """Leave out columns that a format which names its own parts does not have."""
    if not staged.roles:
        return told
    return {key: name for key, name in told.items() if key not in ROLES or name in staged.columns}


def _staged(log: EventLog, work: Path, beat: _Beat) -> Staged:
    folder, making = storage.home(log) / "staged", work / "staging"
    if found := staging.kept(folder):
        return found
    making.mkdir(exist_ok=True)
    given = storage.given(log)
    size = max(given.stat().st_size, 1)
    told = lambda read: beat.told(min(read / size, 1.0) / 2)  # noqa: E731 - one line says it
    return staging.keep(staging.stage(given, making, object_type=log.object_type, told=told), making, folder)


def publish(log: EventLog, built: Built, tables: Path) -> None:
    """Show the new generation to readers, all at once, and give the lease back. Raises ``LeaseLost``."""
    number = log.generation + 1
    with transaction.atomic():
        held = EventLog.objects.filter(pk=log.pk, lease_token=log.lease_token)
        if not held.update(
            state=LogState.READY, generation=number, progress=1.0, error="", attempts=0, ready_at=db_now(),
            lease_token="", lease_until=None, mapping=log.mapping, object_type=log.object_type[:120],
            process=log.process or _process_of(built), cases=built.cases, events=built.events,
            activities=built.activities, variants=built.variants, first_at=built.first_at.replace(tzinfo=UTC),
            last_at=built.last_at.replace(tzinfo=UTC), attributes=built.attributes, tables=log.tables,
            rejected_count=built.refused_count, failed_rejected_count=0,
        ):  # fmt: skip
            raise LeaseLost(f"event log {log.pk} was taken over")
        Rejected.objects.filter(log=log).delete()
        _keep_refused(log, built.refused, number)
        if log.digest:
            # What grows by itself rests on the ledger or on deliveries: entering each step would feed itself.
            record("event_log.imported", actor=ACTOR, target=log, data=_told(log, built, number))
        # The row is locked until the commit, so that nobody else names a folder; what a crash left there goes.
        storage.settle(log, number, tables)
    log.generation = number
    shutil.rmtree(storage.home(log) / "staged", ignore_errors=True)
    storage.forget_older(log, number)


def tidy() -> int:
    """Take away files that no row knows: of deleted logs, broken uploads and workers that died. Return how many."""
    root, old = Path(settings.INSIGHTS_DIR), db_now().timestamp() - TIDY_AFTER.total_seconds()
    known: set[Path] = set()
    for pk, generation, token in EventLog.objects.values_list("pk", "generation", "lease_token"):
        home = root / "logs" / str(pk)
        known |= {home, home / f"g{generation}", home / f"work-{token}", root / "cache" / str(pk)}
    gone = 0
    for pattern in ("incoming/*", "logs/*/work-*", "logs/*/g[0-9]*", "logs/*", "cache/*"):
        for folder in root.glob(pattern):
            if folder not in known and folder.stat().st_mtime < old:
                shutil.rmtree(folder, ignore_errors=True)
                gone += 1
    return gone


def tidy_objects() -> int:
    """Take away objects of the store that no row knows, the same way. Return how many; none where it is away."""
    try:
        return storage.sweep(db_now() - TIDY_AFTER)
    except StoreUnavailable as away:
        logger.warning("Objects without a row are left for the next turn: %s", away)
        return 0


def _told(log: EventLog, built: Built, number: int) -> dict[str, Any]:
    return {
        "name": log.name,
        "generation": number,
        "cases": built.cases,
        "events": built.events,
        "rejected": built.refused_count,
        "digest": log.digest,
    }


def _process_of(built: Built) -> str:
    """Return the process whose template knows the activities, for a log that nobody gave one."""
    template = best_for(built.names)
    return template.process if template else ""


def _keep_refused(log: EventLog, refused: Sequence[Refused], generation: int) -> None:
    rows = [
        Rejected(
            log=log, generation=generation, line=each.line, reason=each.reason[:200], text=storable(each.text)[:200]
        )
        for each in refused
    ]
    Rejected.objects.bulk_create(rows, batch_size=500)


def _put_off(log: EventLog, reason: str) -> None:
    """Let the log wait for the object store, for ever if need be: nothing is wrong with its file."""
    until = db_now() + timedelta(seconds=WAIT_SECONDS)
    held = EventLog.objects.filter(pk=log.pk, state=LogState.IMPORTING, lease_token=log.lease_token)
    held.update(error=reason, lease_token="", lease_until=until, attempts=0)


def _fail(log: EventLog, reason: str, refused: Sequence[Refused] = (), count: int = 0) -> None:
    """Note why the file is no log, and which lines it refused; what readers saw before they go on seeing.

    Raises ``LeaseLost``.
    """
    reason = storable(reason)[:2000]
    with transaction.atomic():
        held = EventLog.objects.filter(pk=log.pk, state=LogState.IMPORTING, lease_token=log.lease_token)
        if not held.update(
            state=LogState.FAILED, error=reason, lease_token="", lease_until=None, attempts=0,
            failed_rejected_count=count,
        ):  # fmt: skip
            raise LeaseLost(f"event log {log.pk} was taken over")
        log.refused_last().delete()
        _keep_refused(log, refused, log.generation + 1)
        record("event_log.failed", actor=ACTOR, target=log, reason=reason, data={"name": log.name})
    shutil.rmtree(storage.home(log) / "staged", ignore_errors=True)
    log.refresh_from_db()
