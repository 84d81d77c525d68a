"""A demo that is killed in the middle of its stream and started again: nothing is lost, nothing is doubled."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.journeys.running import Demo


@pytest.fixture
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = Demo(tmp_path_factory.mktemp("killed") / "data")
    running.environment["DEMO_STREAM_SECONDS"] = "30"
    try:
        yield running
    finally:
        running.close()
        if running.process is not None and running.process.poll() is None:
            running.stop()


def stream(demo: Demo) -> dict[str, Any]:
    found: dict[str, Any] = demo.world.get("/control/stream").json()
    return found


def signals(demo: Demo) -> list[dict[str, Any]]:
    found, url = [], f"{demo.ready['url']}/api/v1/signals/?page_size=200"
    while url:
        page = demo.api.get(url).json()
        found += page["results"]
        url = page["next"]
    return found


@pytest.mark.chaos
def test_killed_in_the_middle_of_its_stream_it_goes_on_and_nothing_is_doubled(demo: Demo):
    demo.start()
    demo.until(lambda: stream(demo).get("sent", 0) >= 80)
    demo.kill()
    demo.start()
    demo.until(lambda: (now := stream(demo)) and now.get("sent") == now["total"])
    demo.until(lambda: {one["source"] for one in signals(demo)} >= {"mail", "slack", "dv", "sap", "crm", "fo"})

    told = [(one["source"], one["event_id"]) for one in signals(demo)]
    sent = demo.world.get("/ledger/sent").json()
    pushed = {key for row in sent if row["channel"] == "cloud_event" for key in row["ids"]}
    assert [key for key, count in Counter(told).items() if count > 1] == []
    assert pushed <= {event_id for _, event_id in told}
    assert demo.effects_twice() == {}
    assert stream(demo)["errors"] == []
    assert demo.audit_holds().returncode == 0
    assert "Traceback" not in demo.text()
