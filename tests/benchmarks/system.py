"""Starts what is measured: an own database, web workers, and whatever else a stage needs; ends all of it."""

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis

from tests.benchmarks.client import Connection, Request, Unanswered
from tests.benchmarks.sizes import Sizes
from tests.ports import free_pair

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = Path(sys.executable).parent
_CLAIM = "goldseam-bench"


class DidNotStart(Exception):
    """A process that a stage needs ended or stayed silent."""


@contextlib.contextmanager
def database(name: str, folder: Path) -> Iterator[str]:
    """Give the URL of an empty database of that kind, and drop it afterwards."""
    if name == "sqlite":
        yield f"sqlite:///{folder / 'goldseam.sqlite3'}"
        return
    server = urlsplit(os.environ.get("DATABASE_URL", "postgres://127.0.0.1:5432/postgres"))
    if not server.scheme.startswith("postgres"):
        raise DidNotStart("DATABASE_URL must name a PostgreSQL server, or set BENCH_DATABASES=sqlite.")
    own = f"goldseam_bench_{secrets.token_hex(4)}"
    with psycopg.connect(urlunsplit(server._replace(scheme="postgresql")), autocommit=True) as connection:
        connection.execute(f'create database "{own}"')
        try:
            yield urlunsplit(server._replace(path=f"/{own}"))
        finally:
            connection.execute(f'drop database "{own}" with (force)')


@contextlib.contextmanager
def broker() -> Iterator[str]:
    """Claim an empty database of the Redis server and empty it afterwards: what is in it then is all of our making."""
    url = os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")
    if not url.startswith("redis"):
        raise DidNotStart("CELERY_BROKER_URL must name a Redis server.")
    for number in range(15, 0, -1):
        own = re.sub(r"(rediss?://[^/]+)(/\d*)?$", rf"\1/{number}", url)
        with contextlib.closing(redis.Redis.from_url(own)) as server:
            if not _claimed(server):
                continue
            try:
                yield own
            finally:
                server.flushdb()
            return
    raise DidNotStart(f"Every database from 1 to 15 of {url} holds something; empty one.")


def _claimed(server: "redis.Redis") -> bool:
    try:
        return server.dbsize() == 0 and bool(server.set(_CLAIM, os.getpid(), nx=True))
    except redis.ConnectionError as error:
        raise DidNotStart(f"Redis does not answer: {error}") from error
    except redis.ResponseError:
        return False  # this server has fewer databases


@dataclass
class Process:
    """One process of ours with its log."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])

    def end(self) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(30)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait(10)


class Installation:
    """One Goldseam on one database, as production runs it: processes that only share rows and a broker."""

    def __init__(self, url: str, bells: str, folder: Path, sizes: Sizes) -> None:
        self.folder, self.sizes = folder, sizes
        self.port = free_pair()
        self.processes: list[Process] = []
        self.environment = {
            **os.environ,
            "DATABASE_URL": url,
            "CELERY_BROKER_URL": bells,
            "DATA_DIR": str(folder),
            "ENVIRONMENT": "dev",
            "PORT": str(self.port),
        }

    def __enter__(self) -> "Installation":
        self.manage("migrate", "--no-input", "--verbosity=0")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self.processes):
            process.end()

    def manage(self, *arguments: str) -> str:
        """Run one management command to its end and return what it printed."""
        return self.run(sys.executable, "manage.py", *arguments)

    def inside(self, command: str) -> dict[str, object]:
        """Ask something that only code inside can know (see inside.py)."""
        printed = self.run(sys.executable, "-m", "tests.benchmarks.inside", command)
        answer: dict[str, object] = json.loads(printed.splitlines()[-1])
        return answer

    def run(self, *arguments: str) -> str:
        done = subprocess.run(arguments, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DidNotStart(f"{' '.join(arguments[1:])} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout

    def start(self, name: str, *arguments: str, **environment: str) -> Process:
        """Start a process that runs until the installation ends."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                arguments, cwd=ROOT, env={**self.environment, **environment}, stdout=output, stderr=output
            )
        process = Process(name, popen, log)
        self.processes.append(process)
        return process

    def start_web(self) -> Process:
        """Start gunicorn and wait until it answers."""
        web = self.start(
            "web",
            str(BIN / "gunicorn"),
            "config.wsgi",
            f"--bind=127.0.0.1:{self.port}",
            "--worker-class=gthread",
            f"--workers={self.sizes.web_workers}",
            f"--threads={self.sizes.web_threads}",
            "--keep-alive=75",
            "--log-level=warning",
        )
        self.await_answer(web, self.port, "/health/live")
        return web

    def await_answer(self, process: Process, port: int, path: str, seconds: float = 60) -> None:
        """Wait until ``path`` answers 200 on ``port``."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and process.popen.poll() is None:
            with contextlib.suppress(OSError, Unanswered):
                if Connection("127.0.0.1", port).send(Request(path)).status == 200:
                    return
            time.sleep(0.1)
        raise DidNotStart(f"{process.name} does not answer {path}:\n{process.tail()}")


@contextlib.contextmanager
def installation(name: str, sizes: Sizes) -> Iterator[Installation]:
    """An installation on an empty database of that kind, with its schema and nothing running yet."""
    with (
        tempfile.TemporaryDirectory(prefix="goldseam-bench-") as folder,
        database(name, Path(folder)) as url,
        broker() as bells,
        Installation(url, bells, Path(folder), sizes) as installed,
    ):
        yield installed
