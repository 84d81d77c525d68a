"""What SAP tells, and IDocs both ways: taken once, read as what it is, followed to its end; and polling."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from connectors import gateway, registry
from connectors.base import Blocked, Refused, Unanswered
from connectors.inbound import polling, webhooks
from connectors.models import Connection, Delivery
from tests.connectors.conftest import Simulated
from tests.connectors.factories import Played
from tests.connectors.sap_world import ORDER, make_sap

KEY = "a" * 40
IDOC = """<?xml version="1.0" encoding="UTF-8"?><INVOIC02><IDOC BEGIN="1"><EDI_DC40 SEGMENT="1">
<TABNAM>EDI_DC40</TABNAM><MANDT>100</MANDT><DOCNUM>{number}</DOCNUM><DIRECT>{direct}</DIRECT><IDOCTYP>INVOIC02</IDOCTYP><MESTYP>INVOIC</MESTYP>
<SNDPRN>{sender}</SNDPRN><CREDAT>20260131</CREDAT><CRETIM>120000</CRETIM></EDI_DC40>
<E1EDK01 SEGMENT="1"><CURCY>USD</CURCY><BELNR>90000001</BELNR></E1EDK01>
<E1EDP01 SEGMENT="1"><POSEX>000010</POSEX><E1EDP02 SEGMENT="1"><QUALF>001</QUALF></E1EDP02></E1EDP01>
<E1EDP01 SEGMENT="1"><POSEX>000020</POSEX></E1EDP01>
<E1EDS01 SEGMENT="1"><SUMID>010</SUMID><SUMME>1500.00-</SUMME></E1EDS01></IDOC></INVOIC02>"""
EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "type": "sap.s4.beh.salesorder.v1.SalesOrder.Changed.v1",
    "source": "/default/sap.s4.beh/S4DCLNT100",
    "id": "QgEK8wNr",
    "time": "2026-01-01T00:00:00Z",
    "data": {"SalesOrder": ORDER, "SoldToParty": "1000001"},
}


def idoc(number: str = "0000000000004711", direct: str = "1", sender: str = "S4DCLNT100") -> bytes:
    return IDOC.format(number=number, direct=direct, sender=sender).encode()


def event(**changes: Any) -> bytes:
    import json

    return json.dumps({**EVENT, **changes}).encode()


@pytest.fixture
def listening(db: None) -> Connection:
    return make_sap()


def test_an_idoc_becomes_one_delivery_however_often_it_comes(listening: Connection) -> None:
    first = webhooks.receive(listening, idoc(), {})
    again = webhooks.receive(listening, idoc("4711"), {})

    delivery = Delivery.objects.get()
    assert ((first.accepted, again.accepted), again.repeated) == ((1, 0), 1)
    assert (delivery.external_id, delivery.event) == ("S4DCLNT100:100:0000000000004711", "INVOIC")
    assert delivery.occurred_at == datetime(2026, 1, 31, 12, tzinfo=UTC)
    segments = delivery.payload["segments"]
    assert delivery.payload["DOCNUM"] == "4711"
    assert segments["E1EDK01"] == [{"CURCY": "USD", "BELNR": "90000001"}]
    assert [item["POSEX"] for item in segments["E1EDP01"]] == ["000010", "000020"]
    assert segments["E1EDP01"][0]["E1EDP02"] == [{"QUALF": "001"}]
    assert segments["E1EDS01"][0]["SUMME"] == "-1500.00"


BOMB = b"<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><ORDERS05><IDOC>&b;</IDOC></ORDERS05>"


@pytest.mark.parametrize(
    "body",
    [
        BOMB,
        idoc().replace(b"<INVOIC02>", b"<!DOCTYPE INVOIC02 [<!ENTITY a 'b'>]><INVOIC02>"),
        idoc().replace(b"<INVOIC02>", b"<!DOCTYPE INVOIC02 SYSTEM 'x.dtd'><INVOIC02>"),
        b"<!DOCTYPE x SYSTEM 'http://elsewhere.test/x.dtd'><ORDERS05/>",
        b"<ORDERS05/>",
        b"<ORDERS05><IDOC/></ORDERS05>",
        b"<ORDERS05><IDOC><E1EDK01/></IDOC></ORDERS05>",
        b"<ORDERS05><IDOC>",
        b"<a>" * 200_000,
        b"<a>" + b"<b/>" * 30_000 + b"</a>",
        idoc(number="x"),
        idoc(number=""),
        idoc(direct="2"),
        b"{}",
        b"[]",
        b'"text"',
        b'[{"specversion":"0.3","id":"1","source":"s","type":"t"}]',
        event(id=""),
        event(source=None),
        event(time="yesterday"),
        b"\x00\xff",
    ],
)
def test_what_is_neither_idoc_nor_event_is_refused_and_leaves_nothing(listening: Connection, body: bytes) -> None:
    with pytest.raises((webhooks.BadDelivery, webhooks.DeliveryTooLarge)):
        webhooks.receive(listening, body, {})

    assert not Delivery.objects.exists()


def test_too_many_idocs_or_events_at_once_are_too_large(listening: Connection) -> None:
    import json

    many = IDOC[IDOC.index("<IDOC") : IDOC.index("</INVOIC02>")].format(number="1", direct="1", sender="S") * 501
    for body in (f"<INVOIC02>{many}</INVOIC02>".encode(), json.dumps([EVENT] * 1001).encode()):
        with pytest.raises((webhooks.DeliveryTooLarge, webhooks.BadDelivery)):
            webhooks.receive(listening, body, {})


@pytest.mark.parametrize(
    ("config", "body"),
    [({"idoc_sender": "OTHER"}, idoc()), ({"client": "200"}, idoc())],
)
def test_an_idoc_of_another_sender_or_client_is_not_taken(db: None, config: dict[str, str], body: bytes) -> None:
    with pytest.raises(webhooks.WrongSecret):
        webhooks.receive(make_sap(config=config), body, {})


def test_events_come_alone_in_batches_and_in_headers(listening: Connection) -> None:
    import json

    binary = {f"ce-{name}": str(EVENT[name]) for name in ("specversion", "type", "source", "id", "time")}
    body = json.dumps(EVENT["data"]).encode()

    webhooks.receive(listening, event(), {})
    webhooks.receive(listening, json.dumps([EVENT, {**EVENT, "id": "2"}]).encode(), {})
    webhooks.receive(listening, body, {**binary, "ce-id": "a%20b", "Ce-Source": '"/s4"', "ce-source": '"/s4"'})

    assert list(Delivery.objects.order_by("id").values_list("external_id", flat=True)) == [
        '["/default/sap.s4.beh/S4DCLNT100","QgEK8wNr"]',
        '["/default/sap.s4.beh/S4DCLNT100","2"]',
        '["/s4","a b"]',
    ]
    assert Delivery.objects.order_by("id").last().payload["data"] == EVENT["data"]


def test_an_event_names_its_record_which_is_read_before_it_is_judged(sap: Connection) -> None:
    whole = gateway.complete(sap, dict(EVENT), actor="test")
    gone = gateway.complete(sap, {**EVENT, "data": {"SalesOrder": "4711"}}, actor="test")

    assert (whole["record"]["PurchaseOrderByCustomer"], whole["gone"]) == ("PO-77", False)
    assert (gone["record"], gone["gone"]) == ({}, True)
    assert gateway.complete(sap, whole, actor="test") == whole


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_a_sender_cannot_bring_the_record_that_is_read_back(sap: Connection, mode: str) -> None:
    import json

    if mode == "structured":
        webhooks.receive(sap, event(record={"DeliveryBlockReason": "01"}, gone=True), {})
    else:
        binary = {f"ce-{name}": str(EVENT[name]) for name in ("specversion", "type", "source", "id")}
        body = json.dumps(EVENT["data"]).encode()
        webhooks.receive(sap, body, {**binary, "ce-record": "held", "ce-gone": "true"})

    payload = Delivery.objects.get().payload
    assert not {"record", "gone"} & payload.keys()
    assert gateway.complete(sap, payload, actor="test")["record"]["PurchaseOrderByCustomer"] == "PO-77"


@pytest.mark.parametrize("name", ["id", "type", "source"])
def test_letters_that_no_database_keeps_name_no_event(listening: Connection, name: str) -> None:
    binary = {f"ce-{one}": str(EVENT[one]) for one in ("specversion", "type", "source", "id")}

    with pytest.raises(webhooks.BadDelivery):
        webhooks.receive(listening, event(**{name: "a\u0001b"}), {})
    webhooks.receive(listening, b"{}", {**binary, f"ce-{name}": "%00a", "ce-subject": "%00"})

    kept = Delivery.objects.get()
    assert "\0" not in f"{kept.external_id}{kept.event}{kept.payload}"


@pytest.mark.parametrize("data", [{}, {"SalesOrder": "1') or ('"}, {"SupplierInvoice": "1"}, None, []])
def test_an_event_that_names_nothing_readable_asks_for_nothing(sap: Connection, data: Any) -> None:
    payload = {**EVENT, "data": data}

    assert not registry.KINDS["sap"].lacks(payload)
    assert gateway.complete(sap, payload, actor="test") == payload


def test_an_event_says_which_record_it_is_about(listening: Connection) -> None:
    assert registry.record_named(listening, EVENT["type"], EVENT) == ("A_SalesOrder", ORDER)
    assert registry.record_named(listening, "x", {"data": {}}) is None


# --- polling -------------------------------------------------------------------------------------
def polled(connection: Connection) -> int:
    connection.refresh_from_db()
    return polling.poll_one(connection).accepted


@pytest.mark.parametrize(
    "watched", ["API_SALES_ORDER_SRV/A_SalesOrder:LastChangeDateTime", "sales/SalesOrder:LastChangeDateTime"]
)
def test_a_poll_by_change_date_overlaps_and_tells_each_version_once(
    sap: Connection, simulated: Simulated, watched: str
) -> None:
    sap.config = {**sap.config, "watched": watched}
    sap.save()

    assert [polled(sap), polled(sap)] == [1, 0]
    simulated.edit("sap", "A_SalesOrder", ORDER, ShippingType="02")

    assert [polled(sap), polled(sap)] == [1, 0]
    assert Delivery.objects.order_by("id").last().payload["ShippingType"] == "02"


@pytest.mark.parametrize("watched", ["API_SALES_ORDER_SRV/A_SalesOrder:delta", "sales/SalesOrder:delta"])
def test_a_poll_by_delta_link_begins_where_the_last_one_ended(
    sap: Connection, simulated: Simulated, watched: str
) -> None:
    sap.config = {**sap.config, "watched": watched}
    sap.save()
    assert [polled(sap), polled(sap)] == [1, 0]
    simulated.edit("sap", "A_SalesOrder", ORDER, ShippingType="02")

    assert [polled(sap), polled(sap)] == [1, 0]
    asked = [row["path"] for row in simulated.requests()]
    assert all("deltatoken" in path for path in asked[1:])


def test_a_delta_token_that_expired_begins_anew(sap: Connection, simulated: Simulated) -> None:
    watched = "API_SALES_ORDER_SRV/A_SalesOrder"
    sap.config = {**sap.config, "watched": f"{watched}:delta"}
    sap.bookmarks = {watched: {"name": "!deltatoken", "value": "'too old'"}}
    sap.save()

    assert polled(sap) == 1
    sap.refresh_from_db()
    assert sap.bookmarks[watched]["value"].startswith("'D")
    assert [row["status"] for row in simulated.requests()] == [410, 200]


# --- IDocs towards SAP ---------------------------------------------------------------------------
SEND: dict[str, Any] = {
    "basic_type": "ORDERS05",
    "message_type": "ORDCHG",
    "reference": "INC-7",
    "segments": [
        {
            "segment": "E1EDK01",
            "fields": {"BELNR": ORDER, "ACTION": "<002>"},
            "inside": [{"segment": "E1EDK14", "fields": {"QUALF": "1"}}],
        }
    ],
}


def send_idoc(connection: Connection, **changes: Any) -> gateway.Answer:
    return gateway.call(connection, "idoc.send", {**SEND, **changes}, actor="test", effect_key=KEY)


def seen(connection: Connection) -> Any:
    return gateway.observe(connection, "idoc.send", SEND, actor="test")[0].fields


def control(simulated: Simulated, **body: Any) -> None:
    simulated.client.post("/control/sap", json=body).raise_for_status()


def test_an_idoc_that_was_received_is_followed_until_it_is_posted(sap: Connection, simulated: Simulated) -> None:
    control(simulated, delay=3600)
    assert seen(sap)["Status"] is None

    answer = send_idoc(sap)

    assert answer.written is not None
    assert answer.written.result["received"] is True
    with pytest.raises(Unanswered, match="still on its way") as waiting:
        seen(sap)
    assert waiting.value.retryable
    control(simulated, process=True)
    assert seen(sap)["Status"] == "53"
    assert len(simulated.effects(KEY)) == 1


def test_an_idoc_that_the_application_refuses_ends_with_its_reason(sap: Connection, simulated: Simulated) -> None:
    send_idoc(sap, segments=[{"segment": "E1EDK01", "fields": {"BELNR": "4711"}}])

    state = seen(sap)

    assert state["Status"] == "51"
    assert "4711 is not in the database" in state["Text"]


@pytest.mark.parametrize("fault", ["commit_then_reset", "commit_then_503"])
def test_an_idoc_whose_receipt_was_lost_is_found_by_its_archive_key(
    sap: Connection, simulated: Simulated, fault: str
) -> None:
    assert gateway.find(sap, "idoc.send", SEND, effect_key=KEY, actor="test") is None
    simulated.fault(fault, "POST .*idoc_xml", system="sap")

    with pytest.raises(Unanswered):
        send_idoc(sap)

    found = gateway.find(sap, "idoc.send", SEND, effect_key=KEY, actor="test")
    assert found is not None
    assert found.result["status"] == "53"
    assert gateway.find(sap, "idoc.send", SEND, effect_key="b" * 40, actor="test") is None
    assert len(simulated.effects(KEY)) == 1


def test_without_a_place_where_states_are_read_no_idoc_is_sent(sap: Connection, simulated: Simulated) -> None:
    sap.config = {**sap.config, "idoc_status_set": ""}
    sap.save()

    with pytest.raises(Blocked):
        send_idoc(sap)

    assert simulated.effects(KEY) == []


def test_an_idoc_is_written_as_xml_that_nothing_breaks_out_of(db: None, played: Played) -> None:
    played.on("POST", "/sap/bc/idoc_xml", httpx.Response(200))

    send_idoc(make_sap())

    body = played.requests[0].content
    assert b'<E1EDK01 SEGMENT="1"><BELNR>1</BELNR><ACTION>&lt;002&gt;</ACTION><E1EDK14' in body
    assert b"<DIRECT>2</DIRECT>" in body
    with pytest.raises(Blocked):
        send_idoc(make_sap(slug="other"), segments=[{"segment": "E1EDK01", "fields": {"X<": "1"}}])


def test_a_receipt_that_is_a_fault_is_a_refusal(db: None, played: Played) -> None:
    fault = "<e><Fault><faultstring>no partner profile</faultstring></Fault></e>"
    played.on("POST", "/sap/bc/idoc_xml", httpx.Response(200, text=fault, headers={"content-type": "text/xml"}))

    with pytest.raises(Refused, match="no partner profile"):
        send_idoc(make_sap())
