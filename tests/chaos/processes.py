"""Real processes for a test, all of them its own: a simulator, a nursery of workers, Celery; ended one by one."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 240.0  # a machine under load takes its time to make tables
# Short times, so that whatever a dead worker held is free again soon.
TIMES = {
    "LEASE_SECONDS": "3",
    "SETTLE_SECONDS": "1",
    "SWEEP_SECONDS": "1",
    "RETRY_BASE_SECONDS": "0.05",
    "RETRY_CAP_SECONDS": "0.5",
    "OUTBOUND_TIMEOUT_SECONDS": "2",
}


def line_of(pipe: IO[str], patience: float = PATIENCE) -> str:
    """Read one line, or fail when none comes in time."""
    ready, _, _ = select.select([pipe], [], [], patience)
    assert ready, "a process of the test did not answer in time"
    return pipe.readline()


@contextmanager
def process(*command: str, env: dict[str, str], log: Path, **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """Run ``command`` and kill it, and it alone, at the end."""
    with log.open("ab") as errors:
        running = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=env, stderr=errors, text=True, bufsize=1, **options
        )
        try:
            yield running
        finally:
            with suppress(ProcessLookupError):
                running.kill()
            running.wait(timeout=10)
            for pipe in (running.stdin, running.stdout):
                if pipe is not None:
                    pipe.close()


class Simulator:
    """The simulated enterprise in a process of its own; it is never killed in these tests: it is the witness."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=20)

    def primary_effects(self) -> list[dict[str, Any]]:
        """Return what was committed under an effect key, side effects left out."""
        rows: list[dict[str, Any]] = []
        while page := self.http.get("/ledger/effects", params={"since": rows[-1]["n"] if rows else 0}).json():
            rows += page
        return [row for row in rows if row["effect_key"] and row["kind"] != "side_effect"]

    def trouble(self, fault: str, probability: float, seed: int) -> None:
        """Have writes go wrong now and then."""
        writes = "^(POST|PATCH) (?!.*(oauth2|token))"
        rule = {"fault": fault, "match": writes, "probability": probability, "seed": seed, "seconds": 0.2}
        answer = self.http.post("/control/faults", json={**rule, "count": 10_000})
        assert answer.status_code == 201, answer.text


@contextmanager
def simulator(folder: Path) -> Iterator[Simulator]:
    """Start an empty simulator on any free port."""
    arguments = ("--port", "0", "--data", str(folder / "simulator"), "--business", "empty")
    with process(
        "-m", "connectors.simulator", *arguments,
        env=dict(os.environ), log=folder / "simulator.log", stdout=subprocess.PIPE,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        started = Simulator(line_of(running.stdout).split()[-1])
        try:
            yield started
        finally:
            started.http.close()


class Nursery:
    """Raises workers and says where everything stands."""

    def __init__(self, running: "subprocess.Popen[str]") -> None:
        self._running = running
        self.workers: list[int] = []

    def ask(self, *words: object) -> Any:
        """Say one line and return what comes back."""
        assert self._running.stdin is not None
        assert self._running.stdout is not None
        print(*words, file=self._running.stdin, flush=True)
        return json.loads(line_of(self._running.stdout))

    def fork(self, seed: int) -> None:
        """Raise one more worker."""
        self.workers.append(self.ask("fork", seed))

    def kill(self, index: int) -> None:
        """Kill one worker with SIGKILL."""
        with suppress(ProcessLookupError):
            os.kill(self.workers.pop(index), signal.SIGKILL)


@contextmanager
def nursery(env: dict[str, str], folder: Path) -> Iterator[Nursery]:
    """Start a nursery; its workers die with the test."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with process("-m", "tests.chaos.nursery", env=env, log=folder / "nursery.log", **pipes) as running:
        raised = Nursery(running)
        try:
            yield raised
        finally:
            while raised.workers:
                raised.kill(0)


def environment(folder: Path, database: str, simulated: Simulator, **more: str) -> dict[str, str]:
    """Return the environment of an installation of its own."""
    own = {
        "DATABASE_URL": database,
        "DATA_DIR": str(folder / "data"),
        "ENVIRONMENT": "test",
        "OUTBOUND_ALLOW": simulated.url.removeprefix("http://"),
        "CELERY_BROKER_URL": "memory://",
    }
    return {**os.environ, **TIMES, **own, **more}


def until(done: Callable[[], bool], seconds: float, meanwhile: Callable[[], object] = lambda: None) -> bool:
    """Repeat ``meanwhile`` until ``done`` says so or the time is up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        meanwhile()
    return done()
