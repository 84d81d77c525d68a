"""How far a system was asked: equal stamps, clocks that differ, pages across the mark, floods, and rows that vanish."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from audit.clock import db_now
from connectors.base import Inbound
from connectors.inbound import polling, webhooks
from connectors.models import Call, Connection, Delivery
from tests.connectors.factories import Played, make_crm

QUERY = "/services/data/v62.0/query"
START = datetime(2026, 11, 20, 10, tzinfo=UTC)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"


class Org:
    """An org whose cases a test sets; it answers the poll's query as Salesforce does, in pages."""

    def __init__(self, played: Played, size: int = 2) -> None:
        self.rows: list[tuple[str, datetime]] = []
        self.size = size
        self.asked: list[datetime] = []
        self.found: list[tuple[str, datetime]] = []
        played.on("GET", QUERY, self.first)
        for at in range(1, 200):
            played.on("GET", f"{QUERY}/01g-{at}", lambda _, at=at: self.page(at))

    def first(self, request: httpx.Request) -> httpx.Response:
        text = request.url.params["q"].split("SystemModstamp >= ")[1].split(" ")[0]
        since = datetime.fromisoformat(text)
        self.asked.append(since)
        self.found = sorted((row for row in self.rows if row[1] >= since), key=lambda row: (row[1], row[0]))
        return self.page(0)

    def page(self, at: int) -> httpx.Response:
        rows = self.found[at * self.size : (at + 1) * self.size]
        done = (at + 1) * self.size >= len(self.found)
        records = [{"Id": key, "SystemModstamp": stamp(moment), "Status": "New"} for key, moment in rows]
        body: dict[str, Any] = {"done": done, "records": records}
        return httpx.Response(200, json=body if done else {**body, "nextRecordsUrl": f"{QUERY}/01g-{at + 1}"})


@pytest.fixture
def org(db: None, played: Played) -> Org:
    return Org(played)


@pytest.fixture
def crm(org: Org) -> Connection:
    connection = make_crm(poll=True)
    Connection.objects.filter(pk=connection.pk).update(polled_until=START)
    return connection


def poll(connection: Connection) -> tuple[int, int]:
    received = polling.poll_one(Connection.objects.get(pk=connection.pk))
    return received.accepted, received.repeated


def mark(connection: Connection) -> datetime | None:
    return Connection.objects.get(pk=connection.pk).polled_until


def test_rows_with_one_stamp_are_all_taken_even_across_pages(org: Org, crm: Connection) -> None:
    org.rows = [(f"c{number}", START) for number in range(5)]

    assert poll(crm) == (5, 0)
    org.rows.append(("c9", START))
    assert poll(crm) == (1, 5)


def test_a_row_that_becomes_visible_late_is_still_seen(org: Org, crm: Connection) -> None:
    org.rows = [("a", START + timedelta(minutes=5))]
    poll(crm)
    org.rows.append(("late", START + timedelta(minutes=3, seconds=30)))

    assert poll(crm) == (1, 1)


def test_the_mark_never_goes_back_and_stays_where_nothing_came(org: Org, crm: Connection) -> None:
    assert poll(crm) == (0, 0)
    assert mark(crm) == START
    org.rows = [("a", START - timedelta(minutes=1))]

    assert poll(crm) == (1, 0)
    assert mark(crm) == START


def test_a_stamp_of_tomorrow_does_not_hide_what_comes_until_then(org: Org, crm: Connection) -> None:
    tomorrow = db_now() + timedelta(days=1)
    org.rows = [("ahead", tomorrow)]
    poll(crm)
    org.rows.append(("now", db_now()))

    assert poll(crm) == (1, 1)
    reached = mark(crm)
    assert reached is not None
    assert reached <= db_now()


def test_a_row_without_a_readable_stamp_is_kept_and_moves_no_mark(org: Org, crm: Connection, played: Played) -> None:
    row = {"Id": "a", "SystemModstamp": "yesterday", "Status": "New"}
    played.on("GET", QUERY, httpx.Response(200, json={"done": True, "records": [row]}))

    assert poll(crm) == (1, 0)
    assert mark(crm) == START


def test_each_version_is_told_once_and_a_deleted_row_is_simply_not_told(org: Org, crm: Connection) -> None:
    org.rows = [("a", START), ("b", START)]
    poll(crm)
    org.rows = [("a", START + timedelta(minutes=1))]

    assert poll(crm) == (1, 0)
    assert list(Delivery.objects.values_list("external_id", flat=True)) == [
        f"a:{stamp(START)}", f"b:{stamp(START)}", f"a:{stamp(START + timedelta(minutes=1))}",
    ]  # fmt: skip


def test_a_flood_is_taken_in_turns_oldest_first_and_nothing_of_it_is_lost(org: Org, crm: Connection) -> None:
    org.rows = [(f"c{number:03d}", START + timedelta(minutes=number * 3)) for number in range(120)]

    turns = [poll(crm)[0] for _ in range(4)]

    assert turns[0] == 50
    assert sum(turns) == 120
    assert Delivery.objects.count() == 120


def test_a_page_that_breaks_off_keeps_the_mark_for_the_next_time(org: Org, crm: Connection, played: Played) -> None:
    org.rows = [(f"c{number}", START + timedelta(minutes=number * 3)) for number in range(3)]
    played.on("GET", f"{QUERY}/01g-1", httpx.ReadTimeout("late"))
    assert poll(crm) == (0, 0)
    assert mark(crm) == START
    played.on("GET", f"{QUERY}/01g-1", lambda _: org.page(1))

    assert poll(crm) == (3, 0)


@pytest.mark.parametrize("link", [None, "", "https://evil.test/services/data/", "//evil.test", "services/data/x", 7])
def test_a_cursor_that_leads_elsewhere_ends_the_poll(org: Org, crm: Connection, played: Played, link: Any) -> None:
    body = {"done": False, "records": [], "nextRecordsUrl": link}
    played.on("GET", QUERY, httpx.Response(200, json=body))

    assert poll(crm) == (0, 0)

    assert Call.objects.latest("id").outcome == "unanswered"
    assert len(played.calls) == 1


@pytest.mark.parametrize("change", [{"enabled": False}, {"kind": "withdrawn"}, {"not_before": "later"}])
def test_what_may_not_be_asked_is_not_asked_and_keeps_its_mark(
    org: Org, crm: Connection, played: Played, change: dict[str, Any]
) -> None:
    if "not_before" in change:
        change = {"not_before": db_now() + timedelta(minutes=5)}
    Connection.objects.filter(pk=crm.pk).update(**change)

    assert poll(crm) == (0, 0)

    assert played.requests == []
    assert mark(crm) == START
    assert Call.objects.get().outcome == "blocked"


def test_two_that_poll_at_once_keep_each_row_once(org: Org, crm: Connection) -> None:
    org.rows = [("a", START), ("b", START)]
    told = [Inbound(f"a:{stamp(START)}", "record:Case", {}, START)]
    webhooks.store(crm, told)

    assert poll(crm) == (1, 1)
    assert Delivery.objects.count() == 2
