"""Lines to other systems: they end at a moment set for the whole exchange, and their keys are written nowhere.

The HTTP libraries wait anew for each piece that they read or write. A header that comes letter by letter, a flood of
interim answers, an endless trailer or twenty addresses that take no connection would hold a worker for hours.
"""

import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any

# The kernel takes this much at once or little less, so that the time is looked at between two pieces.
_PIECE = 16 * 1024
_ends = threading.local()


def private(context: ssl.SSLContext) -> ssl.SSLContext:
    """Return a context that logs no keys. Python has one log them where ``SSLKEYLOGFILE`` stands in the environment."""
    context.keylog_filename = None  # type: ignore[assignment]
    return context


def begin(moment: float) -> None:
    """Let whatever this thread reads and writes from now on end at ``moment`` (monotonic seconds)."""
    _ends.at = moment


class Line:
    """One open line of an HTTP library (its ``NetworkStream``), held to the moment that was set."""

    def __init__(self, library: Any, stream: Any) -> None:
        self._library, self._stream = library, stream
        # Whether anything came since something was last sent: an answer that did not was there before its question.
        self.heard = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there. Raises the library's ``ReadTimeout``."""
        data: bytes = self._stream.read(max_bytes, timeout=_left(timeout, self._library.ReadTimeout))
        self.heard = True
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of ``buffer``. Raises the library's ``WriteTimeout``."""
        self.heard = False
        for start in range(0, len(buffer), _PIECE):
            piece = buffer[start : start + _PIECE]
            self._stream.write(piece, timeout=_left(timeout, self._library.WriteTimeout))

    def close(self) -> None:
        """Close the line."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> "Line":
        """Return the line made private. Raises the library's ``ConnectTimeout``."""
        left = _left(timeout, self._library.ConnectTimeout)
        return Line(self._library, self._stream.start_tls(ssl_context, server_hostname, timeout=left))

    def get_extra_info(self, info: str) -> Any:
        """Return what the library knows of the line."""
        return self._stream.get_extra_info(info)


class Backend:
    """What opens lines for an HTTP library (its ``NetworkBackend``): ``httpcore``, or the one below httpx2."""

    def __init__(self, library: Any) -> None:
        self._library, self._backend = library, library.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Line:
        """Open a line to an address. Raises the library's ``ConnectTimeout``."""
        left = _left(timeout, self._library.ConnectTimeout)
        return Line(self._library, self._backend.connect_tcp(host, port, left, local_address, socket_options))


def _left(timeout: float | None, late: type[Exception]) -> float | None:
    """Return how long may be waited for the next piece. Raises ``late`` where the moment has come."""
    ends = getattr(_ends, "at", None)
    if ends is None:
        return timeout
    left: float = ends - time.monotonic()
    if left <= 0:
        raise late("it took too long as a whole")
    return left if timeout is None else min(left, timeout)
