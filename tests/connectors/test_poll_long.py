"""Polling Salesforce when much has changed: part by part, nothing left out, and on from where it broke off."""

from typing import Any

import httpx
import pytest

from connectors.inbound import polling
from connectors.models import Connection, Delivery
from tests.connectors.business import plant_case
from tests.connectors.conftest import Simulated
from tests.connectors.factories import Played, make_crm
from tests.connectors.test_poll_systems import CASE, QUERY


class Org:
    """Cases with their stamps, as SOQL gives them: the oldest first, so many at a time."""

    def __init__(self, *stamps: str) -> None:
        self.rows = [{**CASE, "Id": f"500gs{number:010}AAA", "SystemModstamp": at} for number, at in enumerate(stamps)]
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        query = request.url.params["q"]
        self.asked.append(query)
        rows = self.rows
        if "Id > '" in query:
            last = query.split("Id > '")[1].split("'")[0]
            rows = [row for row in rows if row["Id"] > last]
        limit = int(query.rpartition("LIMIT ")[2])
        return httpx.Response(200, json={"totalSize": len(rows), "done": True, "records": rows[:limit]})


def test_more_cases_with_one_stamp_than_a_part_holds_all_come(
    db: None, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.kinds.salesforce.polling.MOST_ROWS", 10)
    org = Org(*["2026-11-20T10:00:00.000+0000"] * 25)
    played.on("GET", QUERY, org)
    connection = make_crm(poll=True)

    received = polling.poll_one(connection)

    assert (received.accepted, received.repeated, len(org.asked)) == (25, 0, 3)
    assert "SystemModstamp > 2026-11-20T10:00:00.000Z OR" in org.asked[1]
    assert Connection.objects.get().bookmarks == {}


def test_a_poll_that_breaks_off_goes_on_behind_the_last_part(
    db: None, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.kinds.salesforce.polling.MOST_ROWS", 10)
    monkeypatch.setattr(polling, "MOST_PARTS", 1)
    org = Org(*["2026-11-20T10:00:00.000+0000"] * 15)
    played.on("GET", QUERY, org)
    first = polling.poll_one(make_crm(poll=True))
    kept = Connection.objects.get().bookmarks

    second = polling.poll_one(Connection.objects.get())

    assert kept == {"left_off": ["2026-11-20T10:00:00.000+0000", org.rows[9]["Id"]]}
    assert (first.accepted, second.accepted, second.repeated) == (10, 5, 0)


def test_a_gap_told_of_during_a_long_poll_is_asked_for_after_it(
    db: None, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.kinds.salesforce.polling.MOST_ROWS", 10)
    org = Org(*["2026-11-20T10:00:00.000+0000"] * 15)
    played.on("GET", QUERY, org)
    connection = make_crm(poll=True)
    stamp, gap = ["2026-11-20T10:00:00.000+0000", org.rows[9]["Id"]], "2026-11-20T09:00:00+00:00"
    Connection.objects.update(bookmarks={"left_off": stamp, "resync:x": gap})
    connection.refresh_from_db()

    polling.poll_one(connection)
    assert Connection.objects.get().bookmarks == {"resync:x": gap}
    polling.poll_one(Connection.objects.get())

    assert "SystemModstamp >= 2026-11-20T08:58:00.000Z" in org.asked[1]
    assert Connection.objects.get().bookmarks == {}


@pytest.mark.parametrize(
    "bookmark", [7, [], ["x", "y"], ["2026-11-20T10:00:00.000+0000", "' OR Id != '"], [None, None]]
)
def test_a_bookmark_that_is_none_is_not_followed(db: None, played: Played, bookmark: Any) -> None:
    played.on("GET", QUERY, Org())
    connection = make_crm(poll=True)
    Connection.objects.update(bookmarks={"left_off": bookmark})
    connection.refresh_from_db()

    polling.poll_one(connection)

    assert "WHERE SystemModstamp >= " in played.calls[-1].url.params["q"]


def test_the_simulators_paging_agrees_with_what_is_asked(
    db: None, simulated: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.kinds.salesforce.polling.MOST_ROWS", 3)
    for _ in range(8):
        plant_case(simulated)

    received = polling.poll_one(make_crm(f"{simulated.url}/sf", secret="simulator", poll=True))

    assert (received.accepted, Delivery.objects.count()) == (8, 8)
