"""Addresses that are secrets: whoever knows one may post. Only the host of one is ever named."""

import re
from urllib.parse import parse_qsl, urlsplit

from connectors.base import Blocked
from connectors.wire import addresses

# Whatever else is in an address would have to be told in an error, and the rest of it with that.
_PLAIN = re.compile(r"https?://[\x21-\x7e]{1,2000}")
# Shorter pieces are words such as services, triggers or 1.0.
_TELLING = 16


def held_against(url: str, host: str, *, name: str) -> str:
    """Return a secret address that leads to ``host`` (with a port where it is not the usual one). Raises ``Blocked``.

    Nothing of the address stands in the error but what the connection's settings say themselves.
    """
    try:
        parts = urlsplit(url.strip())
        # Workflows write the usual port out; whoever names the host need not.
        named = parts.netloc.lower().removesuffix(":443") == host.strip().lower().removesuffix(":443")
        fits = bool(host.strip()) and named and bool(_PLAIN.fullmatch(url.strip()))
    except ValueError:
        fits = False
    if not fits:
        raise Blocked(
            f"The secret {name} is no address at {host or 'a host that is named'}. Look whether it was copied whole,"
            " and name its host in the settings.",
            code="address",
        )
    return url.strip()


def reachable(url: str) -> None:
    """Look whether the host of a secret address may be called and has an address. Raises ``ConnectorError``."""
    addresses.checked_url(url)


def parts_of(url: str) -> list[str]:
    """Return the pieces of a secret address that let somebody in, so that no text may hold them either."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return []
    values = [value for _, value in parse_qsl(parts.query)]
    pieces = parts.path.split("/")
    return [text for text in (parts.path, parts.query, *pieces, *values) if len(text) >= _TELLING]
