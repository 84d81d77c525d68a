"""What was given, unpacked within limits: a small file must not become a disk full."""

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from django.conf import settings

from insights.eventlog.shapes import ImportFailed

_CHUNK = 1 << 20
# Text shrinks to a hundredth at best; what grows more than this is made to fill a disk.
_RATIO = 300
_FREE = 64 << 20
# Times the largest upload: what may stand on the disk unpacked.
_GROWTH = 10


def packing_of(path: Path) -> str:
    """Return ``gzip``, ``zip`` or nothing, by the first bytes and never by the name."""
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    return "zip" if head in {b"PK\x03\x04", b"PK\x05\x06"} else ""


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open what was given, unpacked while it is read. Raises ``ImportFailed`` for a broken or strange archive."""
    packing = packing_of(path)
    try:
        if packing == "gzip":
            with gzip.open(path, "rb") as file:
                yield cast(IO[bytes], file)
        elif packing == "zip":
            with zipfile.ZipFile(path) as archive, archive.open(_only_member(archive)) as member:
                yield member
        else:
            with path.open("rb") as plain:
                yield plain
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ImportFailed("The gzip file is cut off or damaged; send it again.") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ImportFailed("The zip file is damaged, locked or packed in a way that is not read here.") from error


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the one file of the archive; its name is never used as a path."""
    files = [each for each in archive.infolist() if not each.is_dir() and not each.filename.startswith("__MACOSX/")]
    if len(files) != 1:
        raise ImportFailed(f"The zip file holds {len(files)} files; send one log at a time.")
    return files[0]


def unpack(path: Path, into: Path, told: Callable[[int], None]) -> Path:
    """Return a file that is not packed: ``path`` itself, or what came out of it, in the folder ``into``.

    Raises ``ImportFailed`` for what is cut off, damaged, or grows beyond every honest log.
    """
    if not packing_of(path):
        return path
    size, target, written = path.stat().st_size, into / "unpacked", 0
    limit = settings.INSIGHTS_MAX_UPLOAD_MB * _GROWTH << 20
    with opened(path) as source, target.open("wb") as out:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > limit or (written > _FREE and written > size * _RATIO):
                target.unlink()
                raise ImportFailed("The file unpacks to more than an event log can be; it was not read.")
            out.write(chunk)
            told(min(size, written * size // max(written, limit)))
    return target


def head_of(path: Path, size: int) -> bytes:
    """Return the first bytes of what was given, unpacked. Raises ``ImportFailed``."""
    with opened(path) as source:
        head: Any = source.read(size)
    return bytes(head)
