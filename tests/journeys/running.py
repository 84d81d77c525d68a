"""A running demo for journeys: started as an outsider does, seen through its API and the simulator's ledger."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.ports import free_pair

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 150.0  # seconds; on an idle machine it takes about thirty


class Demo:
    """A running demo, seen through its API and the simulator's ledger."""

    def __init__(self, folder: Path) -> None:
        self.port, self.folder = free_pair(), folder
        names = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "CELERY_BROKER_URL")}
        self.environment = {
            **names,
            "PORT": str(self.port),
            "DATA_DIR": str(folder),
            "DEMO_STREAM_SECONDS": "20",
            "ENVIRONMENT": "dev",
        }
        self.log = folder.parent / "demo.log"
        self.ready: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.api: Any = None
        self.world: Any = None
        self.others: list[httpx.Client] = []

    def start(self) -> float:
        """Start it and wait for its ready line; return the seconds that took."""
        began, earlier = time.monotonic(), len(self.lines()) if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "demo"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        line = self.until(lambda: (lines := self.lines()) and len(lines) > earlier and lines)
        url, password, token = line[-1]
        self.ready = {"url": url, "password": password, "token": token}
        self.close()
        self.api = httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30)
        self.world = httpx.Client(base_url=f"http://127.0.0.1:{self.port + 1}", timeout=30)
        return time.monotonic() - began

    def close(self) -> None:
        """Close what was opened to look at it."""
        for client in (self.api, self.world, *self.others):
            if client is not None:
                client.close()
        self.others.clear()

    def lines(self) -> list[tuple[str, str, str]]:
        """The ready lines that it has printed, one for each start."""
        return re.findall(r"^ready (\S+) user=admin password=(\S+) token=(\S+)$", self.text(), re.MULTILINE)

    def text(self) -> str:
        """What it has printed."""
        return self.log.read_text(errors="replace")

    def stop(self) -> int:
        """Ask it to stop; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=40)

    def kill(self) -> None:
        """End it and everything that it has started, at once and without a word."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=40)

    def until(self, look: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """Look again and again until there is something to see."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                found = look()
            except httpx.TransportError:
                found = None
            if found:
                return found
            assert self.process is not None
            assert self.process.poll() is None, self.text()[-3000:]
            time.sleep(0.25)
        raise AssertionError(f"It did not happen within {patience:.0f} s. {self.text()[-2000:]}")

    def incidents(self, **query: str) -> list[dict[str, Any]]:
        """Every incident that a query finds, page by page."""
        found, url = [], f"{self.ready['url']}/api/v1/incidents/"
        params: dict[str, str] | None = {"page_size": "200", **query}
        while url:
            page = self.api.get(url, params=params).json()
            found += page["results"]
            url, params = page["next"], None
        return found

    def incident(self, pk: int) -> dict[str, Any]:
        """One incident in full."""
        found: dict[str, Any] = self.api.get(f"/incidents/{pk}/").json()
        return found

    def as_user(self, username: str) -> httpx.Client:
        """An API client with a fresh token of another person, made by the documented command."""
        made = subprocess.run(
            [sys.executable, "manage.py", "issue_token", username],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        token = re.search(r"gs_\S+", made.stdout)
        assert token is not None, made.stdout
        headers = {"Authorization": f"Bearer {token.group()}"}
        client = httpx.Client(base_url=f"{self.ready['url']}/api/v1", headers=headers, timeout=30)
        self.others.append(client)
        return client

    def effects_twice(self) -> dict[str, int]:
        """Effect keys that stand more than once in the systems' own ledger, side effects left out."""
        rows = self.world.get("/ledger/effects", params={"limit": 100_000}).json()
        keys = Counter(row["effect_key"] for row in rows if row["effect_key"] and row["kind"] != "side_effect")
        return {key: number for key, number in keys.items() if number > 1}

    def audit_holds(self) -> subprocess.CompletedProcess[str]:
        """Walk its ledger by the documented command."""
        return subprocess.run(
            [sys.executable, "manage.py", "verify_audit"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
