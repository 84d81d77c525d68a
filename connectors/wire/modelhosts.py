"""Whether models may be asked, and where (``AI_HOSTS``): with no host named, no prompt leaves, whoever configures what.

Asked at the door before anything else, and once more on the line itself.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

ANY = "*"
_PORTS = {"https": 443, "http": 80}


def hosts() -> tuple[str, ...]:
    """Return the hosts that models may be asked at, as they are named; ``*``: any."""
    return tuple(host.strip().lower() for host in settings.AI_HOSTS if host.strip())


def refusal(host: str, port: int) -> str:
    """Say why a model may not be asked at a host; blank: it may."""
    named = hosts()
    if ANY in named or {host.lower(), f"{host.lower()}:{port}"} & set(named):
        return ""
    if not named:
        return "No external AI: AI_HOSTS names no host, so no model is asked. The built-in analyst decides."
    return f"{host} is not among the hosts that models may be asked at (AI_HOSTS): {', '.join(named)}."


def objection(slug: str, config: Mapping[str, Any]) -> str:
    """Say why the model of a connection may not be asked, going by every address in its settings; blank: it may."""
    if ANY in hosts():
        return ""
    addresses = [value for value in config.values() if isinstance(value, str) and "://" in value]
    # A model whose address nobody can see is nowhere that was named.
    for host, port in [_place(address) for address in addresses] or [("", 0)]:
        if said := refusal(host, port):
            return f"{slug}: {said}"
    return ""


def _place(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address)
        return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return "", 0


def described() -> str:
    """Say what holds for models here; blank: they may be asked anywhere."""
    named = hosts()
    if ANY in named:
        return ""
    return f"Models are asked at {', '.join(named)} only." if named else "No external AI: no model is asked."
