"""Keeps answers, so that a repeat is quick: one small file for each question and filter, beside the tables.

They lie in the folder of the log's generation. A new generation has a folder of its own, so it never shows an old
answer, and whoever removes a generation removes what was said of it.
"""

import hashlib
import json
import logging
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from django.conf import settings
from pydantic import TypeAdapter, ValidationError

from insights import storage
from insights.engines import TableGone
from insights.mining.asking import require_ready
from insights.mining.filters import Filter
from insights.models import EventLog

Kept = TypeVar("Kept")
# Raised when a question's answer changes its meaning, so that no answer of an older release is shown.
EDITION = 1
MOST_FILES = 400
MOST_BYTES = 64 * 1024 * 1024
_LARGEST = 8 * 1024 * 1024
logger = logging.getLogger(__name__)


def kept(question: Callable[..., Kept], log: EventLog, *told: Any, **also: Any) -> Kept:
    """Return ``question(log, *told, **also)``, from the last time that it was asked or by asking now.

    ``kept(process_map, log, filter, activities=9)`` reads as the call that it stands for. What the answer depends on
    must be in the arguments: filters, numbers, texts, references.
    """
    require_ready(log)
    form: type[Kept] = get_type_hints(question)["return"]
    adapter: TypeAdapter[Kept] = TypeAdapter(form)
    path = _folder(log) / f"{_digest(log, question, told, also)}.json"
    with suppress(OSError, ValidationError):
        found = adapter.validate_json(path.read_bytes())
        path.touch()
        return found
    try:
        answer = question(log, *told, **also)
    except TableGone:
        asked = log.generation
        log.refresh_from_db()
        if log.generation == asked:
            raise
        # A new import came between looking up the log and reading its files.
        return kept(question, log, *told, **also)
    body = adapter.dump_json(answer)
    if len(body) <= _LARGEST:
        _write(path, body)
    return answer


def _folder(log: EventLog) -> Path:
    return storage.generation(log) / "answers"


def _digest(log: EventLog, question: Callable[..., Any], told: tuple[Any, ...], also: dict[str, Any]) -> str:
    name = f"{question.__module__}.{question.__qualname__}"
    parts = [EDITION, log.pk, log.generation, settings.INSIGHTS_ENGINE, log.attributes, log.mapping, name, told, also]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Filter):
        return value.query()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"an answer cannot be kept by {value!r}")


def _write(path: Path, body: bytes) -> None:
    """Put the file there whole or not at all; an answer that cannot be kept is still an answer."""
    try:
        if not path.parent.parent.is_dir():
            return  # the generation has been removed meanwhile
        path.parent.mkdir(exist_ok=True)
        draft = path.with_name(f"{path.stem}.{secrets.token_hex(4)}.draft")
        draft.write_bytes(body)
        os.replace(draft, path)  # noqa: PTH105 - the one call that is atomic on every system
        _trim(path.parent)
    except OSError as error:
        logger.warning("An answer could not be kept: %s", error)


def _trim(folder: Path) -> None:
    """Remove the answers that were not asked for longest, down to the bounds."""
    seen = []
    for path in folder.iterdir():
        with suppress(OSError):
            stat = path.stat()
            seen.append((stat.st_mtime_ns, stat.st_size, path))
    seen.sort(reverse=True)
    total = 0
    for index, (_, size, path) in enumerate(seen):
        total += size
        if index >= MOST_FILES or total > MOST_BYTES:
            path.unlink(missing_ok=True)
