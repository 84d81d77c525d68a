"""The way to the network: which addresses are open, how much is taken, and what each kind of breakage means."""

import gzip
import ipaddress
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from connectors import transport
from connectors.base import Blocked, Unanswered, Unreachable
from connectors.transport import Http, NotJson
from connectors.wire import addresses
from tests.connectors.factories import Played

URL = "https://contoso.operations.dynamics.test/data"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A name server of our own."""
    table = {"public.test": ["93.184.216.34"], "inside.test": ["10.0.0.5"], "both.test": ["127.0.0.1", "93.184.216.34"]}

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        if host not in table and host[0].isdigit():
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        if host not in table:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in table[host]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return table


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.1", "127.0.0.1.",
        "１２７.0.0.1", "①②⑦.0.0.1", "127。0。0。1", "100.64.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1",
        "169.254.169.254", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1",
        "::1", "::", "0", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fc00::1", "ff02::1",
        "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "2002:7f00:1::", "2001:0:1::1", "", " ", "a b", "-x.test", "host:80",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_not_called(host: str, settings: Any) -> None:
    settings.OUTBOUND_ALLOW = ["127.0.0.1:8001"]

    with pytest.raises((Blocked, Unreachable)):
        addresses.checked("https", host, 443)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "8.8.8.8"])
def test_a_public_address_is_open_over_https_only(address: str, settings: Any) -> None:
    settings.OUTBOUND_ALLOW = []

    assert addresses.checked("https", address, 443).addresses == (address,)
    with pytest.raises(Blocked, match="without TLS"):
        addresses.checked("http", address, 80)


def test_a_name_is_judged_by_what_it_resolves_to(names: dict[str, list[str]], settings: Any) -> None:
    settings.OUTBOUND_ALLOW = []

    assert addresses.checked("https", "PUBLIC.test", 443) == addresses.Target("public.test", 443, ("93.184.216.34",))
    assert addresses.checked("https", "both.test", 443).addresses == ("93.184.216.34",)
    with pytest.raises(Blocked, match="not a public address"):
        addresses.checked("https", "inside.test", 443)
    with pytest.raises(Unreachable, match="cannot be resolved"):
        addresses.checked("https", "nowhere.test", 443)


def test_what_is_named_is_open_on_exactly_that_port(names: dict[str, list[str]], settings: Any) -> None:
    settings.OUTBOUND_ALLOW = ["Inside.test:8080", "127.0.0.1:8001"]

    assert addresses.checked("http", "inside.test", 8080).addresses == ("10.0.0.5",)
    assert addresses.checked("http", "127.0.0.1", 8001).addresses == ("127.0.0.1",)
    for scheme, host, port in (("http", "inside.test", 8081), ("https", "10.0.0.5", 8080), ("http", "127.1", 8001)):
        with pytest.raises((Blocked, Unreachable)):
            addresses.checked(scheme, host, port)


@pytest.mark.parametrize(
    "url", ["ftp://public.test/", "file:///etc/passwd", "https://user:pass@public.test/", "https://public.test:99999/"]
)
def test_other_ways_to_call_are_refused(names: dict[str, list[str]], url: str) -> None:
    with pytest.raises(Blocked):
        addresses.checked_url(url)


def test_every_address_inside_a_wrapping_network_is_private() -> None:
    wrapped = [ipaddress.ip_address(text) for text in ("64:ff9b::808:808", "2002:808:808::", "2001::808")]

    assert [addresses.is_public(address) for address in wrapped] == [False, False, False]


class Server:
    """A socket that answers each connection with given bytes, or does something worse."""

    def __init__(self, answer: bytes, *, pause: float = 0.0, reset: bool = False, drip: float = 0.0) -> None:
        self.answer, self.pause, self.reset, self.drip = answer, pause, reset, drip
        self.heard: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.heard.append(connection.recv(65536))
                self.stopping.wait(self.pause)
                if self.reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                    continue
                try:
                    self.send(connection)
                except OSError:
                    continue

    def send(self, connection: socket.socket) -> None:
        if not self.drip:
            connection.sendall(self.answer)
            return
        for byte in self.answer:
            connection.sendall(bytes([byte]))
            if self.stopping.wait(self.drip):
                return

    def stop(self) -> None:
        self.stopping.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def serve(settings: Any) -> Iterator[Any]:
    servers: list[Server] = []

    def start(answer: bytes = b"", **options: Any) -> tuple[Server, str]:
        server = Server(answer, **options)
        servers.append(server)
        settings.OUTBOUND_ALLOW = [f"127.0.0.1:{server.port}", f"localhost:{server.port}"]
        return server, f"http://127.0.0.1:{server.port}/x"

    yield start
    for server in servers:
        server.stop()


def answer(body: bytes, *headers: str) -> bytes:
    head = "\r\n".join(["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", "Connection: close", *headers])
    return head.encode() + b"\r\n\r\n" + body


def test_nobody_listening_means_that_nothing_was_sent(serve: Any) -> None:
    server, url = serve()
    server.stop()
    server.listener = socket.create_server(("127.0.0.1", 0))
    server.thread = threading.Thread(target=lambda: None)
    server.thread.start()

    with pytest.raises(Unreachable) as unreachable:
        Http("x").send("POST", url, json={})

    assert not isinstance(unreachable.value, Blocked)
    assert not unreachable.value.effect_possible


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"reset": True}, "reset"),
        ({"pause": 5.0}, "timeout"),
        ({"drip": 0.03, "answer": answer(b"x" * 500)}, "timeout"),
    ],
)
def test_after_the_first_byte_went_out_the_outcome_is_unknown(
    serve: Any, settings: Any, options: dict[str, Any], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OUTBOUND_TIMEOUT_SECONDS = 0.3
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.2)
    _, url = serve(**options)

    with pytest.raises(Unanswered) as lost:
        Http("x").send("POST", url, json={"a": 1})

    assert lost.value.effect_possible
    assert lost.value.code == code


@pytest.mark.parametrize(
    "wrong",
    [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", b"HTTP/1.1 999999\r\n\r\n"],
)
def test_a_broken_answer_is_no_answer(serve: Any, wrong: bytes) -> None:
    _, url = serve(wrong)

    with pytest.raises(Unanswered):
        Http("x").send("POST", url, json={})


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_an_answer_is_not_taken_beyond_its_limit_packed_or_not(serve: Any, settings: Any, encoding: str) -> None:
    settings.OUTBOUND_MAX_BYTES = 10_000
    body = b"0" * 5_000_000 if encoding == "gzip" else b"0" * 10_001
    packed = gzip.compress(body) if encoding == "gzip" else body
    _, url = serve(answer(packed, f"Content-Encoding: {encoding}"))

    with pytest.raises(Unanswered, match="more than 10000 bytes"):
        Http("x").send("GET", url)


def test_a_packed_answer_is_unpacked(serve: Any) -> None:
    _, url = serve(answer(gzip.compress(b'{"a": 1}'), "Content-Encoding: gzip", "X-Request-Id: r-1"))
    http = Http("x")

    reply = http.send("GET", url)

    assert reply.json() == {"a": 1}
    assert (http.trace.requests, http.trace.status, http.trace.request_id) == (1, 200, "r-1")


@pytest.mark.parametrize(("encoding", "body"), [("br", b"x"), ("gzip", b"not packed")])
def test_an_encoding_that_was_not_asked_for_is_no_answer(serve: Any, encoding: str, body: bytes) -> None:
    _, url = serve(answer(body, f"Content-Encoding: {encoding}"))

    with pytest.raises(Unanswered):
        Http("x").send("GET", url)


def test_the_host_keeps_its_name_although_the_address_is_called(serve: Any) -> None:
    server, _ = serve(answer(b"{}"))

    Http("x").send("GET", f"http://localhost:{server.port}/x")

    assert f"Host: localhost:{server.port}".lower().encode() in server.heard[0].lower()


def test_the_next_address_of_a_host_is_tried_where_the_first_takes_no_connection(
    serve: Any, names: dict[str, list[str]], settings: Any
) -> None:
    server, _ = serve(answer(b"{}"))
    names["two.test"] = ["127.0.0.2", "127.0.0.1"]
    settings.OUTBOUND_ALLOW = [f"two.test:{server.port}"]

    assert Http("x").send("GET", f"http://two.test:{server.port}/x").status == 200


def test_a_name_in_other_letters_is_called_by_its_plain_spelling(
    serve: Any, names: dict[str, list[str]], settings: Any
) -> None:
    server, _ = serve(answer(b"{}"))
    names["xn--bcher-kva.test"] = ["127.0.0.1"]
    settings.OUTBOUND_ALLOW = [f"xn--bcher-kva.test:{server.port}"]

    assert Http("x").send("GET", f"http://xn--bcher-kva.test:{server.port}/x").status == 200
    assert f"Host: xn--bcher-kva.test:{server.port}".lower().encode() in server.heard[0].lower()


def test_a_redirect_is_not_followed_and_no_cookie_is_kept(played: Played) -> None:
    away = httpx.Response(302, headers={"Location": "https://elsewhere.test/", "Set-Cookie": "a=b; Path=/"})
    played.on("GET", "/data", away)

    replies = [Http("x").send("GET", URL) for _ in range(2)]

    assert [reply.status for reply in replies] == [302, 302]
    assert len(played.requests) == 2
    assert "cookie" not in played.requests[1].headers


def test_the_environment_of_the_process_sends_nothing_elsewhere(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    _, url = serve(answer(b"{}"))

    assert Http("x").send("GET", url).status == 200


def test_an_address_that_is_not_open_is_told_before_anything_is_sent(settings: Any) -> None:
    settings.OUTBOUND_ALLOW = []

    with pytest.raises(Blocked, match="OUTBOUND_ALLOW"):
        Http("x").send("POST", "http://127.0.0.1:1/x", json={})


@pytest.mark.parametrize("url", ["https://", "nonsense", "https://a:b:c/", "https://exa mple/"])
def test_an_address_that_is_none_is_told_so(url: str) -> None:
    with pytest.raises((Blocked, Unreachable)):
        Http("x").send("GET", url)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>sign in</html>", b"  <!DOCTYPE html><p>x", b"{", b'{"a":1,"a":2}', b"[NaN]", b"[Infinity]",
        b"[1e999]", b"[" * 200 + b"]" * 200, b"[" * 100_000, b"\xff\xfe", b"[" + b"9" * 5000 + b"]",
    ],
)  # fmt: skip
def test_an_answer_that_is_no_usable_json_is_told_so(body: bytes) -> None:
    with pytest.raises(NotJson, match="answered with"):
        transport.Reply(200, {}, body).json()


def test_what_no_database_stores_is_replaced_in_answers_and_long_numbers_stay_whole() -> None:
    reply = transport.Reply(200, {}, b'{"a\\u0000": "\\ud800 ok \\u0000", "id": 5637144576123456789}')

    assert reply.json() == {"a\ufffd": "\ufffd ok \ufffd", "id": 5637144576123456789}
