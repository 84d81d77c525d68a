"""A bucket for tests: a server of S3 that nobody here wrote, on loopback, looked into past our own door."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from insights import actions
from insights.eventlog import importing
from insights.models import EventLog
from insights.objectstore import cache
from insights.states import LogState
from tests.insights.factories import at
from tests.insights.files import text_of

# Nothing listens there.
NOWHERE = "http://127.0.0.1:9"
HEADER = ("case", "activity", "time", "country")
MAPPING = {"case": "case", "activity": "activity", "timestamp": "time"}
COUNT = "SELECT count(*) FROM events"


@dataclass
class Outside:
    """One bucket, seen with another client than ours."""

    endpoint: str
    name: str = field(default_factory=lambda: f"logs-{uuid4().hex[:12]}")

    def __post_init__(self) -> None:
        import boto3

        self.client: Any = boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1", aws_access_key_id="key",
            aws_secret_access_key="secret",
        )  # fmt: skip
        self.client.create_bucket(Bucket=self.name)

    def keys(self) -> list[str]:
        """Every object's name, in order."""
        return sorted(one["Key"] for one in self.client.list_objects_v2(Bucket=self.name).get("Contents", []))

    def body(self, key: str) -> bytes:
        """What an object holds."""
        found: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return found

    def put(self, key: str, body: bytes) -> None:
        """Write an object, or over one."""
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def remove(self, key: str) -> None:
        """Take an object away."""
        self.client.delete_object(Bucket=self.name, Key=key)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a server of S3."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def store(s3_server: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Outside:
    """A bucket of this test's own, which the settings name; as in a new process no line to it is open yet."""
    monkeypatch.setattr("insights.objectstore.bucket._OPEN", {})
    monkeypatch.setattr("insights.objectstore.cache._KNOWN", {})
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    outside = Outside(s3_server)
    settings.INSIGHTS_STORE = f"s3://{outside.name}/goldseam/logs"
    settings.INSIGHTS_S3_ENDPOINT = s3_server
    settings.INSIGHTS_S3_KEY, settings.INSIGHTS_S3_SECRET = "key", "secret"
    settings.INSIGHTS_CACHE_MB = 64
    settings.OUTBOUND_TIMEOUT_SECONDS = 5.0
    return outside


@pytest.fixture
def unreachable(store: Outside, settings: Any) -> Any:
    """``unreachable()``: from now on nobody answers where the store is said to be."""

    def leave() -> None:
        settings.INSIGHTS_S3_ENDPOINT = NOWHERE

    return leave


def orders(cases: int = 40) -> bytes:
    """So many orders in three variants, with the country of each."""
    steps = [["open", "check", "ship"], ["open", "ship"], ["open", "check", "check", "ship"]]
    rows = [
        (f"c{case}", name, at(case * 7 + hour).isoformat(), "ES" if case % 4 else "FR")
        for case in range(cases)
        for hour, name in enumerate(steps[case % 3])
    ]
    content: bytes = text_of(rows, header=HEADER).encode()
    return content


def waiting(content: bytes = b"", **more: Any) -> EventLog:
    """A log that waits for a worker."""
    return actions.receive(iter([content or orders()]), name="Orders", actor="ann", mapping=MAPPING, **more)


def imported(**more: Any) -> EventLog:
    """A log that was imported to wherever the settings say."""
    return importing.run(waiting(**more).pk, aside=False)


def again(log: EventLog) -> EventLog:
    """The log after one more import of the same file."""
    EventLog.objects.filter(pk=log.pk).update(state=LogState.IMPORTING, lease_until=None, lease_token="")
    return importing.run(log.pk, aside=False)


def empty_cache() -> None:
    """Make this machine one that has never seen a log."""
    for path in cache.root().glob("*/*"):
        path.unlink()


def copies() -> list[str]:
    """The names of the copies on this machine."""
    return sorted(path.name for path in cache.root().glob("*/*"))


def key_of(log: EventLog, name: str = "events") -> str:
    """The name of a table's object in the bucket."""
    return f"goldseam/logs/{log.tables[name]['key']}"
