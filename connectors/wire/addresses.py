"""Which addresses may be called: what is public, or what stands in ``OUTBOUND_ALLOW``; decided once per connect."""

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

from connectors.base import Blocked, Unreachable

# Only the plain spelling of a host: 127.1, 0x7f000001, 2130706433 and full-width digits all reach loopback.
_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
# Addresses that wrap another one: what is inside decides where a packet ends up.
_WRAPPED = tuple(ipaddress.ip_network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Target:
    """Where a request goes: the host as it is named, the port, and the addresses that were checked, best first."""

    host: str
    port: int
    addresses: tuple[str, ...]


def checked(scheme: str, host: str, port: int) -> Target:
    """Resolve ``host`` and return the addresses to connect to. Raises ``Blocked``; ``Unreachable`` where DNS has none.

    A public address is open over https. Anything else (private, loopback, shared, link-local, and plain
    http) only where ``host:port`` stands in ``OUTBOUND_ALLOW`` exactly as the connection spells it.
    """
    name = host.strip("[]").lower().removesuffix(".")
    named = f"{host.lower()}:{port}" in _allowed() or f"{name}:{port}" in _allowed()
    if scheme not in ("http", "https"):
        raise Blocked(f"{scheme} is not a way to call another system; use https.", code="address")
    if scheme == "http" and not named:
        raise Blocked(
            f"{name}:{port} is called without TLS and is not in OUTBOUND_ALLOW: use https, or add it there.",
            code="address",
        )
    open_ones = [str(address) for address in _resolved(name, port) if named or is_public(address)]
    if open_ones:
        return Target(name, port, tuple(dict.fromkeys(open_ones)))
    raise Blocked(f"{name}:{port} is not a public address; add it to OUTBOUND_ALLOW if it is meant.", code="address")


def checked_url(url: str) -> Target:
    """Check the address that ``url`` leads to; see ``checked``."""
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise Blocked("An address must not hold a user name or password.", code="address")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise Blocked(f"{parts.netloc} has no usable port.", code="address") from None
    return checked(parts.scheme, parts.hostname or "", port)


def is_public(address: Address) -> bool:
    """Tell whether ``address`` belongs to the open internet and wraps no other address."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in net for net in _WRAPPED):
            return False
    # Site-local addresses are withdrawn, yet many networks still route them inside, and Python calls them global.
    local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not (address.is_multicast or address.is_reserved or local)


def spelled_plainly(host: str) -> bool:
    """Tell whether ``host`` is a DNS name or an address in the one spelling that every library reads alike."""
    return _literal(host) is not None or bool(_NAME.fullmatch(host))


def _allowed() -> frozenset[str]:
    return frozenset(entry.strip().lower() for entry in settings.OUTBOUND_ALLOW)


def _literal(host: str) -> Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return address if str(address) == host or address.version == 6 else None


def _resolved(host: str, port: int) -> list[Address]:
    if (address := _literal(host)) is not None:
        return [address]
    if not spelled_plainly(host):
        raise Blocked(f"{host[:80]!r} is not a host name or address in its plain spelling.", code="address")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable(f"The name {host} cannot be resolved.", code="dns") from None
    # A scope (fe80::1%eth0) is cut off: such an address is never public, and never named with one.
    return [ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found]
