"""A keep-alive HTTP client that costs the measured machine next to nothing, and many of them at once."""

import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median


class Unanswered(Exception):
    """The server closed or garbled an answer."""


@dataclass(frozen=True)
class Request:
    """One request, ready to send."""

    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    method: str = "GET"

    def wire(self, host: str) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}", "Connection: keep-alive"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body or self.method != "GET":
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True)
class Answer:
    """What came back, and how long that took."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


class Connection:
    """One socket, kept open; opened again where the server has closed it."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.socket: socket.socket | None = None
        self.buffer = b""

    def send(self, request: Request) -> Answer:
        wire = request.wire(f"{self.host}:{self.port}")
        started = time.perf_counter()
        fresh = self.socket is None
        try:
            answer = self._exchange(wire)
        except (Unanswered, OSError):
            self.close()
            if fresh:
                raise
            # A kept connection may have been closed while it was idle: nothing of this request was read.
            answer = self._exchange(wire)
        status, headers, body = answer
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, body, time.perf_counter() - started)

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket, self.buffer = None, b""

    def _exchange(self, wire: bytes) -> tuple[int, dict[str, str], bytes]:
        if self.socket is None:
            self.socket = socket.create_connection((self.host, self.port), timeout=120)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(wire)
        while b"\r\n\r\n" not in self.buffer:
            self._receive()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *rest = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        length = int(headers.get("content-length", "0"))
        if "content-length" not in headers and headers.get("transfer-encoding"):
            raise Unanswered("a chunked answer: the benchmark reads only answers of known length")
        while len(self.buffer) < length:
            self._receive()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(first.split(" ")[1]), headers, body

    def _receive(self) -> None:
        assert self.socket is not None
        chunk = self.socket.recv(65536)
        if not chunk:
            raise Unanswered("the server closed the connection")
        self.buffer += chunk


@dataclass
class Load:
    """What many clients together saw."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    longest: int = 0  # bytes of the longest body

    def percentile(self, share: float) -> float:
        """The latency in milliseconds below which ``share`` of the answers came."""
        return percentile(self.latencies, share) * 1000

    def problems(self) -> str:
        """Say what was not a success, or nothing."""
        bad = {status: count for status, count in self.statuses.items() if status >= 400}
        parts = [f"{count} x {status}" for status, count in sorted(bad.items())]
        return "; ".join(parts + self.failures[:3])


def percentile(values: list[float], share: float) -> float:
    """Nearest-rank percentile; 0 for no values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


def middle(values: list[float]) -> float:
    """The median over runs; 0 for none."""
    return median(values) if values else 0.0


def drive(port: int, requests: Iterable[Request], clients: int) -> Load:
    """Send all ``requests`` from ``clients`` keep-alive connections as fast as the answers allow."""
    load, waiting, lock = Load(), iter(requests), threading.Lock()

    def client() -> None:
        connection = Connection("127.0.0.1", port)
        while True:
            with lock:
                request = next(waiting, None)
            if request is None:
                break
            try:
                answer = connection.send(request)
            except (Unanswered, OSError) as error:
                with lock:
                    load.failures.append(f"{type(error).__name__}: {error}")
                continue
            with lock:
                load.latencies.append(answer.seconds)
                if answer.status >= 400:
                    load.failures.append(f"{answer.status}: {answer.body[:300].decode(errors='replace')}")
                load.longest = max(load.longest, len(answer.body))
                load.statuses[answer.status] = load.statuses.get(answer.status, 0) + 1
        connection.close()

    threads = [threading.Thread(target=client, name=f"client {number}") for number in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.perf_counter() - started
    return load
