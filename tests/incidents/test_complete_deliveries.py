"""A delivery that left its record out is judged by the record, read when it is judged, and by nothing less."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from audit.clock import db_now
from connectors import transport
from connectors.kit import credentials
from connectors.models import Delivery
from incidents.detection import process
from incidents.models import Signal
from tests.connectors.factories import Played, make_dv
from tests.incidents.factories import NOON, make_kind

pytestmark = pytest.mark.django_db

ID = "2f0c1c1e-0000-0000-0000-000000000001"
PATH = f"/api/data/v9.2/accounts({ID})"
ROW = {"accountid": ID, "accountnumber": "DE-001", "creditonhold": True}
HELD: dict[str, Any] = {
    "connection": "dv",
    "event": "account.Update",
    "where": "event.Target.creditonhold == true",
    "entity_key": "event.Target.accountnumber",
}


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    """A Dataverse that the test plays, and a kind that asks for accounts on hold."""
    credentials.forget_all()
    system = Played()
    monkeypatch.setattr(transport, "wire", lambda: httpx.MockTransport(system))
    make_kind(detect=[HELD])
    yield system
    transport.close_all()


def shortened() -> Delivery:
    payload = {"PrimaryEntityName": "account", "PrimaryEntityId": ID, "Target": {}, "Shortened": True}
    return Delivery.objects.create(
        connection=make_dv(),
        external_id="m-1",
        event="account.Update",
        payload=payload,
        occurred_at=NOON,
        received_at=db_now() - timedelta(minutes=1),
    )


def test_what_was_left_out_is_read_and_then_judged(crm):
    crm.on("GET", PATH, httpx.Response(200, json=ROW))
    delivery = shortened()

    assert process(delivery.pk) == "signal"

    assert Signal.objects.get().entity_key == "DE-001"
    assert Signal.objects.get().raw == delivery.payload


def test_a_system_that_is_away_is_asked_again_and_the_delivery_waits(crm):
    crm.on("GET", PATH, httpx.Response(503))
    delivery = shortened()

    assert process(delivery.pk) == ""

    delivery.refresh_from_db()
    assert delivery.processed_at is None
    assert delivery.not_before is not None
    crm.on("GET", PATH, httpx.Response(200, json=ROW))
    Delivery.objects.update(not_before=None)
    assert process(delivery.pk) == "signal"


def test_a_record_that_is_gone_tells_of_nothing(crm):
    assert process(shortened().pk) == "no_rule"
    assert not Signal.objects.exists()
