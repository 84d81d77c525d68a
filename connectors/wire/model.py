"""The line to a language model: the address rules of every other call, for the client of the openai package.

That package brings its own HTTP library, httpx2; this is the one place that touches it, as ``transport`` is for httpx.
"""

import os
import ssl
import threading
import time
from collections.abc import Iterator
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore2
import httpx2
from django.conf import settings

from connectors.base import Blocked
from connectors.transport import CONNECT_SECONDS
from connectors.wire import addresses, lines, modelhosts


class TooLong(httpx2.ReadError):
    """The model's answer is longer than ``OUTBOUND_MAX_BYTES``."""


class Packed(httpx2.ReadError):
    """The answer is compressed, which was not asked for: unpacked it might be of any size."""


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, until: float) -> None:
        self._stream = stream
        self._until = until

    def __iter__(self) -> Iterator[bytes]:
        room = settings.OUTBOUND_MAX_BYTES
        for chunk in self._stream:
            room -= len(chunk)
            if room < 0:
                raise TooLong("the answer is too long")
            if time.monotonic() > self._until:
                # Each piece came in time; all of them together may not take for ever.
                raise httpx2.ReadTimeout("the answer did not end in time")
            yield chunk

    def close(self) -> None:
        self._stream.close()


@cache
def _believed() -> ssl.SSLContext:
    """Return which certificates are believed: read once, as ``transport`` does."""
    return lines.private(httpx2.create_ssl_context(trust_env=False))


class _Lines(httpx2.HTTPTransport):
    """A pool of lines, each of which ends when its exchange has to."""

    def __init__(self) -> None:
        super().__init__(verify=_believed(), trust_env=False)
        backend: Any = lines.Backend(httpcore2)
        # httpx2 takes no backend, so its pool is made here.
        self._pool = httpcore2.ConnectionPool(
            ssl_context=_believed(), max_connections=50, max_keepalive_connections=10, keepalive_expiry=5.0,
            network_backend=backend,
        )  # fmt: skip


class _Checked(httpx2.BaseTransport):
    """Sends each request to an address that was checked."""

    def __init__(self) -> None:
        self._pools: dict[str, httpx2.BaseTransport] = {}
        self._lock = threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        seconds = request.extensions.get("timeout", {}).get("read") or settings.OUTBOUND_TIMEOUT_SECONDS
        until = time.monotonic() + seconds + CONNECT_SECONDS
        port = url.port or (443 if url.scheme == "https" else 80)
        host = url.raw_host.decode("ascii")  # as it goes to the name server
        if said := modelhosts.refusal(host, port):
            raise Blocked(said, code="class")
        target = addresses.checked(url.scheme, host, port)
        request.extensions = {**request.extensions, "sni_hostname": target.host}
        with self._lock:
            if target.host not in self._pools:
                self._pools[target.host] = _Lines()
            pool = self._pools[target.host]
        lines.begin(until)
        response = self._sent(pool, request, target.addresses)
        line = response.extensions.get("network_stream")
        if isinstance(line, lines.Line) and not line.heard:
            # Left over from the answer before it, on the same line: whose it is nobody knows.
            response.close()
            raise httpx2.RemoteProtocolError("it answered before it was asked")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            response.close()
            raise Packed("the answer is compressed, which was not asked for")
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = _Bounded(response.stream, until)
        return response

    @staticmethod
    def _sent(pool: httpx2.BaseTransport, request: httpx2.Request, checked: tuple[str, ...]) -> httpx2.Response:
        url = request.url
        for address in checked[:-1]:
            request.url = url.copy_with(host=address)
            try:
                return pool.handle_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                # Nothing was sent: the next of the host's addresses may answer.
                continue
        request.url = url.copy_with(host=checked[-1])
        return pool.handle_request(request)

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()


def wire() -> httpx2.BaseTransport:
    """Return what carries requests; a test puts ``httpx2.MockTransport`` in its place."""
    return _Checked()


_clients: dict[tuple[int, str], httpx2.Client] = {}
_lock = threading.Lock()


def client(name: str, timeout_seconds: float) -> httpx2.Client:
    """Return this process's client for one connection. Compression is not asked for, so a short answer stays short."""
    key = (os.getpid(), f"{name}|{timeout_seconds}")
    with _lock:
        if key not in _clients:
            _clients[key] = httpx2.Client(
                transport=wire(),
                trust_env=False,
                follow_redirects=False,
                cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
                timeout=httpx2.Timeout(timeout_seconds, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
                headers={"Accept-Encoding": "identity"},
            )
        return _clients[key]


def close_all() -> None:
    """Close every line; the next call opens new ones."""
    with _lock:
        for one in _clients.values():
            one.close()
        _clients.clear()


def nothing_sent(error: BaseException | None) -> bool:
    """Tell whether a connection error of the client came before anything was sent."""
    return isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
