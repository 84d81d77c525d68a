"""A running demo with its simulator, and people at browsers in front of it."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.ports import free_pair

ROOT = Path(__file__).parents[2]
SHOTS = Path(__file__).parent / "screenshots"
READY = re.compile(r"ready (?P<url>\S+) user=admin password=(?P<password>\S+) token=(?P<token>\S+)")
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
# A browser says this of every answer that is no success; whether one was due is for the journey to say.
EXPECTED = re.compile(r"the server responded with a status of (401|403|404|409|422)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@dataclass
class Demo:
    """The address of a running demo, how to get in, and its API."""

    url: str
    password: str
    token: str
    simulator: str

    def get(self, path: str, **params: Any) -> Any:
        """Ask the API."""
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=params, headers=headers, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def approval(self, page: Page, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return a pending request that fits, waiting while the stream brings one."""
        for _ in range(180):
            found = [one for one in self.get("approvals/", state="pending", page_size=200)["results"] if fits(one)]
            if found:
                return dict(found[-1])
            page.wait_for_timeout(1_000)
        raise AssertionError("No such approval was asked within three minutes.")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Start the demo on free ports, with a quick stream, and stop it at the end."""
    port, folder = free_pair(), tmp_path_factory.mktemp("demo")
    log = (folder / "log").open("w+")
    environment = {**os.environ, "PORT": str(port), "DATA_DIR": str(folder), "DEMO_STREAM_SECONDS": "40"}
    environment.pop("DATABASE_URL", None)
    command = [sys.executable, "manage.py", "demo"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        said = wait_for_ready(process, folder / "log")
        started = Demo(said["url"], said["password"], said["token"], f"http://127.0.0.1:{port + 1}")
        wait_for_incidents(started, process)
        yield started
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def wait_for_ready(process: "subprocess.Popen[bytes]", log: Path) -> dict[str, str]:
    """Return what the demo's ready line says."""
    for _ in range(120):
        found = READY.search(log.read_text())
        if found:
            return found.groupdict()
        try:
            process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(f"The demo did not start:\n{log.read_text()[-3000:]}")


def wait_for_incidents(demo: Demo, process: "subprocess.Popen[bytes]") -> None:
    """Return once the stream has brought a handful, so that every list has rows."""
    for _ in range(120):
        if len(demo.get("incidents/", page_size=5)["results"]) == 5:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
    raise AssertionError("The stream brought no incidents within a minute.")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's own Chromium; Playwright's download is never used."""
    path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Desk:
    """One person at one browser; whatever the browser complains of is kept."""

    page: Page
    demo: Demo
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open a page of the console and wait until its script runs."""
        self.page.goto(self.demo.url + path)
        self.page.wait_for_load_state("load")

    def shot(self, name: str) -> None:
        """Keep a picture of the whole page for people to look at."""
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def heard(self, message: ConsoleMessage) -> None:
        """Keep what the console says, unless it only repeats an answer that was due."""
        if message.type in ("error", "warning") and not EXPECTED.search(message.text):
            self.complaints.append(f"{self.page.url}: {message.text}")


@pytest.fixture
def desk(demo: Demo, chromium: Browser) -> Iterator[Callable[..., Desk]]:
    """``desk("operator", width=390, scheme="dark")`` seats a person; no browser may have complained in the end."""
    contexts: list[BrowserContext] = []
    desks: list[Desk] = []

    def seat(username: str = "", *, width: int = 1280, scheme: Any = "light") -> Desk:
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        seated = Desk(context.new_page(), demo)
        desks.append(seated)
        seated.page.on("console", seated.heard)
        seated.page.on("pageerror", lambda error: seated.complaints.append(str(error)))
        if username:
            sign_in(seated, username)
        return seated

    yield seat
    complaints = [complaint for one in desks for complaint in one.complaints]
    for context in contexts:
        context.close()
    assert complaints == []


def sign_in(desk: Desk, username: str) -> None:
    """Sign in as a person does."""
    desk.go("/login/")
    desk.page.get_by_label("User name").fill(username)
    desk.page.get_by_label("Password").fill(desk.demo.password)
    desk.page.get_by_role("button", name="Sign in").click()
    desk.page.wait_for_url(f"{desk.demo.url}/")
