"""The measuring client reads answers exactly, keeps its connections and reports what went wrong."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.benchmarks.client import Connection, Request, drive


class Server(ThreadingHTTPServer):
    daemon_threads = True
    peers: set[tuple[str, int]]


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.peers.add(self.client_address)
        self.send_response(503 if body == b"bad" else 202)
        self.send_header("Content-Length", str(len(body)))
        if body == b"close":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Echo) as running:
        running.peers = set()
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def post(body: bytes) -> Request:
    return Request("/", (("Content-Type", "text/plain"),), body, "POST")


def test_an_answer_comes_back_whole(server):
    connection = Connection("127.0.0.1", server.server_port)

    answer = connection.send(post(b"x" * 200_000))

    connection.close()
    assert (answer.status, len(answer.body)) == (202, 200_000)
    assert answer.seconds > 0


def test_one_client_keeps_one_connection(server):
    load = drive(server.server_port, [post(b"a")] * 20, clients=1)

    assert len(server.peers) == 1
    assert load.statuses == {202: 20}


def test_a_connection_that_the_server_ends_is_opened_again(server):
    load = drive(server.server_port, [post(b"close")] * 3, clients=1)

    assert len(server.peers) == 3
    assert load.statuses == {202: 3}


def test_every_request_is_sent_once_by_many_clients(server):
    load = drive(server.server_port, [post(b"abc")] * 100, clients=8)

    assert sum(load.statuses.values()) == len(load.latencies) == 100
    assert load.longest == 3


def test_refusals_are_counted_and_named(server):
    load = drive(server.server_port, [post(b"ok"), post(b"bad")], clients=1)

    assert load.problems() == "1 x 503; 503: bad"


def test_a_silent_address_is_a_failure_and_not_an_endless_wait():
    load = drive(1, [post(b"a")], clients=1)

    assert load.statuses == {}
    assert "ConnectionRefusedError" in load.problems()
