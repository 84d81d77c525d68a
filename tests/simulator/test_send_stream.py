"""The stream on its way: every delivery arrives, failures are tried again and noted, a restart goes on."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.simulator.__main__ import arguments
from connectors.simulator.server import RunningSimulator, serve
from connectors.simulator.stream import CASE, Post, plan_posts, plan_signals
from connectors.simulator.traffic import Target, Traffic


class Console:
    """What a console would receive."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int] = []
        console = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                console.received.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(console.answers.pop(0) if console.answers else 202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def ids(self) -> list[str]:
        found: list[str] = []
        for _, headers, body in self.received:
            content = json.loads(body)
            events = content if isinstance(content, list) else [content]
            found += [headers["ce-id"]] if "ce-id" in headers else [e.get("EventId") or e["id"] for e in events]
        return found


@pytest.fixture
def console() -> Iterator[Console]:
    running = Console()
    yield running
    running.stop()


class Hurried(Traffic):
    """A stream that does not wait between its deliveries, and can be cut short."""

    limit = 10**9

    def _deliver(self, post: Post, index: int, total: int, start: datetime) -> None:
        if index >= self.limit:
            self.stop()
            return
        super()._deliver(Post(0, post.channel, post.mode, post.signals), index, total, start)


def hurried(simulator: RunningSimulator, console: Console, monkeypatch: pytest.MonkeyPatch) -> Hurried:
    at_once = lambda signals, seed: [Post(0, p.channel, p.mode, p.signals) for p in plan_posts(signals, seed)]  # noqa: E731
    monkeypatch.setattr("connectors.simulator.traffic.plan_posts", at_once)
    monkeypatch.setattr("connectors.simulator.traffic.EVENT_PAUSE", 0.01)
    monkeypatch.setattr("connectors.simulator.traffic.CLOUD_PAUSE_LONGEST", 0.01)
    return Hurried(simulator.store, Target(console.url, "hook-secret", "token-1"))


def ended(traffic: Traffic) -> None:
    traffic.start()
    traffic.join(timeout=60)
    assert not traffic.is_alive()


def test_the_whole_stream_arrives_where_it_should(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(tmp_path, synchronous="OFF") as simulator:
        ended(hurried(simulator, console, monkeypatch))
        state = httpx.get(f"{simulator.url}/control/stream").json()
        cases = httpx.get(f"{simulator.url}/control/records?system=sf&entity=Case").json()
        effects = httpx.get(f"{simulator.url}/ledger/effects").json()

    planned = plan_signals(7, datetime.now(UTC).date().isoformat())
    paths = Counter(path for path, _, _ in console.received)
    assert sorted(console.ids()) == sorted(item.id for item in planned if item.channel != CASE)
    assert set(paths) == {"/api/v1/hooks/fo/hook-secret/", "/api/v1/signals/"}
    assert len(cases) == len([item for item in planned if item.channel == CASE])
    assert all(case["fields"]["AccountId"] for case in cases)
    assert {row["kind"] for row in effects} == {"person"}
    assert state["sent"] == state["total"]
    assert state["errors"] == []


def test_integrators_show_their_token_and_fo_does_not(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(tmp_path, synchronous="OFF") as simulator:
        traffic = hurried(simulator, console, monkeypatch)
        traffic.limit = 60
        ended(traffic)

    for path, headers, _ in console.received:
        assert headers.get("authorization") == ("Bearer token-1" if path == "/api/v1/signals/" else None)


def test_a_restart_goes_on_where_the_stream_stopped(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(tmp_path, synchronous="OFF") as simulator:
        first = hurried(simulator, console, monkeypatch)
        first.limit = 100
        ended(first)
        middle = httpx.get(f"{simulator.url}/control/stream").json()

    with serve(tmp_path, synchronous="OFF") as simulator:
        ended(hurried(simulator, console, monkeypatch))
        ended(hurried(simulator, console, monkeypatch))
        state = httpx.get(f"{simulator.url}/control/stream").json()

    planned = plan_signals(7, datetime.now(UTC).date().isoformat())
    assert middle["sent"] == 100
    assert state["start"] == middle["start"]
    assert sorted(console.ids()) == sorted(item.id for item in planned if item.channel != CASE)


def test_a_refused_delivery_is_tried_again_and_noted_when_it_fails_for_good(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(tmp_path, synchronous="OFF") as simulator:
        console.answers = [503, 202, *[500] * 5, 401]
        traffic = hurried(simulator, console, monkeypatch)
        traffic.limit = 25
        ended(traffic)
        errors = httpx.get(f"{simulator.url}/control/stream").json()["errors"]

    attempts = [(row["attempts"], row["status"]) for row in errors]
    assert len(attempts) in (2, 3)
    assert attempts[0][1] == 500
    assert attempts[0][0] in (3, 5)
    assert {row["error"] for row in errors} <= {"HTTP 500", "HTTP 401"}


def test_a_reset_ends_the_stream_of_the_old_business(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(tmp_path, synchronous="OFF") as simulator:
        traffic = hurried(simulator, console, monkeypatch)
        send = traffic._push

        def reset_meanwhile(post: Post, start: datetime) -> tuple[int, int | None, str | None]:
            httpx.post(f"{simulator.url}/control/reset", json={"business": "demo"})
            return send(post, start)

        monkeypatch.setattr(traffic, "_push", reset_meanwhile)
        ended(traffic)
        state = httpx.get(f"{simulator.url}/control/stream").json()
        cases = httpx.get(f"{simulator.url}/control/records?system=sf&entity=Case").json()

    assert state == {"errors": []}
    assert cases == []


def test_an_empty_business_has_no_stream(tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(tmp_path, business="empty", synchronous="OFF") as simulator:
        ended(hurried(simulator, console, monkeypatch))

    assert console.received == []


def test_a_stream_waits_for_its_target_and_can_be_stopped_meanwhile(tmp_path: Path) -> None:
    with serve(tmp_path, synchronous="OFF") as simulator:
        traffic = Traffic(simulator.store, Target("http://127.0.0.1:9", "s", "t"))
        traffic.start()
        traffic.stop()
        traffic.join(timeout=10)
        state = httpx.get(f"{simulator.url}/control/stream").json()

    assert not traffic.is_alive()
    assert state == {"errors": []}


def test_the_command_serves_streams_and_ends_on_sigterm(tmp_path: Path, console: Console) -> None:
    command = [sys.executable, "-m", "connectors.simulator", "--port", "0", "--data", str(tmp_path)]
    stream = ["--target", console.url, "--hook-secret", "s", "--token", "t", "--stream-seconds", "30"]

    with subprocess.Popen([*command, *stream], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        health = httpx.get(f"{line.split()[1]}/control/health").json()
        os.kill(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=20)

    assert line.startswith("simulator http://127.0.0.1:")
    assert health["status"] == "ok"
    assert (process.returncode, errors) == (0, "")


def test_attached_to_whoever_started_it_it_ends_with_them(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "connectors.simulator", "--port", "0", "--data", str(tmp_path), "--attached"]

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        process.stdin.close()
        code = process.wait(timeout=20)

    assert (line.partition(" ")[0], code) == ("simulator", 0)


def test_what_was_committed_survives_a_killed_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "connectors.simulator", "--port", "0", "--data", str(tmp_path)]
    body = {"system": "fo", "entity": "CustomersV3", "id": "DE-001", "changes": {"CreditLimit": 12.5}}

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[1]
        edited = httpx.post(f"{url}/control/edit", json=body)
        process.kill()
    with serve(tmp_path) as simulator:
        (effect,) = httpx.get(f"{simulator.url}/ledger/effects").json()

    assert edited.status_code == 200
    assert effect["after"]["CreditLimit"] == 12.5


def test_a_secret_may_start_with_a_dash() -> None:
    options = arguments(["--data", "d", "--hook-secret", "-x", "--token", "--y", "--port", "5"])

    assert (options.hook_secret, options.token, options.port) == ("-x", "--y", 5)


def test_the_command_says_when_its_port_is_taken(tmp_path: Path, console: Console) -> None:
    port = console.url.rpartition(":")[2]
    command = [sys.executable, "-m", "connectors.simulator", "--port", port, "--data", str(tmp_path)]

    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)

    assert answer.returncode == 1
    assert f"cannot serve on 127.0.0.1:{port}" in answer.stderr
