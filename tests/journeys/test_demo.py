"""The demo as an outsider meets it: one process started, nobody touching it, then one mend approved and taken back."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

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
                [sys.executable, "manage.py", "demo"], cwd=ROOT, env=self.environment, stdout=log, stderr=log
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


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for all of the journey; each test goes on where the last one ended."""
    running = Demo(tmp_path_factory.mktemp("demo") / "data")
    try:
        running.start()
        yield running
    finally:
        running.close()
        if running.process is not None and running.process.poll() is None:
            running.stop()


def autonomous(demo: Demo) -> list[dict[str, Any]]:
    full = [demo.incident(row["id"]) for row in demo.incidents(status="resolved")]
    return [one for one in full if one["outcome"] and one["outcome"]["autonomous"]]


@pytest.mark.chaos
def test_it_mends_by_itself_and_each_mend_was_read_back(demo: Demo):
    done = demo.until(lambda: len(demo.incidents(status="resolved")) >= 10 and autonomous(demo))
    demo.until(lambda: len(done) >= 10 or len(autonomous(demo)) >= 10)

    for one in autonomous(demo):
        assert one["outcome"]["verified"]
        assert all(row["matched"] for row in one["outcome"]["read_back"] if not row["side_effect"])


@pytest.mark.chaos
def test_five_different_statuses_stand_side_by_side(demo: Demo):
    statuses = demo.until(lambda: (found := {row["status"] for row in demo.incidents()}) and len(found) >= 5 and found)

    assert {"resolved", "awaiting_approval", "needs_operator"} <= statuses


@pytest.mark.chaos
def test_a_kind_that_nobody_covers_goes_to_an_operator_with_a_reason(demo: Demo):
    unknown = demo.until(
        lambda: [row for row in demo.incidents(status="needs_operator") if row["code"] == "address_mismatch"]
    )

    assert "address_mismatch" in demo.incident(unknown[0]["id"])["status_reason"]


@pytest.mark.chaos
def test_one_is_approved_resolved_taken_back_and_each_effect_stands_once(demo: Demo):
    approver, second = demo.as_user("approver"), demo.as_user("approver2")
    operator = demo.as_user("operator")
    waiting = demo.until(
        lambda: [
            row
            for row in demo.api.get("/approvals/", params={"state": "pending"}).json()["results"]
            if row["required"] == 1 and row["kind"] == "plan"
        ]
    )
    asked = waiting[-1]
    wrong = approver.post(f"/approvals/{asked['id']}/approve/", json={"comment": "yes", "digest": "0" * 64})
    assert wrong.status_code == 409

    said = approver.post(f"/approvals/{asked['id']}/approve/", json={"comment": "yes", "digest": asked["digest"]})
    assert said.status_code in (200, 202), said.text
    mended = demo.until(lambda: (one := demo.incident(asked["incident"]))["status"] == "resolved" and one)
    execution = mended["outcome"]["execution"]
    back = operator.post(f"/executions/{execution}/rollback/", json={"reason": "The customer was right."})
    assert back.status_code == 202, back.text
    for request in demo.api.get("/approvals/", params={"state": "pending"}).json()["results"]:
        if request["kind"] == "rollback" and request["incident"] == asked["incident"]:
            body = {"comment": "put it back", "digest": request["digest"]}
            assert second.post(f"/approvals/{request['id']}/approve/", json=body).status_code in (200, 202)

    demo.until(lambda: demo.incident(asked["incident"])["status"] == "rolled_back")
    assert demo.effects_twice() == {}


@pytest.mark.chaos
def test_the_ledger_holds_and_the_viewer_sees_only_one_unit(demo: Demo):
    viewer = demo.as_user("viewer")
    checked = subprocess.run(
        [sys.executable, "manage.py", "verify_audit"],
        cwd=ROOT,
        env=demo.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    seen = viewer.get("/incidents/", params={"page_size": "200"}).json()["results"]

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert {row["business_unit"] for row in seen} == {"EU"}
    assert {row["business_unit"] for row in demo.incidents()} >= {"EU", "US"}


def logs_of(client: Any) -> dict[str, dict[str, Any]]:
    rows = client.get("/event-logs/", params={"page_size": "200"}).json()["results"]
    return {row["name"]: row for row in rows if row["name"].startswith("Order to cash")}


@pytest.mark.chaos
def test_a_year_of_orders_is_there_and_what_detectors_find_in_it_goes_through_the_loop(demo: Demo):
    demo.until(lambda: {row["state"] for row in logs_of(demo.api).values()} == {"ready"})
    conflicts = demo.until(
        lambda: [row for row in demo.incidents(status="needs_operator") if row["code"] == "duty_conflict"]
    )

    signals = demo.api.get("/signals/", params={"page_size": "200"}).json()["results"]

    assert logs_of(demo.api)["Order to cash, Europe"]["cases"] >= 20_000
    assert demo.incident(conflicts[0]["id"])["status_reason"]
    assert any(one["source"].startswith("goldseam:detector:") for one in signals)


@pytest.mark.chaos
def test_a_log_and_what_was_found_in_it_belong_to_their_unit(demo: Demo):
    viewer = demo.as_user("viewer")
    found = {row["code"] for row in demo.incidents() if row["business_unit"] == "US"}

    seen = viewer.get("/incidents/", params={"page_size": "200"}).json()["results"]

    assert set(logs_of(viewer)) == {"Order to cash, Europe"}
    assert len(logs_of(demo.as_user("operator"))) == 2
    assert "duty_conflict" in found
    assert {row["business_unit"] for row in seen if row["code"] == "duty_conflict"} == {"EU"}


@pytest.mark.chaos
def test_both_processes_stand_side_by_side(demo: Demo):
    held = demo.until(
        lambda: [row for row in demo.incidents(status="resolved") if row["code"] == "duplicate_vendor_invoice"]
    )

    assert held


@pytest.mark.chaos
def test_an_order_that_two_systems_hold_is_one_incident_and_one_plan_lets_it_go_in_both(demo: Demo):
    waiting = demo.until(
        lambda: [row for row in demo.incidents(status="awaiting_approval") if row["code"] == "held_elsewhere"]
    )
    held = demo.until(lambda: (one := demo.incident(waiting[0]["id"]))["signals_count"] == 2 and one)
    pending = demo.api.get("/approvals/", params={"state": "pending"}).json()["results"]
    asked = next(one for one in pending if one["incident"] == held["id"])
    for name in ("approver", "compliance"):
        body = {"comment": "F&O lets it go", "digest": asked["digest"]}
        said = demo.as_user(name).post(f"/approvals/{asked['id']}/approve/", json=body)
        assert said.status_code in (200, 202), said.text

    demo.until(lambda: demo.incident(held["id"])["status"] == "resolved")

    rows = demo.world.get("/ledger/effects", params={"limit": 100_000}).json()
    done = [row for row in rows if row["system"] in ("dv", "sap") and row["kind"] not in ("person", "side_effect")]
    assert sorted(row["system"] for row in done) == ["dv", "sap"]
    assert demo.effects_twice() == {}


@pytest.mark.chaos
def test_it_stops_when_asked_and_goes_on_from_the_same_data(demo: Demo):
    before = {row["id"] for row in demo.incidents()}
    token = demo.ready["token"]

    assert demo.stop() == 0
    seconds = demo.start()

    assert demo.ready["token"] == token
    assert before <= {row["id"] for row in demo.incidents()}
    assert json.loads(demo.world.get("/ledger/effects", params={"limit": 1}).text)
    assert seconds < PATIENCE
