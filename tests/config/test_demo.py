"""What the demo prepares, and what of it a later start changes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config import demo
from connectors import actions
from connectors.models import Connection
from connectors.simulator.server import serve
from playbooks.telling.models import Subscription

pytestmark = pytest.mark.django_db
NAMES = ("URL", "IMAP", "SMTP", "SECRET")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data folder of its own, and an environment that is as before afterwards."""
    settings.DATA_DIR = tmp_path
    settings.STATIC_ROOT = tmp_path / "static"
    settings.OUTBOUND_ALLOW = []
    for name in (*(f"GOLDSEAM_SIMULATOR_{one}" for one in NAMES), "GOLDSEAM_HOOK_SECRET", "GOLDSEAM_SIGNING_SECRET"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("GOLDSEAM_DEMO_PASSWORD", "")
    monkeypatch.setattr(demo, "PACKS", ("o2c", "demo", "demo_channels"))


def connection(slug: str) -> Connection:
    return Connection.objects.get(slug=slug)


def test_every_channel_is_connected_and_only_the_simulator_may_be_called(settings: Any) -> None:
    demo.prepare("http://127.0.0.1:8001")

    mail = connection("mail").config
    ports = (mail["imap_port"], mail["smtp_port"])
    assert ports == (int(os.environ["GOLDSEAM_SIMULATOR_IMAP"]), int(os.environ["GOLDSEAM_SIMULATOR_SMTP"]))
    assert ["127.0.0.1:8001", *(f"127.0.0.1:{port}" for port in ports)] == settings.OUTBOUND_ALLOW
    assert set(Connection.objects.values_list("slug", flat=True)) == {"fo", "crm", "mail", "slack", "subscribers"}
    assert set(Subscription.objects.values_list("connection__slug", flat=True)) == {"mail", "slack", "subscribers"}


def test_a_second_start_leaves_everything_as_it_is(settings: Any) -> None:
    first = demo.prepare("http://127.0.0.1:8001")
    actions.update_connection(connection("fo"), actor="user:admin", label="Ours")
    before = connection("mail").config

    assert demo.prepare("http://127.0.0.1:8001") == first
    assert connection("fo").label == "Ours"
    assert connection("mail").config == before


def test_at_another_address_the_connections_follow(settings: Any) -> None:
    demo.prepare("http://127.0.0.1:8001")
    Subscription.objects.update(label="Ours")

    demo.prepare("http://127.0.0.1:9001")

    assert connection("fo").config["environment_url"] == "http://127.0.0.1:9001/fo"
    assert connection("slack").config["base_url"] == "http://127.0.0.1:9001/slack/api"
    # Only the connections: what a person has changed since must outlive a start.
    assert set(Subscription.objects.values_list("label", flat=True)) == {"Ours"}


def test_another_simulator_at_the_port_is_not_taken_for_its_own(tmp_path: Path) -> None:
    with (
        serve(tmp_path / "other", business="empty", synchronous="OFF") as other,
        subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as ours,
    ):
        with pytest.raises(RuntimeError, match="did not answer"):
            demo.wait_for(f"{other.url}/control/health", ours, seconds=0.3)
        assert ours.stdin is not None
        ours.stdin.close()
        ours.wait(timeout=20)

        with pytest.raises(RuntimeError, match="is its port taken"):
            demo.wait_for(f"{other.url}/control/health", ours)
