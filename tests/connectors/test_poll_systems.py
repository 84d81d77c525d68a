"""Polling: once per turn, with an overlap, each version of a record once, and a silent system is asked again."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from connectors import tasks
from connectors.inbound import polling
from connectors.models import Call, Connection, Delivery
from tests.connectors.business import ORDER, plant_case
from tests.connectors.conftest import Simulated
from tests.connectors.factories import Played, make_crm

CASE = {
    "attributes": {"type": "Case", "url": "/x"}, "Id": "500gs0000000001AAA", "Status": "New",
    "SystemModstamp": "2026-11-20T10:00:00.500+0000",
}  # fmt: skip
QUERY = "/services/data/v62.0/query"


@pytest.fixture
def crm(db: None, simulated: Simulated) -> Connection:
    return make_crm(f"{simulated.url}/sf", secret="simulator", poll=True)


def test_each_version_of_a_case_becomes_one_delivery(crm: Connection, simulated: Simulated) -> None:
    case = plant_case(simulated)
    polling.poll_one(crm)
    crm.refresh_from_db()
    polling.poll_one(crm)
    simulated.edit("sf", "Case", case["Id"], Priority="High")

    received = polling.poll_one(crm)

    assert (received.accepted, received.repeated) == (1, 0)
    assert [delivery.event for delivery in Delivery.objects.all()] == ["record:Case"] * 2
    assert [delivery.payload["Priority"] for delivery in Delivery.objects.all()] == ["Medium", "High"]
    assert Delivery.objects.latest("id").payload["Order_Number__c"] == ORDER


def test_the_next_poll_begins_a_little_before_the_last_stamp(db: None, played: Played) -> None:
    played.on("GET", QUERY, httpx.Response(200, json={"totalSize": 1, "done": True, "records": [CASE]}))
    connection = make_crm(poll=True)
    polling.poll_one(connection)
    connection.refresh_from_db()

    polling.poll_one(connection)

    assert connection.polled_until is not None
    assert connection.polled_until.isoformat() == "2026-11-20T10:00:00.500000+00:00"
    assert "SystemModstamp >= 2026-11-20T09:58:00.500Z ORDER BY" in played.calls[-1].url.params["q"]
    assert Delivery.objects.count() == 1


def test_pages_are_followed_by_their_path_until_done(db: None, played: Played) -> None:
    first = {"totalSize": 2, "done": False, "nextRecordsUrl": f"{QUERY}/01g-200", "records": [CASE]}
    second = {"totalSize": 2, "done": True, "records": [{**CASE, "Id": "500gs0000000002AAA"}]}
    played.on("GET", QUERY, httpx.Response(200, json=first))
    played.on("GET", f"{QUERY}/01g-200", httpx.Response(200, json=second))

    received = polling.poll_one(make_crm(poll=True))

    assert received.accepted == 2


@pytest.mark.parametrize("next_page", ["https://elsewhere.test/query", "", "//elsewhere.test/x"])
def test_a_page_that_continues_elsewhere_is_not_followed(db: None, played: Played, next_page: str) -> None:
    page = {"totalSize": 2, "done": False, "nextRecordsUrl": next_page, "records": []}
    played.on("GET", QUERY, httpx.Response(200, json=page))

    polling.poll_one(make_crm(poll=True))

    assert {request.url.host for request in played.requests} == {"contoso.my.salesforce.test"}
    assert Call.objects.get().outcome == "unanswered"


def test_an_instance_that_is_no_salesforce_address_gets_no_token(db: None, played: Played) -> None:
    token: dict[str, Any] = {"access_token": "t", "instance_url": "https://elsewhere.test"}
    played.on("POST", "token", httpx.Response(200, json=token))

    polling.poll_one(make_crm(poll=True))

    assert len(played.requests) == 1
    assert "no Salesforce address" in Call.objects.get().message


def test_a_silent_system_is_asked_again_from_where_it_was(crm: Connection, simulated: Simulated) -> None:
    plant_case(simulated)
    simulated.fault("fail_before", "GET .*query", system="sf")

    missed, found = polling.poll_one(crm), polling.poll_one(crm)

    assert (missed.accepted, found.accepted) == (0, 1)


@pytest.mark.usefixtures("one_turn")
def test_two_beats_poll_once_and_only_what_is_to_be_polled(db: None, played: Played) -> None:
    played.on("GET", QUERY, httpx.Response(200, json={"totalSize": 0, "done": True, "records": []}))
    make_crm(poll=True)
    make_crm(slug="quiet")
    make_crm(slug="off", poll=True, enabled=False)

    tasks.poll_connections()
    tasks.poll_connections()

    assert [call.connection.slug for call in Call.objects.all()] == ["crm"]


def test_a_poll_that_comes_late_does_not_turn_the_clock_back(db: None, played: Played) -> None:
    played.on("GET", QUERY, httpx.Response(200, json={"totalSize": 1, "done": True, "records": [CASE]}))
    connection = make_crm(poll=True)
    polling.poll_one(connection)
    late = Connection.objects.get(pk=connection.pk)
    assert late.polled_until is not None
    Connection.objects.update(polled_until=late.polled_until + timedelta(hours=1))

    polling.poll_one(late)

    assert Connection.objects.get().polled_until == late.polled_until + timedelta(hours=1)
