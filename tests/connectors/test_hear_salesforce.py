"""Events of Salesforce relayed as JSON, gaps that ask for a poll, and one case that is told of in many ways."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from django.utils import timezone

from connectors import gateway, tasks
from connectors.inbound import bookmarks, polling
from connectors.models import Call, Connection, Delivery
from incidents.detection import process
from incidents.models import Incident, Signal
from tests.connectors.business import ORDER, plant_case
from tests.connectors.conftest import Simulated
from tests.connectors.factories import HOOK_SECRET, Played, make_crm
from tests.connectors.sf_words import CASE, change, envelope, notification, tell
from tests.incidents.factories import make_kind

RECORD = f"/services/data/v62.0/sobjects/Case/{CASE}"
QUERY = "/services/data/v62.0/query"
ROW = {
    "attributes": {"type": "Case"}, "Id": CASE, "CaseNumber": "00001001", "Status": "New", "Order_Number__c": "SO-1",
    "Goldseam_Key__c": None, "SystemModstamp": "2026-11-20T10:00:00.000+0000",
}  # fmt: skip
OPEN_CASE: dict[str, Any] = {
    "connection": "crm", "event": "record:Case", "entity_key": "event.CaseNumber",
    "where": "event.Status != 'Closed' && event.Goldseam_Key__c == null",
}  # fmt: skip


@pytest.fixture
def crm(db: None) -> Connection:
    return make_crm(hook_secret=HOOK_SECRET)


# --- change events and platform events ------------------------------------------------------------
def test_a_change_names_each_of_its_records_once(crm: Connection) -> None:
    other = "500gs0000000002AAA"
    answers = [tell(change(recordIds=[CASE, other, CASE[:15]])).json() for _ in range(2)]

    assert answers == [{"accepted": 2, "repeated": 0}, {"accepted": 0, "repeated": 2}]
    assert set(Delivery.objects.values_list("external_id", flat=True)) == {f"Case:{CASE}:6", f"Case:{other}:6"}
    kept = Delivery.objects.order_by("id")[0]
    assert (kept.event, kept.payload["Id"], kept.payload["Status"]) == ("record:Case", CASE, "Working")
    assert kept.occurred_at == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda event: event["data"],
        lambda event: event["data"]["payload"],
        lambda event: {"replayId": "AAAAAAACPuQAAA==", "payload": event["data"]["payload"]},
        lambda event: {"detail-type": "CaseChangeEvent", "detail": {"payload": event["data"]["payload"]}},
        lambda event: {"specversion": "1.0", "id": "1", "source": "/sf", "type": "x", "data": event["data"]["payload"]},
        lambda event: [event, event],
    ],
)
def test_relays_may_wrap_a_change_in_their_own_way(crm: Connection, wrapped: Any) -> None:
    assert tell(wrapped(change())).json()["accepted"] == 1
    assert Delivery.objects.get().payload["Id"] == CASE


def test_without_a_replay_id_the_place_in_the_transaction_is_the_identity(crm: Connection) -> None:
    tell(change(None))
    tell(change(None, sequenceNumber=2))

    assert tell(change(None, changeOrigin="x")).json() == {"accepted": 0, "repeated": 1}
    assert Delivery.objects.order_by("id")[0].external_id.endswith("229c6786473e:1")


@pytest.mark.parametrize(
    ("origin", "kept"),
    [
        ("com/salesforce/api/rest/62.0;client=Goldseam", 0),
        ("com/salesforce/api/rest/62.0;client=Goldseam2", 1),
        ("com/salesforce/api/rest/62.0;client=Astro", 1),
        ("", 1),
        (None, 1),
    ],
)
def test_our_own_changes_tell_nothing(crm: Connection, origin: str | None, kept: int) -> None:
    assert tell(change(changeOrigin=origin)).json() == {"accepted": kept, "repeated": 0}


def test_what_was_emptied_is_nothing_and_a_difference_is_no_value(crm: Connection) -> None:
    fields = {"Status": "New", "Description": "--- a\n+++ b"}
    tell(change(fields=fields, nulledFields=["Reason"], diffFields=["Description"]))

    told = Delivery.objects.get().payload
    assert ("Description" in told, told["Reason"], told["Status"]) == (False, None, "New")


@pytest.mark.parametrize(
    ("entity", "kind", "event"),
    [
        ("Case", "GAP_UPDATE", "record:Case"),
        ("Case", "GAP_DELETE", "deleted:Case"),
        ("Case", "UNDELETE", "record:Case"),
        ("Order", "UPDATE", "changed:Order"),
        ("Order", "GAP_CREATE", "gap:Order"),
        ("Order", "DELETE", "deleted:Order"),
    ],
)
def test_a_change_is_told_for_what_is_known_of_it(crm: Connection, entity: str, kind: str, event: str) -> None:
    tell(change(entityName=entity, changeType=kind))

    kept = Delivery.objects.get()
    assert kept.event == event
    assert kept.payload["attributes"].get("reading") == ("due" if event == "record:Case" else None)


def test_an_object_that_was_named_for_queries_is_read_too(db: None) -> None:
    make_crm(hook_secret=HOOK_SECRET, config={"query_entities": "Order, Owner"})
    tell(change(entityName="Order"))

    assert Delivery.objects.get().event == "record:Order"


def test_a_platform_event_is_named_by_its_channel_and_its_replay_id(crm: Connection) -> None:
    payload = {"Order__c": "SO-1", "CreatedDate": "2026-01-01T00:00:00.000Z"}
    event = {"channel": "/event/Shipment_Late__e", "data": {"schema": "dffQ2QLz", "payload": payload}}
    told = [tell(body).json()["accepted"] for body in (event, event, {**event, "replayId": 7})]

    kept = Delivery.objects.order_by("id")[1]
    assert told == [1, 0, 1]
    assert (kept.event, kept.external_id) == ("Shipment_Late__e", "Shipment_Late__e:7")
    assert kept.payload["Order__c"] == "SO-1"
    assert kept.occurred_at == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "body",
    [
        [], {}, 7, "text", None, [[]], {"data": 7}, {"payload": {"a": 1}}, {"channel": "/event/../x!", "data": {}},
        change(entityName=""), change(entityName="Case/../x"), change(changeType="EXPLODE"), change(changeType=None),
        change(recordIds=[]), change(recordIds="500"), change(recordIds=[7]), change(recordIds=["../Account"]),
        [change(), {}],
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused_whole(crm: Connection, body: Any) -> None:
    assert tell(body).status_code == 400
    assert not Delivery.objects.exists()


def test_too_many_events_or_records_are_too_large(crm: Connection) -> None:
    keys = [f"500gs00000{number:05}" for number in range(5001)]

    assert tell([{}] * 1001).status_code == 413
    assert tell(change(recordIds=keys)).status_code == 413
    assert not Delivery.objects.exists()


# --- gaps of unknown size -------------------------------------------------------------------------
@pytest.mark.parametrize("header", [{"changeType": "GAP_OVERFLOW"}, {"recordIds": ["500*"]}])
def test_a_gap_of_unknown_size_lets_the_next_poll_begin_before_it_even_where_none_is_made(
    crm: Connection, played: Played, header: dict[str, Any]
) -> None:
    committed = datetime(2026, 11, 20, 10, 2, tzinfo=UTC)
    lookback = (timezone.now() - committed).days + 30
    crm.config = {**crm.config, "lookback_days": min(lookback, 365)}
    crm.save()
    played.on("GET", QUERY, httpx.Response(200, json={"totalSize": 1, "done": True, "records": [ROW]}))
    tell(change(**header, commitTimestamp=int(committed.timestamp() * 1000)))
    tasks.poll_connections()
    crm.refresh_from_db()

    asked = played.calls[0].url.params["q"]
    assert "SystemModstamp >= 2026-11-20T10:00:00.000Z" in asked
    assert list(Delivery.objects.values_list("event", flat=True)) == ["resync:Case", "record:Case"]
    assert not bookmarks.wanted(crm)


def test_a_gap_of_another_object_is_told_and_asks_for_nothing(crm: Connection) -> None:
    tell(change(entityName="Order", changeType="GAP_OVERFLOW"))
    crm.refresh_from_db()

    assert Delivery.objects.get().event == "resync:Order"
    assert crm.bookmarks == {}


def test_a_gap_from_long_ago_asks_for_no_more_than_a_first_poll_would(crm: Connection, played: Played) -> None:
    played.on("GET", QUERY, httpx.Response(200, json={"totalSize": 0, "done": True, "records": []}))
    tell(change(changeType="GAP_OVERFLOW", commitTimestamp=0))
    polling.poll_one(Connection.objects.get())

    year = int(played.calls[0].url.params["q"].split("SystemModstamp >= ")[1][:4])
    assert year >= timezone.now().year - 1


def test_what_two_keep_of_their_polls_is_not_lost(crm: Connection) -> None:
    Connection.objects.update(bookmarks={"resync:b": "2026", "token": "1"})

    bookmarks.remember(crm, {"token": "1", "left_off": ["x", "y"]}, {"token": "2"})
    bookmarks.remember(crm, {"token": "1"}, {"token": "3"})

    assert Connection.objects.get().bookmarks == {"resync:b": "2026", "token": "2"}


# --- one case, told in many ways ------------------------------------------------------------------
def test_a_case_told_by_poll_message_and_change_is_one_signal_of_one_incident(db: None, simulated: Simulated) -> None:
    make_kind(detect=[OPEN_CASE])
    crm = make_crm(f"{simulated.url}/sf", secret="simulator", hook_secret=HOOK_SECRET, poll=True)
    case = plant_case(simulated)
    told = [envelope(notification(case["Id"])), change(recordIds=[case["Id"]]), change(7, recordIds=[case["Id"][:15]])]
    for body in told:
        assert tell(body).status_code in (200, 202)
    polling.poll_one(crm)

    outcomes = [process(row.pk) for row in Delivery.objects.order_by("-id")]

    signal = Signal.objects.get()
    assert outcomes == ["signal"] * 4
    assert Incident.objects.count() == 1
    assert signal.entity_key == case["CaseNumber"]
    assert Signal.objects.get().event_id == f"{case['Id']}:{case['SystemModstamp']}/duplicate_invoice"


def test_a_message_alone_is_judged_by_the_record_as_it_stands(db: None, simulated: Simulated) -> None:
    make_kind(detect=[{**OPEN_CASE, "attributes": {"order": "event.Order_Number__c"}}])
    make_crm(f"{simulated.url}/sf", secret="simulator", hook_secret=HOOK_SECRET)
    case = plant_case(simulated)
    tell(envelope(notification(case["Id"], fields="<any:Status>Closed</any:Status>")))

    assert process(Delivery.objects.get().pk) == "signal"
    signal = Signal.objects.get()
    assert (signal.channel, signal.attributes["order"]) == ("hook", ORDER)
    assert signal.raw["Status"] == "Closed"


def test_a_polled_case_says_that_it_was_polled(db: None, simulated: Simulated) -> None:
    make_kind(detect=[OPEN_CASE])
    plant_case(simulated)
    polling.poll_one(make_crm(f"{simulated.url}/sf", secret="simulator", poll=True))
    process(Delivery.objects.get().pk)

    assert Signal.objects.get().channel == "poll"


def test_a_case_that_is_gone_tells_of_nothing(crm: Connection, played: Played) -> None:
    make_kind(detect=[OPEN_CASE])
    played.on("GET", RECORD, httpx.Response(404, json=[{"message": "gone", "errorCode": "ENTITY_IS_DELETED"}]))
    tell(envelope(notification(fields="<any:Status>New</any:Status>")))

    assert process(Delivery.objects.get().pk) == "no_rule"
    assert not Signal.objects.exists()


def test_another_record_in_its_place_is_not_believed(crm: Connection, played: Played) -> None:
    make_kind(detect=[OPEN_CASE])
    played.on("GET", RECORD, httpx.Response(200, json={**ROW, "Id": "500gs0000000009AAA"}))
    tell(envelope())

    assert process(Delivery.objects.get().pk) == ""
    assert not Signal.objects.exists()
    assert "another record" in Call.objects.get().message


def test_our_writes_carry_the_name_by_which_their_events_are_known(db: None, played: Played) -> None:
    crm = make_crm(config={"client_name": "Mender"})
    played.on("PATCH", RECORD, httpx.Response(204)).on("GET", RECORD, httpx.Response(200, json=ROW))

    gateway.call(crm, "case.close", {"case": CASE}, actor="system:test", effect_key="k-1")
    gateway.call(crm, "case.get", {"id": CASE}, actor="system:test")

    named = {(request.method, request.headers.get("Sforce-Call-Options")) for request in played.calls}
    assert named == {("PATCH", "client=Mender"), ("GET", None)}
