"""Clients of servers on this machine, which speak plain HTTP."""

import ssl
from typing import Any

import httpx

# Believes nobody, for nobody shows a certificate here: loading those of the world costs more than most tests.
_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def client(url: str, **options: Any) -> httpx.Client:
    """A client of one server, which reads no setting of this machine."""
    return httpx.Client(base_url=url, verify=_NOBODY, trust_env=False, **options)
