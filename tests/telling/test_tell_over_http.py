"""From the ledger to a subscriber over real sockets: signed, and kept once whatever the line does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from connectors import actions, transport
from connectors.kit import credentials
from connectors.models import Connection
from connectors.simulator import server
from connectors.simulator.receiver import signing_secret
from incidents.states import Status
from playbooks.telling import reading, sending
from playbooks.telling.models import Outgoing, Subscription
from playbooks.telling.states import Event
from tests.playbooks import scenes
from tests.simulator.bench import Bench
from tests.telling.factories import due_now, happen, make_subscription, states

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def subscriber(tmp_path: Path, settings: Any) -> Iterator[Bench]:
    credentials.forget_all()
    transport.close_all()
    with server.serve(tmp_path, business="empty", synchronous="OFF") as running:
        settings.OUTBOUND_ALLOW = [running.url.removeprefix("http://")]
        settings.PUBLIC_URL = "https://console.example"
        bench = Bench(running)
        yield bench
        bench.http.close()
        transport.close_all()


@pytest.fixture(params=["structured", "binary"])
def connection(request: pytest.FixtureRequest, subscriber: Bench) -> Connection:
    return actions.create_connection(
        "events", "cloudevents", actor="system:test", operations=["event.send"],
        secrets={"signing_secret": signing_secret("simulator")},
        config={"endpoint_url": f"{subscriber.url}/receiver/team", "mode": request.param},
    )  # fmt: skip


@pytest.fixture
def subscription(connection: Connection, watcher: User) -> Subscription:
    events = ["incident.resolved", "incident.rolled_back"]
    return make_subscription(watcher, connection=connection, operation="event.send", events=events)


def kept(subscriber: Bench) -> list[dict[str, Any]]:
    rows = subscriber.http.get("/ledger/effects").json()
    return [row["after"] for row in rows if row["system"] == "receiver"]


def carry_on(turns: int = 6) -> None:
    for _ in range(turns):
        reading.keep_up()
        due_now()
        Connection.objects.update(not_before=None)  # the pause that a 429 asked for is over
        for number in sending.due():
            sending.send(number)


def test_what_happened_reaches_the_subscriber_in_order(subscriber: Bench, subscription: Subscription) -> None:
    incident = scenes.make_incident(Status.ROLLED_BACK)
    happen(incident)
    happen(incident, Event.ROLLED_BACK)

    carry_on()

    assert [event["type"] for event in kept(subscriber)] == [
        "io.goldseam.incident.resolved", "io.goldseam.incident.rolled_back",
    ]  # fmt: skip
    assert kept(subscriber)[0]["subject"] == f"incident/{incident.pk}"
    assert kept(subscriber)[0]["data"]["incident"]["status"] == "rolled_back"


@pytest.mark.parametrize("fault", ["commit_then_reset", "commit_then_503", "reset_before", "429", "500", "html"])
def test_whatever_the_line_does_it_is_kept_once(
    subscriber: Bench, subscription: Subscription, fault: str, settings: Any
) -> None:
    settings.RETRY_BASE_SECONDS = 0.01
    subscriber.fault(fault, system="receiver", count=2, seconds=0)
    happen(scenes.make_incident(Status.RESOLVED))

    carry_on()

    taken_for_a_yes = fault == "html"  # a yes is a yes, whatever stands beside it
    assert states() == ["sent"]
    assert len(kept(subscriber)) == (0 if taken_for_a_yes else 1)


def test_a_subscriber_that_is_gone_is_left_in_peace_until_somebody_goes_on(
    subscriber: Bench, subscription: Subscription
) -> None:
    subscriber.fault("410", system="receiver", count=1)
    for _ in range(3):
        happen(scenes.make_incident(Status.RESOLVED))

    carry_on()

    asked = [row for row in subscriber.http.get("/ledger/requests").json() if row["system"] == "receiver"]
    assert len(asked) == 1
    assert "gone" in Subscription.objects.get().paused_reason
    from playbooks.telling import actions as telling

    telling.resume(subscription, actor="anna", reason="It is back.")
    carry_on()
    assert len(kept(subscriber)) == 3
    assert set(Outgoing.objects.values_list("state", flat=True)) == {"sent"}


def test_a_format_that_the_subscriber_does_not_take_is_a_dead_letter(
    subscriber: Bench, subscription: Subscription
) -> None:
    subscriber.fault("415", system="receiver", count=1)
    happen(scenes.make_incident(Status.RESOLVED))

    carry_on()

    row = Outgoing.objects.get()
    assert (row.state, "415" in row.state_reason, bool(row.guidance)) == ("dead", True, True)
