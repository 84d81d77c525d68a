"""The stream of exceptions, sent: events over HTTP, cases into the org; after a restart it goes on."""

from __future__ import annotations

import http.client
import json
import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from connectors.simulator.salesforce import sobjects
from connectors.simulator.store import PERSON, Store, now_text
from connectors.simulator.stream import CASE, EVENT, SECONDS, SIGNALS, Post, encoded, plan_posts, plan_signals

logger = logging.getLogger(__name__)

# F&O tries three times one second apart, then the event lies in its error log (wire: delivery).
EVENT_ATTEMPTS, EVENT_PAUSE = 3, 1.0
CLOUD_ATTEMPTS, CLOUD_PAUSE_LONGEST = 5, 8.0


@dataclass(frozen=True)
class Target:
    """Where the stream goes and what lets it in."""

    url: str
    hook_secret: str
    token: str


class Traffic(threading.Thread):
    """Sends the planned stream; what was sent is noted in the store, so a restart goes on rather than anew."""

    def __init__(self, store: Store, target: Target, *, signals: int = SIGNALS, seconds: float = SECONDS) -> None:
        super().__init__(name="traffic", daemon=True)
        self.store = store
        self.target = target
        self.signals = signals
        self.seconds = seconds
        self.stopping = threading.Event()

    def stop(self) -> None:
        """Ask the stream to end after the delivery at hand."""
        self.stopping.set()

    def run(self) -> None:
        """Wait for the target, then send what is still to be sent."""
        try:
            self._run()
        except Exception:
            logger.exception("the stream of exceptions ended early")
        finally:
            self.store.close()

    def _run(self) -> None:
        with self.store.read() as session:
            business, seed, today = session.meta("business"), int(session.meta("seed")), session.meta("today")
        if business != "demo" or self.signals <= 0:
            return
        posts = plan_posts(plan_signals(seed, today, least=self.signals, seconds=self.seconds), seed)
        if not self._wait_for_target():
            return
        sent, start = self._begin(len(posts))
        clock = time.monotonic() - (posts[sent].at if sent < len(posts) else 0)
        for index in range(sent, len(posts)):
            wait = clock + posts[index].at - time.monotonic()
            if self.stopping.wait(max(0.0, wait)):
                return
            self._deliver(posts[index], index, len(posts), start)

    def _wait_for_target(self) -> bool:
        """Knock once a second until something answers; an answer of any kind will do."""
        while not self.stopping.is_set():
            try:
                self._request("GET", "/health/live", b"", {})
            except (OSError, http.client.HTTPException):
                self.stopping.wait(1.0)
            else:
                return True
        return False

    def _begin(self, total: int) -> tuple[int, datetime]:
        """Read how far an earlier run came; the first run sets the clock that all times count from."""
        with self.store.write() as session:
            state = json.loads(session.meta("stream", "{}"))
            if not state:
                state = {"sent": 0, "total": total, "start": datetime.now(UTC).isoformat()}
                session.set_meta("stream", json.dumps(state))
        return int(state["sent"]), datetime.fromisoformat(state["start"])

    def _deliver(self, post: Post, index: int, total: int, start: datetime) -> None:
        """Deliver one post and note it; a crash between the two delivers it again, which adds nothing."""
        outcome = (0, None, None) if post.channel == CASE else self._push(post, start)
        with self.store.write() as session:
            if json.loads(session.meta("stream", "{}")).get("start") != start.isoformat():
                # Somebody reset the business meanwhile: this stream belongs to the old one.
                self.stop()
                return
            if post.channel == CASE:
                accounts = {row.fields["AccountNumber"]: row.key for row in session.records("sf", "Account")}
                for signal in post.signals:
                    fields = {name: value for name, value in signal.content.items() if name != "account"}
                    fields["AccountId"] = accounts.get(signal.content["account"])
                    sobjects.create(session, sobjects.SOBJECTS["Case"], fields, kind=PERSON)
            ids = ",".join(signal.id for signal in post.signals)
            session.connection.execute(
                "INSERT INTO posts(time, channel, ids, attempts, status, error) VALUES(?,?,?,?,?,?)",
                (now_text(), post.channel, ids, *outcome),
            )
            state = {"sent": index + 1, "total": total, "start": start.isoformat()}
            session.set_meta("stream", json.dumps(state))

    def _push(self, post: Post, start: datetime) -> tuple[int, int | None, str | None]:
        """Send a delivery; answers attempts, last status, and what went wrong in the end."""
        body, headers = encoded(post, start)
        if post.channel == EVENT:
            path, attempts = f"/api/v1/hooks/fo/{quote(self.target.hook_secret, safe='')}/", EVENT_ATTEMPTS
        else:
            path, attempts = "/api/v1/signals/", CLOUD_ATTEMPTS
            headers = {**headers, "Authorization": f"Bearer {self.target.token}"}
        status, error = None, None
        for attempt in range(1, attempts + 1):
            pause = EVENT_PAUSE if post.channel == EVENT else min(2.0 ** (attempt - 1), CLOUD_PAUSE_LONGEST)
            try:
                status, after = self._request("POST", path, body, headers)
                error = None if status < 300 else f"HTTP {status}"
                pause = max(pause, after)
            except (OSError, http.client.HTTPException) as failure:
                status, error = None, f"{type(failure).__name__}: {failure}"
            if error is None or (status is not None and 400 <= status < 500 and status not in (408, 429)):
                break
            if attempt == attempts or self.stopping.wait(pause):
                break
        if error is not None:
            logger.warning("not delivered after %d attempts: %s", attempt, error)
        return attempt, status, error

    def _request(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, float]:
        """Make one request; answers status and Retry-After in seconds."""
        return send(self.target.url, method, path, body, headers)


def send(url: str, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, float]:
    """Make one request of a console; answers status and Retry-After in seconds. Raises ``OSError``."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=10)
    try:
        connection.request(method, parts.path.rstrip("/") + path, body=body, headers=headers)
        response = connection.getresponse()
        response.read()
        after = response.headers.get("Retry-After", "0")
        return response.status, float(after) if after.isdigit() else 0.0
    finally:
        connection.close()
