"""Copies of objects on this machine: named by what they hold, whole or not there, the least used go first.

Several processes share the folder without speaking to each other: a copy takes its name in one step, equal names hold
equal bytes, and a copy that was in use a moment ago stays.
"""

import hashlib
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from weakref import WeakValueDictionary

from django.conf import settings

from insights.objectstore.faults import StoreDamaged, StoreUnavailable

logger = logging.getLogger(__name__)
# A question that is being answered reads its files by name: so long they stay, whatever the bound says.
IN_USE_SECONDS = 120
_READ = 1 << 20
_MOST_KNOWN = 4096


@dataclass(frozen=True)
class Copy:
    """What a copy must be: so many bytes with this SHA-256, of one log."""

    log: int
    size: int
    sha256: str

    @property
    def path(self) -> Path:
        """Return where it lies on this machine, if it does; each log has a folder, which is all a question may read."""
        return root() / str(self.log) / f"{self.sha256}.parquet"


def root() -> Path:
    """Return the folder of all copies."""
    return Path(settings.INSIGHTS_DIR) / "cache"


def held(copy: Copy, fetch: Callable[[], Iterable[bytes]]) -> Path:
    """Return the path of the copy; what is missing or not sound any more is fetched.

    Raises ``StoreDamaged`` where what was fetched is something else, ``StoreUnavailable`` where the disk is full, and
    whatever ``fetch`` raises.
    """
    with _turn(copy.path):
        if not _sound(copy):
            _take(copy, fetch)
        _used(copy.path)
    return copy.path


def adopt(copy: Copy, path: Path) -> None:
    """Make a file that this process has just written, and whose bytes it knows, a copy."""
    copy.path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, copy.path)  # noqa: PTH105 - the one call that is atomic on every system
    _remember(copy.path)
    _used(copy.path)
    make_room(0)


def forget(log: int) -> None:
    """Remove every copy of a log from this machine."""
    shutil.rmtree(root() / str(log), ignore_errors=True)


def digest_of(chunks: Iterable[bytes]) -> tuple[int, str]:
    """Return how many bytes there are, and their SHA-256."""
    size, digest = 0, hashlib.sha256()
    for chunk in chunks:
        size += len(chunk)
        digest.update(chunk)
    return size, digest.hexdigest()


def chunks_of(path: Path) -> Iterator[bytes]:
    """Yield a file in pieces."""
    with path.open("rb") as file:
        while chunk := file.read(_READ):
            yield chunk


def make_room(wanted: int) -> None:
    """Remove the copies that were not used for longest until ``wanted`` more bytes fit (``INSIGHTS_CACHE_MB``)."""
    room, now, seen = settings.INSIGHTS_CACHE_MB << 20, time.time_ns(), []
    for path in root().glob("*/*"):
        with suppress(OSError):
            stat = path.stat()
            seen.append((max(stat.st_atime_ns, stat.st_mtime_ns), stat.st_size, path))
    total = wanted + sum(size for _, size, _ in seen)
    for used, size, path in sorted(seen):
        if total <= room or now - used < IN_USE_SECONDS * 1_000_000_000:
            return
        with suppress(OSError):
            path.unlink()
            total -= size


def _take(copy: Copy, fetch: Callable[[], Iterable[bytes]]) -> None:
    draft = copy.path.with_name(f"{copy.sha256}.{secrets.token_hex(4)}.draft")
    try:
        draft.parent.mkdir(parents=True, exist_ok=True)
        make_room(copy.size)
        with draft.open("wb") as file:
            found = digest_of(_written(fetch(), file.write))
        if found != (copy.size, copy.sha256):
            logger.error("An object of event log %s is not what was put there", copy.log)
            raise StoreDamaged("What the object store holds of this log is not what was put there. Import it again.")
        os.replace(draft, copy.path)  # noqa: PTH105 - the one call that is atomic on every system
    except OSError as error:
        logger.warning("An object could not be copied to this machine: %s", error.strerror)
        raise StoreUnavailable(
            "The tables of this log cannot be copied to this machine: its disk refuses. Whoever runs Goldseam makes "
            "room in INSIGHTS_DIR, or lowers INSIGHTS_CACHE_MB.",
            "disk",
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    _remember(copy.path)


def _written(chunks: Iterable[bytes], write: Callable[[bytes], int]) -> Iterator[bytes]:
    for chunk in chunks:
        write(chunk)
        yield chunk


# --- What is believed of a copy ------------------------------------------------------------------
# A copy is read through once in each process before it is believed, and again whenever the file has changed.
_KNOWN: dict[Path, tuple[int, int, int]] = {}


def _sound(copy: Copy) -> bool:
    try:
        stamp = _stamp(copy.path)
        if _KNOWN.get(copy.path) == stamp:
            return True
        found = digest_of(chunks_of(copy.path))
    except FileNotFoundError:
        return False
    if found == (copy.size, copy.sha256):
        _remember(copy.path)
        return True
    logger.warning("A copy of event log %s on this machine was damaged; it is fetched again", copy.log)
    copy.path.unlink(missing_ok=True)
    return False


def _stamp(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _remember(path: Path) -> None:
    if len(_KNOWN) >= _MOST_KNOWN:
        _KNOWN.clear()
    with suppress(FileNotFoundError):
        _KNOWN[path] = _stamp(path)


def _used(path: Path) -> None:
    """Note the use by the time of access alone: the time of change belongs to what is believed."""
    with suppress(OSError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


class _Turn:
    """One thread of this process at a time for one copy."""

    def __init__(self) -> None:
        self.lock = Lock()


_TURNS: WeakValueDictionary[Path, _Turn] = WeakValueDictionary()
_TURNS_LOCK = Lock()


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    with _TURNS_LOCK:
        mine = _TURNS.setdefault(path, _Turn())
    with mine.lock:
        yield
