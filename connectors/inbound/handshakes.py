"""May this sender deliver here? The question that CloudEvents senders put by OPTIONS before the first delivery."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from connectors import registry
from connectors.models import Connection

_ORIGIN = "WebHook-Request-Origin"
_LONGEST = 255
_NUMBER = re.compile(r"[1-9]\d{0,8}\Z")
ANY = "*"


def consent(connection: Connection, headers: Mapping[str, str]) -> dict[str, str] | None:
    """Return the headers that answer the question; none of them where it is no, ``None`` where none was put.

    Consent is the header with the origin, never the status. Only origins that were named for the connection
    (``allowed_origins``) are let in, at the rate that was named (``rate``, deliveries a minute) or a lower one that is
    asked for. The callback address is not called: whoever asks would choose where we go.
    """
    asked = headers.get(_ORIGIN)
    if asked is None:
        return None
    settings = _settings(connection)
    allowed = _allowed(asked.strip(), _origins(getattr(settings, "allowed_origins", None)))
    if not allowed:
        return {}
    wanted = headers.get("WebHook-Request-Rate")
    if wanted is None:
        return {"WebHook-Allowed-Origin": allowed}
    rate = _rate(wanted.strip(), getattr(settings, "rate", None))
    return {"WebHook-Allowed-Origin": allowed, **({"WebHook-Allowed-Rate": rate} if rate else {})}


def _settings(connection: Connection) -> Any:
    kind = registry.KINDS.get(connection.kind)
    try:
        return kind.config.model_validate(connection.config) if kind else None
    except ValidationError:
        return None


def _origins(named: Any) -> frozenset[str]:
    """Read a list of names, or a text with names separated by commas or spaces."""
    parts: Iterable[Any] = re.split(r"[,\s]+", named) if isinstance(named, str) else named or ()
    return frozenset(part.strip().casefold() for part in parts if isinstance(part, str) and part.strip())


def _allowed(asked: str, named: frozenset[str]) -> str:
    if ANY in named:
        return ANY
    return asked if 0 < len(asked) <= _LONGEST and asked.casefold() in named else ""


def _rate(wanted: str, named: Any) -> str:
    """Return how many a minute are let in: never more than was named, and no more than was asked for."""
    most = named if isinstance(named, int) and not isinstance(named, bool) and named > 0 else None
    asked = int(wanted) if _NUMBER.match(wanted) else None
    found = min(rate for rate in (most, asked) if rate is not None) if most or asked else None
    return str(found) if found else ""
