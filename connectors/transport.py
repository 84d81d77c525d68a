"""The one way to the network: checked addresses, no redirects, time and size limits, exact failures.

No other module imports httpx. The address is resolved once, checked, and connected to; the host's name
stays in the Host header and in TLS, so a name that changes its answer between check and use gains nothing.
"""

import logging
import os
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore
import httpx
from django.conf import settings

from connectors.base import Blocked, Trace, Unanswered, Unreachable
from connectors.wire import addresses, lines
from connectors.wire.payloads import BadPayload, loads_answer

# At INFO both write every address they call, with keys of business records in it.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

CONNECT_SECONDS = 5.0
USER_AGENT = "Goldseam/1"
# Carries the effect key, so that a request that changes something is known by it.
EFFECT_HEADER = "X-Effect-Key"


class NotJson(Exception):
    """The answer is something else than JSON; the text says what."""


@dataclass(frozen=True)
class Reply:
    """What a system answered: status, headers by lower-case name, and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def is_page(self) -> bool:
        """Tell whether this is a web page: a proxy or login in the way, not the system."""
        kind = self.headers.get("content-type", "").lower()
        return "html" in kind or self.body[:200].lstrip().lower().startswith((b"<!doctype html", b"<html"))

    def json(self) -> Any:
        """Read the body as JSON. Raises ``NotJson``."""
        if self.is_page:
            raise NotJson("answered with a web page instead of data")
        try:
            return loads_answer(self.body)
        except BadPayload as bad:
            raise NotJson(f"answered with something that is not usable JSON ({bad})") from None


@cache
def _believed() -> ssl.SSLContext:
    """Return which certificates are believed, for every host the same: reading them takes longer than most calls."""
    return lines.private(httpx.create_ssl_context(trust_env=False))


class _Lines(httpx.HTTPTransport):
    """A pool of lines, each of which ends when its exchange has to."""

    def __init__(self) -> None:
        super().__init__(verify=_believed(), trust_env=False)
        backend: Any = lines.Backend(httpcore)
        # httpx takes no backend, so its pool is made here.
        self._pool = httpcore.ConnectionPool(
            ssl_context=_believed(), max_connections=50, max_keepalive_connections=10, keepalive_expiry=5.0,
            network_backend=backend,
        )  # fmt: skip


class _Checked(httpx.BaseTransport):
    """Sends each request to an address that was checked; one pool per host, so that TLS names never mix."""

    def __init__(self) -> None:
        self._pools: dict[str, httpx.BaseTransport] = {}
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        # As it goes to the name server: ``host`` would be written in the letters that an xn-- name stands for.
        host = url.raw_host.decode("ascii")
        target = addresses.checked(url.scheme, host, url.port or (443 if url.scheme == "https" else 80))
        request.extensions = {**request.extensions, "sni_hostname": target.host}
        pool = self._pool(target.host)
        for address in target.addresses[:-1]:
            request.url = url.copy_with(host=address)
            try:
                return pool.handle_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                # Nothing was sent: the next of the host's addresses may answer.
                continue
        request.url = url.copy_with(host=target.addresses[-1])
        return pool.handle_request(request)

    def _pool(self, host: str) -> httpx.BaseTransport:
        with self._lock:
            if host not in self._pools:
                self._pools[host] = _Lines()
            return self._pools[host]

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()


def wire() -> httpx.BaseTransport:
    """Return what carries requests; a test puts ``httpx.MockTransport`` in its place."""
    return _Checked()


_clients: dict[tuple[int, str], httpx.Client] = {}
_clients_lock = threading.Lock()


def _client(name: str) -> httpx.Client:
    """Return this process's client for one connection; a forked worker makes its own."""
    key = (os.getpid(), name)
    with _clients_lock:
        if key not in _clients:
            _clients[key] = httpx.Client(
                transport=wire(),
                trust_env=False,
                follow_redirects=False,
                cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
                timeout=httpx.Timeout(settings.OUTBOUND_TIMEOUT_SECONDS, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"},
            )
        return _clients[key]


def close_all() -> None:
    """Close every pooled line; the next call opens new ones."""
    with _clients_lock:
        for client in _clients.values():
            client.close()
        _clients.clear()


class Http:
    """One use's line to a system. Counts what it costs in ``trace``."""

    def __init__(self, name: str, trace: Trace | None = None) -> None:
        self.name = name
        self.trace = trace or Trace()
        # Asked before the first request that carries an effect, where others of the same use went before it: a token or
        # a look at the record takes time, in which a stop may be thrown. Raises where it may not go out any more.
        self.guard: Callable[[], None] | None = None

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Reply:
        """Send one request and return the answer, whatever its status. ``raw`` is a body in a form of its own.

        Raises ``Blocked`` or ``Unreachable`` where nothing was sent, ``Unanswered`` where something was
        sent and no whole answer came back.
        """
        guard = self.guard if EFFECT_HEADER in (headers or {}) else None
        if guard is not None:
            if self.trace.requests:
                guard()
            # What has begun is carried through.
            self.guard = None
        self.trace.requests += 1
        self.trace.status = None
        try:
            content = {"headers": headers, "params": params, "json": json, "data": form, "content": raw}
            reply = self._exchange(method, url, content)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unreachable(f"{_host(url)} cannot be reached: {_said(error)}.", code="connect") from None
        except httpx.LocalProtocolError:
            # The error quotes the header, in a spelling that no redactor knows.
            raise _unwritable(url) from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise Blocked(f"{_host(url)} cannot be called: {_said(error)}.", code="address") from None
        except httpx.TimeoutException:
            raise Unanswered(f"{_host(url)} did not answer in time.", code="timeout") from None
        except httpx.HTTPError as error:
            raise Unanswered(f"{_host(url)} broke off: {_said(error)}.", code="reset") from None
        if reply.status == 401:
            # Nothing was carried out; a fresh token takes its time again.
            self.guard = guard
        return reply

    def _exchange(self, method: str, url: str, content: dict[str, Any]) -> Reply:
        address = httpx.URL(url)
        host = _host(address)
        if address.userinfo:
            raise Blocked(f"The address of {host} must not hold a user name or password.", code="address")
        limit = time.monotonic() + settings.OUTBOUND_TIMEOUT_SECONDS + CONNECT_SECONDS
        client = _client(self.name)
        try:
            request = client.build_request(method, address, **content)
        except UnicodeError:
            # The error itself holds the whole header, a token perhaps: it is neither quoted nor chained.
            raise _unwritable(url) from None
        except (ValueError, TypeError):
            raise Blocked(f"A request to {host} holds what JSON cannot say.", code="arguments") from None
        lines.begin(limit)
        with closing(client.send(request, stream=True)) as response:
            line = response.extensions.get("network_stream")
            if isinstance(line, lines.Line) and not line.heard:
                # Left over from the answer before it, on the same line: whose it is nobody knows.
                raise Unanswered(f"{host} answered before it was asked.", code="reset")
            self.trace.status = response.status_code
            headers = {name.lower(): value for name, value in response.headers.items()}
            self.trace.request_id = _request_id(headers) or self.trace.request_id
            body = _bounded(response.iter_raw(), headers.get("content-encoding", ""), limit, host)
            return Reply(response.status_code, headers, body)


def _bounded(chunks: Iterable[bytes], encoding: str, limit: float, host: str) -> bytes:
    """Collect a body under the size and time limits; a compressed one must keep them packed and unpacked."""
    packed = room = int(settings.OUTBOUND_MAX_BYTES)
    unpack = zlib.decompressobj(47) if encoding.lower() in ("gzip", "x-gzip", "deflate") else None
    if unpack is None and encoding.lower() not in ("", "identity"):
        raise Unanswered(
            f"{host} answered in the encoding {encoding[:20]!r}, which was not asked for.", code="encoding"
        )
    parts: list[bytes] = []
    for chunk in chunks:
        if time.monotonic() > limit:
            raise Unanswered(f"{host} did not finish its answer in time.", code="timeout")
        try:
            part = unpack.decompress(chunk, room + 1) if unpack else chunk
        except zlib.error:
            raise Unanswered(f"{host} answered with broken compression.", code="encoding") from None
        if unpack and unpack.unused_data:
            raise Unanswered(f"{host} sends more behind the end of its compressed answer.", code="encoding")
        packed, room = packed - len(chunk), room - len(part)
        if min(packed, room) < 0:
            raise Unanswered(f"{host} answered with more than {settings.OUTBOUND_MAX_BYTES} bytes.", code="size")
        parts.append(part)
    if unpack and not unpack.eof and parts:
        raise Unanswered(f"{host} broke its compressed answer off.", code="encoding")
    return b"".join(parts)


def _request_id(headers: Mapping[str, str]) -> str:
    names = ("x-request-id", "request-id", "x-ms-request-id", "ms-dyn-aid", "x-correlation-id")
    return next((headers[name][:100] for name in names if headers.get(name)), "")


def _host(url: str | httpx.URL) -> str:
    """Return the host of an address and no more of it: the rest may be a secret."""
    try:
        return httpx.URL(url).netloc.decode() or "The address"
    except (httpx.InvalidURL, UnicodeError):
        return str(url).partition("://")[2].partition("/")[0].rpartition("@")[2].partition("?")[0][:80] or "The address"


def _unwritable(url: str) -> Blocked:
    return Blocked(f"A request to {_host(url)} holds letters that HTTP cannot carry.", code="arguments")


def _said(error: Exception) -> str:
    return str(error).strip().rstrip(".")[:200] or type(error).__name__
