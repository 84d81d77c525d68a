"""Long texts that settings only name: kept once, by their digest, so that calls, history and ledger stay small."""

import hashlib
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from audit.clock import db_now
from audit.errors import Invalid
from connectors.base import Connector
from connectors.models import Connection, KeptText

FORGET_BATCH = 100  # texts in one statement: each may be megabytes long
_REFERENCE = re.compile(r"sha256:[0-9a-f]{64}\Z")
_LOST = "The text {}… is not kept here: enter it again."


class NotKept(Exception):
    """A reference names a text that was never kept here."""


def is_reference(value: str) -> bool:
    """Tell whether a value only names a text."""
    return bool(_REFERENCE.match(value))


def reference_to(text: str) -> str:
    """Return the name under which a text is kept; a name is returned as it is."""
    return text if is_reference(text) else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def text_of(value: str) -> str:
    """Return the text that a reference names; a text is returned as it is. Raises ``NotKept``."""
    return _kept(value) if is_reference(value) else value


@lru_cache(maxsize=1024)
def is_kept(reference: str) -> bool:
    """Tell that a text is kept here. Raises ``NotKept`` where it is not."""
    if not KeptText.objects.filter(digest=_digest(reference)).exists():
        raise NotKept(_LOST.format(reference[:19]))
    return True


@lru_cache(maxsize=4)
def _kept(reference: str) -> str:
    # What a digest names never changes, so it is read once in each process.
    found = KeptText.objects.filter(digest=_digest(reference)).values_list("text", flat=True).first()
    if found is None:
        raise NotKept(_LOST.format(reference[:19]))
    return str(found)


def fields_of(kind: type[Connector]) -> list[str]:
    """Return the settings of a kind whose texts are kept apart."""
    extras = {name: info.json_schema_extra for name, info in kind.config.model_fields.items()}
    return [name for name, extra in extras.items() if isinstance(extra, dict) and extra.get("kept")]


def keep(kind: type[Connector], config: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a configuration's long texts and return it with their names in their place; the caller's transaction.

    What is kept already counts as in use from now on. Raises ``Invalid`` where a name's text was forgotten.
    """
    found = named(kind, config)
    for name in fields_of(kind):
        value = config.get(name)
        if isinstance(value, str) and value:
            _keep(name, value)
    return found


def park(text: str) -> str:
    """Keep a text that no connection names yet, and return its name; unused it is forgotten like any other."""
    _keep("text", text)
    return reference_to(text)


def _keep(name: str, value: str) -> None:
    digest, now = _digest(reference_to(value)), db_now()
    if not is_reference(value):
        row = KeptText(digest=digest, text=value, kept_at=now)
        KeptText.objects.bulk_create([row], update_conflicts=True, unique_fields=["digest"], update_fields=["kept_at"])
    elif not KeptText.objects.filter(digest=digest).update(kept_at=now):
        is_kept.cache_clear()
        raise Invalid(_LOST.format(value[:19]), {name: [_LOST.format(value[:19])]})


def named(kind: type[Connector], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with the names of its long texts in their place; nothing is kept."""
    long = {name: config.get(name) for name in fields_of(kind)}
    return {**config, **{name: reference_to(text) for name, text in long.items() if isinstance(text, str) and text}}


def forget_unused() -> int:
    """Forget the texts that no connection has named for ``TEXT_KEEP_DAYS`` (0: none ever); return how many.

    What stands in the history of a connection is its digest: the text behind it is gone afterwards.
    """
    if settings.TEXT_KEEP_DAYS <= 0:
        return 0
    now = db_now()
    # A day is exact enough, and spares writing megabytes anew at every turn.
    KeptText.objects.filter(digest__in=_in_use(), kept_at__lt=now - timedelta(days=1)).update(kept_at=now)
    old = KeptText.objects.filter(kept_at__lt=now - timedelta(days=settings.TEXT_KEEP_DAYS))
    forgotten = 0
    while digests := list(old.values_list("digest", flat=True)[:FORGET_BATCH]):
        forgotten += _forget(digests, old)
    return forgotten


def _forget(digests: list[str], old: QuerySet[KeptText]) -> int:
    # Asked for their age once more: whoever saves a connection with one of them meanwhile has made it young.
    gone, _ = old.filter(digest__in=digests).delete()
    return gone


def _in_use() -> set[str]:
    configs = Connection.objects.values_list("config", flat=True)
    values = (value for config in configs for value in config.values() if isinstance(value, str))
    return {_digest(value) for value in values if is_reference(value)}


def _digest(reference: str) -> str:
    return reference.removeprefix("sha256:")
