"""Long texts that settings only name: kept once, by their digest, so that calls, history and ledger stay small."""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from audit.clock import db_now
from connectors.base import Connector
from connectors.models import KeptText

_REFERENCE = re.compile(r"sha256:[0-9a-f]{64}\Z")


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
    if not KeptText.objects.filter(digest=reference.removeprefix("sha256:")).exists():
        raise NotKept(f"The text {reference[:19]}… is not kept here: enter it again.")
    return True


@lru_cache(maxsize=4)
def _kept(reference: str) -> str:
    # What a digest names never changes, so it is read once in each process.
    found = KeptText.objects.filter(digest=reference.removeprefix("sha256:")).values_list("text", flat=True).first()
    if found is None:
        raise NotKept(f"The text {reference[:19]}… is not kept here: enter it again.")
    return str(found)


def fields_of(kind: type[Connector]) -> list[str]:
    """Return the settings of a kind whose texts are kept apart."""
    extras = {name: info.json_schema_extra for name, info in kind.config.model_fields.items()}
    return [name for name, extra in extras.items() if isinstance(extra, dict) and extra.get("kept")]


def keep(kind: type[Connector], config: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a configuration's long texts and return it with their names in their place; the caller's transaction."""
    found = named(kind, config)
    for name in fields_of(kind):
        value = config.get(name)
        if isinstance(value, str) and value and not is_reference(value):
            row = KeptText(digest=found[name].removeprefix("sha256:"), text=value, kept_at=db_now())
            KeptText.objects.bulk_create([row], ignore_conflicts=True)
    return found


def named(kind: type[Connector], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with the names of its long texts in their place; nothing is kept."""
    long = {name: config.get(name) for name in fields_of(kind)}
    return {**config, **{name: reference_to(text) for name, text in long.items() if isinstance(text, str) and text}}
