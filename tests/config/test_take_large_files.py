"""What the embedded server takes: event logs are files, larger than any other body."""

import threading

import httpx
import pytest
from django.db import connections

from config.embedded import Embedded
from tests.factories import make_token, make_user
from tests.ports import free_pair


@pytest.mark.django_db(transaction=True)
def test_an_event_log_larger_than_any_other_body_is_taken(settings, tmp_path, monkeypatch):
    # The server's threads must leave no connection behind, or the test database could not be dropped.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    settings.INSIGHTS_DIR = tmp_path
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 200_000
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    token = make_token(make_user("owner", role="automation_admin"))
    port = free_pair()
    embedded = Embedded("127.0.0.1", port)
    serving = threading.Thread(target=embedded.serve, daemon=True)
    serving.start()
    lines = "".join(f"SO-{number},Create order,2026-11-03T12:00:00Z\n" for number in range(20_000))
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", headers={"Authorization": f"Bearer {token}"})

    with client:
        log = client.post(
            "/event-logs/", files={"file": ("orders.csv", "case,activity,time\n" + lines)}, data={"name": "Orders"}
        )
        other = client.post("/signals/", content=b"x" * 300_000, headers={"Content-Type": "application/json"})
    embedded.server.close()
    serving.join(10)

    assert log.status_code == 202, log.text
    assert other.status_code == 413
    assert not serving.is_alive()
