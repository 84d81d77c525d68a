"""Lines that a hostile system draws out, floods or answers twice: each exchange ends, and believes its own answer."""

import gzip
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from connectors import transport
from connectors.base import Blocked, Unanswered
from connectors.transport import Http
from connectors.wire import addresses, lines
from connectors.wire import mail as mailwire
from connectors.wire import model as modelwire

HEAD = b"HTTP/1.1 200 OK\r\n"
PLAIN = HEAD + b"Content-Length: 1\r\n\r\n"
# Pieces that one of these systems sends at most: it gives in at last, and an exchange that waited would believe it.
PIECES, PAUSE = 150, 0.02


class System:
    """A listener on loopback whose behaviour is a function of an open line."""

    def __init__(self, behave: Callable[["System", socket.socket], None]) -> None:
        self.behave = behave
        self.gave_in = False  # it was waited for to its end
        self.stopping = threading.Event()
        self.threads: list[threading.Thread] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/x"
        self.accepting = threading.Thread(target=self._accept)
        self.accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(line,))
            self.threads.append(thread)
            thread.start()

    def _serve(self, line: socket.socket) -> None:
        with line:
            try:
                self.behave(self, line)
            except OSError:
                return

    def drip(self, line: socket.socket, begin: bytes, piece: bytes, end: bytes) -> None:
        """Send ``piece`` now and then for seconds, and end well."""
        question(line)
        line.sendall(begin)
        for _ in range(PIECES):
            if self.stopping.wait(PAUSE):
                return
            line.sendall(piece)
        self.gave_in = True
        line.sendall(end)

    def stop(self) -> None:
        self.stopping.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in [self.accepting, *self.threads]:
            thread.join()


def question(line: socket.socket) -> bytes:
    """Read a request's head."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        more = line.recv(65536)
        if not more:
            raise OSError("hung up")
        heard += more
    return heard


@pytest.fixture
def system(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., System]]:
    settings.OUTBOUND_TIMEOUT_SECONDS = 0.3
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(modelwire, "CONNECT_SECONDS", 0.2)
    running: list[System] = []

    def start(behave: Callable[[System, socket.socket], None]) -> System:
        running.append(System(behave))
        settings.OUTBOUND_ALLOW = [f"127.0.0.1:{one.port}" for one in running]
        return running[-1]

    yield start
    transport.close_all()
    for one in running:
        one.stop()


SLOW = {
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", PLAIN + b"a"),
    "a header": (HEAD + b"Content-Length: 1\r\nX-Long: ", b"a", b"\r\n\r\na"),
    "many headers": (HEAD + b"Content-Length: 1\r\n", b"X: a\r\n", b"\r\na"),
    "a chunk's size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a", b"\r\na\r\n0\r\n\r\n"),
    "a trailer": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ", b"a", b"\r\n\r\n"),
    "a body": (HEAD + b"Content-Length: 151\r\n\r\n", b"a", b"a"),
}


@pytest.mark.parametrize("what", SLOW)
def test_an_answer_that_comes_by_and_by_does_not_hold_a_worker(system: Callable[..., System], what: str) -> None:
    server = system(lambda one, line: one.drip(line, *SLOW[what]))

    with pytest.raises(Unanswered) as late:
        Http("slow").send("GET", server.url)

    assert late.value.code == "timeout"
    assert not server.gave_in


@pytest.mark.parametrize("what", SLOW)
def test_nor_does_one_of_a_model(system: Callable[..., System], what: str) -> None:
    server = system(lambda one, line: one.drip(line, *SLOW[what]))
    client = modelwire.client("slow", 0.3)

    with pytest.raises(httpx2.ReadTimeout):
        client.post(server.url, json={})
    modelwire.close_all()

    assert not server.gave_in


def test_a_system_that_reads_by_and_by_does_not_hold_a_worker(system: Callable[..., System]) -> None:
    def read_slowly(one: System, line: socket.socket) -> None:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(PIECES):
            if one.stopping.wait(PAUSE):
                return
            line.recv(20_000)
        while line.recv(1_000_000):
            pass

    server = system(read_slowly)

    with pytest.raises(Unanswered) as late:
        Http("slow").send("POST", server.url, raw=b"x" * 30_000_000)

    assert late.value.code == "timeout"


def test_of_many_addresses_none_is_waited_for_beyond_the_whole_time(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OUTBOUND_TIMEOUT_SECONDS, now, tried = 20.0, [0.0], []

    class Silent:
        def connect_tcp(self, host: str, port: int, timeout: float, *_: Any) -> Any:
            tried.append(timeout)
            now[0] += timeout
            raise transport.httpcore.ConnectTimeout("silent")

    many = tuple(f"192.0.2.{number}" for number in range(1, 200))
    monkeypatch.setattr(addresses, "checked", lambda scheme, host, port: addresses.Target(host, port, many))
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(transport.httpcore, "SyncBackend", Silent)

    with pytest.raises(transport.Unreachable):
        Http("many").send("GET", "https://many.test/")

    assert now[0] <= settings.OUTBOUND_TIMEOUT_SECONDS + transport.CONNECT_SECONDS
    assert len(tried) == 5


# --- more than one answer ---------------------------------------------------------------------------------
def twice(one: System, line: socket.socket) -> None:
    question(line)
    line.sendall(PLAIN + b"A" + PLAIN + b"B")
    question(line)
    line.sendall(PLAIN + b"C")


def test_an_answer_that_was_there_before_its_question_is_not_believed(system: Callable[..., System]) -> None:
    server = system(twice)
    http = Http("twice")
    assert http.send("GET", server.url).body == b"A"

    with pytest.raises(Unanswered, match="before it was asked"):
        http.send("POST", server.url, json={})

    assert http.send("GET", server.url).body == b"A", "on a new line"


def test_nor_is_one_of_a_model(system: Callable[..., System]) -> None:
    server = system(twice)
    client = modelwire.client("twice", 5)
    assert client.post(server.url, json={}).content == b"A"

    with pytest.raises(httpx2.RemoteProtocolError):
        client.post(server.url, json={})

    assert client.post(server.url, json={}).content == b"A"
    modelwire.close_all()


def test_a_line_that_is_used_again_gives_each_question_its_own_answer(system: Callable[..., System]) -> None:
    lines_opened: list[int] = []

    def count(one: System, line: socket.socket) -> None:
        lines_opened.append(1)
        for letter in (b"A", b"B", b"C"):
            question(line)
            line.sendall(PLAIN + letter)

    server = system(count)

    assert [Http("again").send("GET", server.url).body for _ in range(3)] == [b"A", b"B", b"C"]
    assert len(lines_opened) == 1


# --- packed answers -----------------------------------------------------------------------------------------
def packed(body: bytes) -> Callable[[System, socket.socket], None]:
    def answer(one: System, line: socket.socket) -> None:
        question(line)
        line.sendall(HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + body)

    return answer


def test_what_follows_the_end_of_a_packed_answer_is_not_collected(system: Callable[..., System]) -> None:
    for tail in (b"x" * 100, gzip.compress(b'{"b": 2}')):
        server = system(packed(gzip.compress(b'{"a": 1}') + tail))

        with pytest.raises(Unanswered, match="behind the end"):
            Http("tail").send("GET", server.url)


def test_a_packed_answer_is_bounded_although_it_unpacks_to_nothing(
    system: Callable[..., System], settings: Any
) -> None:
    settings.OUTBOUND_MAX_BYTES = 10_000
    packer = zlib.compressobj(wbits=31)
    empty = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH) + b"\x00\x00\x00\xff\xff" * 3_000 + packer.flush()
    server = system(packed(empty))

    with pytest.raises(Unanswered) as long:
        Http("empty").send("GET", server.url)

    assert long.value.code == "size"


# --- what is sent -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("value", ["sesame\nopen", "sesame\x0bopen", " sesame", "sesame ", "sesame\u00e9", "\ud800"])
def test_a_header_that_http_cannot_carry_is_not_quoted(system: Callable[..., System], value: str) -> None:
    server = system(lambda one, line: None)

    with pytest.raises(Blocked) as refused:
        Http("header").send("GET", server.url, headers={"Authorization": value})

    assert refused.value.code == "arguments"
    assert "sesame" not in f"{refused.value!r} {refused.value.__cause__!r}"
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [10**5000], {"a": object()}])
def test_a_body_that_json_cannot_say_is_refused_before_anything_is_sent(
    system: Callable[..., System], value: Any
) -> None:
    server = system(lambda one, line: None)

    with pytest.raises(Blocked) as refused:
        Http("json").send("POST", server.url, json=value)

    assert refused.value.code == "arguments"


# --- keys of lines ---------------------------------------------------------------------------------------------
def test_no_keys_of_lines_are_written_into_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert ssl.create_default_context().keylog_filename, "Python itself would"
    for known in (transport._believed, modelwire._believed, mailwire.trust):
        known.cache_clear()

    contexts = [transport._believed(), modelwire._believed(), mailwire.trust()]

    assert [context.keylog_filename for context in contexts] == [None] * 3
    assert all(context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname for context in contexts)
    for known in (transport._believed, modelwire._believed, mailwire.trust):
        known.cache_clear()


def test_a_model_s_cookies_are_not_kept(system: Callable[..., System]) -> None:
    heard: list[bytes] = []

    def set_cookie(one: System, line: socket.socket) -> None:
        for _ in range(2):
            heard.append(question(line))
            line.sendall(HEAD + b"Set-Cookie: a=b; Path=/\r\nContent-Length: 1\r\n\r\na")

    server = system(set_cookie)
    client = modelwire.client("cookie", 5)
    for _ in range(2):
        client.get(server.url)
    modelwire.close_all()

    assert len(heard) == 2
    assert b"cookie" not in heard[1].lower()


def test_a_moment_that_was_set_holds_for_its_thread_alone() -> None:
    seen: list[float | None] = []
    lines.begin(0.0)
    thread = threading.Thread(target=lambda: seen.append(lines._left(7.0, OSError)))
    thread.start()
    thread.join()

    assert seen == [7.0]
    with pytest.raises(OSError, match="too long"):
        lines._left(7.0, OSError)
