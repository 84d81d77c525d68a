"""Which objects a log has: sent and read back before a row names them, swept away once no row does.

A key is ``MARK/logs/LOG/gGENERATION-LEASE/TABLE.parquet``. The mark is that of this installation's ledger, so that two
that were given the same bucket never take the other's objects for their own; the lease makes every attempt a folder
of its own, so that no object is ever written twice.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction

from audit.actions import record
from audit.errors import Refusal
from audit.models import Entry
from insights.engines.base import TableGone
from insights.models import EventLog
from insights.objectstore import cache
from insights.objectstore.bucket import Bucket, bucket
from insights.objectstore.cache import Copy
from insights.objectstore.faults import ObjectMissing, StoreDamaged, StoreUnavailable

logger = logging.getLogger(__name__)
# What a row says of one table: {"key": …, "size": bytes, "sha256": …}.
Named = Mapping[str, Any]


def send(log: EventLog, number: int, files: Mapping[str, Path], told: Callable[[], None]) -> dict[str, dict[str, Any]]:
    """Put the tables of a new generation into the store and return what the row is to say of them.

    Each object is read back and compared before the next is sent. ``told`` hears of every step, and may raise.
    Raises ``StoreUnavailable``, ``StoreDamaged``.
    """
    store, folder = bucket(), f"{_home(log.pk)}/g{number}-{log.lease_token}"
    named: dict[str, dict[str, Any]] = {}
    try:
        for name, path in files.items():
            told()
            size, sha256 = cache.digest_of(cache.chunks_of(path))
            named[name] = {"key": f"{folder}/{name}.parquet", "size": size, "sha256": sha256}
            store.put(named[name]["key"], path)
            told()
            _compare(store, named[name]["key"], size, sha256)
    except Refusal:
        # The next attempt sends all of it again, perhaps for hours: what is there of this one helps nobody.
        _try_to_remove(lambda _: [one["key"] for one in named.values()], log.pk)
        raise
    return named


def _compare(store: Bucket, key: str, size: int, sha256: str) -> None:
    try:
        found = cache.digest_of(store.read(key, size))
    except ObjectMissing:
        found = (0, "")
    if found != (size, sha256):
        logger.error("The object store does not hold what was just put there")
        raise StoreDamaged("The object store does not hold what was just put there. It is tried again.")


def local(log: EventLog, named: Named) -> Path:
    """Return the path of a table on this machine, fetched where it is not there yet.

    Raises ``TableGone`` where the object is no more, ``StoreUnavailable``, ``StoreDamaged``.
    """
    try:
        return cache.held(_copy(log.pk, named), lambda: bucket().read(named["key"], named["size"]))
    except ObjectMissing:
        raise TableGone("The log's tables are no longer in the object store. Ask again, or import it again.") from None


def adopt(log: EventLog, named: Mapping[str, Named], tables: Path) -> None:
    """Keep what this machine has just made as its copy, so that the first question fetches nothing."""
    for name, told in named.items():
        cache.adopt(_copy(log.pk, told), tables / f"{name}.parquet")


def _copy(log: int, named: Named) -> Copy:
    return Copy(log, named["size"], named["sha256"])


def forget(log: int) -> None:
    """Remove every object of a log; what cannot be reached now, the sweep removes later."""
    _try_to_remove(lambda store: [found.key for found in store.listed(_home(log))], log)


def forget_older(log: EventLog, number: int) -> None:
    """Remove the generations before the last but one: a page that began before this one still reads that."""

    def old(store: Bucket) -> list[str]:
        return [found.key for found in store.listed(_home(log.pk)) if _generation(found.key) < number - 1]

    _try_to_remove(old, log.pk)


def _try_to_remove(choose: Callable[[Bucket], Iterable[str]], log: int) -> None:
    try:
        # Somebody waits for this, and the sweep does not mind.
        store = bucket(patient=False)
        store.remove(choose(store))
    except (StoreUnavailable, ObjectMissing) as away:
        logger.warning("Objects of event log %s are left to the sweep: %s", log, away)


def sweep(before: datetime) -> int:
    """Remove objects that no row names and that are older than ``before``; return how many.

    They come from deleted logs, superseded generations, and workers that died between sending and naming. Raises
    ``StoreUnavailable``.
    """
    rows = {row[0]: row[1:] for row in EventLog.objects.values_list("pk", "generation", "lease_token", "tables")}
    store = bucket()
    gone = [found.key for found in store.listed(f"{mark()}/logs") if found.at < before and not _known(found.key, rows)]
    store.remove(gone)
    return len(gone)


def _known(key: str, rows: Mapping[int, tuple[int, str, Mapping[str, Named]]]) -> bool:
    row = rows.get(_log(key))
    if row is None:
        return False
    generation, lease, tables = row
    named = {told["key"].rpartition("/")[0] for told in tables.values()}
    folder = key.rpartition("/")[0]
    at_work = bool(lease) and folder.endswith(f"-{lease}")
    return folder in named or at_work or _generation(key) == generation - 1


def mark() -> str:
    """Return what tells this installation's objects from another's: the beginning of its ledger's first hash."""
    first = Entry.objects.order_by("n").values_list("hash", flat=True).first()
    if first is None:
        with transaction.atomic():
            first = record("event_log.store_opened", actor="system:import").hash
    return first[:16]


def _home(log: int) -> str:
    return f"{mark()}/logs/{log}"


def _log(key: str) -> int:
    """Return the number of the log that a key belongs to; 0 for a key of another shape."""
    parts = key.split("/")
    return int(parts[2]) if len(parts) == 5 and parts[2].isdecimal() else 0


def _generation(key: str) -> int:
    """Return the generation in a key; of another shape, one that never was."""
    number = key.split("/")[-2].partition("-")[0][1:]
    return int(number) if number.isdecimal() else -1
