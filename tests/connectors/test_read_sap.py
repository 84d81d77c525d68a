"""SAP's records as they are read: both versions of OData, its dates and amounts, pages, errors, hostile answers."""

import base64
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from audit.errors import Invalid
from connectors import gateway
from connectors.base import Blocked, ConnectorError, Refused, Unanswered, Unauthorized
from connectors.kinds.sap import odata
from connectors.kinds.sap.asking import ODataQuery
from connectors.kinds.sap.settings import SapConfig, service_of
from connectors.models import Call, Connection
from tests.connectors.conftest import Simulated
from tests.connectors.factories import SECRET, Played
from tests.connectors.sap_world import BILL, COMPANY, ENTRY, INVOICE, ORDER, YEAR, make_sap

SALES = "/sap/opu/odata/sap/API_SALES_ORDER_SRV"
ONE = f"{SALES}/A_SalesOrder('1')"
META = {"uri": f"https://s4.contoso.test{ONE}", "etag": "W/\"'1'\""}
ROW = {"__metadata": META, "SalesOrder": "1", "TotalNetAmount": "1500.00", "CreationDate": "/Date(1767225600000)/"}


def read(connection: Connection, name: str, **arguments: Any) -> list[Any]:
    return gateway.call(connection, name, arguments, actor="test").records


def ask(connection: Connection, entity: str, **arguments: Any) -> list[Any]:
    return read(connection, "odata.query", entity=entity, **arguments)


def test_an_order_is_read_with_its_version_its_dates_and_exact_amounts(sap: Connection, simulated: Simulated) -> None:
    order = read(sap, "order.get", order=ORDER)[0]

    assert (order.system, order.entity, order.key) == ("sap", "A_SalesOrder", "1")
    assert order.fields["TotalNetAmount"] == "100.00"
    assert order.fields["CreationDate"] == "2026-01-31"
    assert order.fields["LastChangeDateTime"].endswith("Z")
    assert order.version == "W/\"'00000001'\""
    assert "to_Item" not in order.fields
    assert "__metadata" not in order.fields
    assert order.url == f"{simulated.url}{ONE}"


def test_client_and_language_stand_in_every_request(sap: Connection, simulated: Simulated) -> None:
    read(sap, "order.get", order=ORDER)

    assert all("sap-client=100" in row["path"] and "sap-language=EN" in row["path"] for row in simulated.requests())


def test_items_come_along_with_their_order(sap: Connection) -> None:
    records = read(sap, "order.with_items", order=ORDER)

    assert [(row.entity, row.key) for row in records] == [("A_SalesOrder", "1"), ("A_SalesOrderItem", "1/10")]


@pytest.mark.parametrize(
    ("name", "arguments", "keys"),
    [
        ("items.list", {"order": ORDER}, ["1/10"]),
        ("conditions.list", {"order": ORDER}, ["1/10/11/1"]),
        ("orders.by_customer", {"customer": "1000001"}, ["1"]),
        ("orders.by_reference", {"reference": "PO-77"}, ["1"]),
        ("orders.by_reference", {"reference": "' or SalesOrder ne '"}, []),
        ("credit_block.get", {"order": ORDER}, ["1"]),
        ("credit_blocks.list", {}, ["1"]),
        ("billing.get", {"billing": BILL}, [BILL]),
        ("billing.get", {"billing": "4711"}, []),
        ("billing.cancellations", {"billing": BILL}, []),
        ("supplier_invoice.get", {"invoice": INVOICE, "year": YEAR}, [f"{INVOICE}/{YEAR}"]),
        ("supplier_invoices.by_reference", {"supplier": "3001", "reference": "R-77"}, [f"{INVOICE}/{YEAR}"]),
        (
            "journal_items.list",
            {"company": COMPANY, "year": YEAR, "document": ENTRY},
            [f"{COMPANY}/{YEAR}/{ENTRY}/1", f"{COMPANY}/{YEAR}/{ENTRY}/2"],
        ),
    ],
)
def test_each_declared_read_finds_its_records(
    sap: Connection, name: str, arguments: dict[str, Any], keys: list[str]
) -> None:
    assert [row.key for row in read(sap, name, **arguments)] == keys


@pytest.fixture
def many(sap: Connection, simulated: Simulated) -> Connection:
    for number in range(2, 6):
        simulated.plant("sap", "A_SalesOrder", SalesOrder=str(number), TotalNetAmount=str(number), SoldToParty="2")
    return sap


@pytest.mark.parametrize("entity", ["API_SALES_ORDER_SRV/A_SalesOrder", "sales/SalesOrder"])
def test_both_versions_answer_the_same_question_alike(
    many: Connection, entity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.simulator.sap.query.PAGE", 2)
    many.config = {**many.config, "page_size": 2, "query_entities": entity}
    many.save()
    question = {"filter": "SoldToParty eq '2' AND TotalNetAmount gt 2", "orderby": "SalesOrder asc"}

    rows = ask(many, entity, **question, select="TotalNetAmount,SoldToParty,SalesOrder")

    assert [row.fields["SalesOrder"] for row in rows] == ["3", "4", "5"]
    assert [row.fields["TotalNetAmount"] for row in rows] == ["3.00", "4.00", "5.00"]
    assert [row.fields["SalesOrder"] for row in ask(many, entity, **question, rows=1)] == ["3"]


@pytest.mark.parametrize(
    ("entity", "literal"),
    [
        ("API_SALES_ORDER_SRV/A_SalesOrder", "datetimeoffset'{watermark}'"),
        ("API_SALES_ORDER_SRV/A_SalesOrder", "{watermark}"),
        ("sales/SalesOrder", "{watermark}"),
    ],
)
def test_a_watermark_stands_as_a_literal_of_the_version(sap: Connection, entity: str, literal: str) -> None:
    sap.config = {**sap.config, "query_entities": entity}
    sap.save()
    question = f"LastChangeDateTime gt {literal}"

    assert len(ask(sap, entity, filter=question)) == 1
    assert ask(sap, entity, filter=question, watermark="2999-01-01T00:00:00+01:00") == []


def test_only_named_sets_are_asked_freely(sap: Connection) -> None:
    with pytest.raises(Blocked) as blocked:
        ask(sap, "Z_IDOC_STATUS_SRV/IDocSet")

    assert blocked.value.code == "entity"


@pytest.mark.parametrize(
    "question",
    [
        {"filter": "substringof('a',Name)"},
        {"filter": "Name eq"},
        {"filter": "Name eq 'a' $skip 3"},
        {"filter": "Name eq datetime'2026' or 1"},
        {"select": "a b"},
        {"orderby": "Name sideways"},
        {"entity": "A_SalesOrder"},
        {"entity": "../A/B"},
    ],
)
def test_what_is_no_question_is_not_sent(question: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ODataQuery.model_validate({"entity": "API_SALES_ORDER_SRV/A_SalesOrder", **question})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("/Date(1767225600000)/", "2026-01-01"),
        ("/Date(1767225600000+0000)/", "2026-01-01T00:00:00Z"),
        ("/Date(1767265200500+0060)/", "2026-01-01T11:00:00.500Z"),
        ("/Date(-86400000)/", "1969-12-31"),
        ("/Date(999999999999999)/", "/Date(999999999999999)/"),
        ("PT11H00M00S", "PT11H00M00S"),
        ("1500.00", "1500.00"),
        (None, None),
    ],
)
def test_dates_of_version_2_are_read_and_everything_else_is_left(text: Any, value: Any) -> None:
    assert odata.plain(text) == value


# --- signing in ----------------------------------------------------------------------------------
@pytest.fixture
def played_sap(db: None, played: Played) -> Connection:
    played.on("GET", ONE, httpx.Response(200, json={"d": ROW}))
    return make_sap()


def test_a_password_goes_as_basic_and_stands_in_no_row(played_sap: Connection, played: Played) -> None:
    read(played_sap, "order.get", order="1")

    whole = base64.b64encode(f"goldseam:{SECRET}".encode()).decode()
    assert played.requests[0].headers["authorization"] == f"Basic {whole}"
    played.on("GET", ONE, httpx.Response(400, json={"error": {"message": {"value": f"saw {whole} and {SECRET}"}}}))
    with pytest.raises(Refused) as refused:
        read(played_sap, "order.get", order="1")
    rows = f"{list(Call.objects.values())} {refused.value}"
    assert whole not in rows
    assert SECRET not in rows


def test_a_refused_password_is_not_tried_again_because_sap_locks_users(played_sap: Connection, played: Played) -> None:
    played.on("GET", ONE, httpx.Response(401))

    with pytest.raises(Unauthorized):
        read(played_sap, "order.get", order="1")

    assert len(played.requests) == 1


def test_oauth_signs_in_by_client_credentials_and_renews_a_token_once(sap: Connection, simulated: Simulated) -> None:
    root = simulated.url
    config = {"sign_in": "client_credentials", "token_url": f"{root}/sap/bc/sec/oauth2/token"}
    cloud = make_sap(root, secret="simulator", slug="cloud", config=config)
    assert read(cloud, "order.get", order=ORDER)
    simulated.client.post("/control/tokens/expire", json={"system": "sap"}).raise_for_status()

    answer = gateway.call(cloud, "order.get", {"order": ORDER}, actor="test")

    assert answer.records[0].key == ORDER
    assert answer.call.requests == 3


def test_a_connection_can_be_tested(sap: Connection) -> None:
    health = gateway.check(sap, actor="test")

    assert health.ok
    assert "API_SALES_ORDER_SRV" in health.message


# --- hostile answers -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>Logon</html>", headers={"content-type": "text/html"}),
        httpx.Response(200, text="<?xml version='1.0'?><entry/>", headers={"content-type": "application/atom+xml"}),
        httpx.Response(200, json={"d": {**ROW, "SalesOrder": "2"}}),
        httpx.Response(200, json={"d": [ROW]}),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"d": None}),
        httpx.Response(302, headers={"location": "https://elsewhere.test/"}),
        httpx.Response(500, json={"error": {"code": "SY/530", "message": {"value": "Dump"}}}),
        httpx.Response(400, json={"error": "text"}),
        httpx.Response(400, json={"error": {"message": {"value": {}}, "innererror": {"errordetails": "x"}}}),
    ],
)
def test_what_is_no_record_is_told_and_not_believed(
    played_sap: Connection, played: Played, answer: httpx.Response
) -> None:
    played.on("GET", ONE, answer)

    with pytest.raises(ConnectorError):
        read(played_sap, "order.get", order="1")

    assert len(played.requests) == 1


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.test/steal?$skiptoken=1",
        "https://elsewhere.test/x/A_Other?$skiptoken=1",
        f"https://s4.contoso.test{SALES}/A_SalesOrderItem",
        "::::",
        "https://[/A_SalesOrderItem?$skiptoken=1",
    ],
)
def test_a_list_that_leads_elsewhere_is_not_followed(played_sap: Connection, played: Played, link: str) -> None:
    played.on("GET", f"{SALES}/A_SalesOrderItem", httpx.Response(200, json={"d": {"results": [], "__next": link}}))

    with pytest.raises(Unanswered):
        read(played_sap, "items.list", order="1")

    assert {request.url.host for request in played.requests} == {"s4.contoso.test"}


def test_of_a_link_only_the_options_are_used(played_sap: Connection, played: Played) -> None:
    pages = iter(["https://internal:8443/proxied/A_SalesOrderItem?$skiptoken=2&sap-client=999", ""])

    def page(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"d": {"results": [{"SalesOrder": "1"}], "__next": next(pages)}})

    played.on("GET", f"{SALES}/A_SalesOrderItem", page)

    assert len(read(played_sap, "items.list", order="1")) == 2
    assert {request.url.host for request in played.requests} == {"s4.contoso.test"}
    assert dict(played.requests[1].url.params) == {"$skiptoken": "2", "sap-client": "100", "sap-language": "EN"}


def test_a_list_that_goes_round_in_a_circle_ends(played_sap: Connection, played: Played) -> None:
    body = {"d": {"results": [], "__next": "x/A_SalesOrderItem?$skiptoken=1"}}
    played.on("GET", f"{SALES}/A_SalesOrderItem", httpx.Response(200, json=body))

    with pytest.raises(Unanswered, match="same page again"):
        read(played_sap, "items.list", order="1")

    assert len(played.requests) == 2


def test_records_of_another_order_are_not_taken_for_those_asked_for(played_sap: Connection, played: Played) -> None:
    body = {"d": {"results": [{"SalesOrder": "2", "SalesOrderItem": "10"}]}}
    played.on("GET", f"{SALES}/A_SalesOrderItem", httpx.Response(200, json=body))

    with pytest.raises(Unanswered, match="other records"):
        read(played_sap, "items.list", order="1")


# --- settings ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "config",
    [
        {"sign_in": "client_credentials"},
        {"client": "1000"},
        {"services": "a b/c"},
        {"services": "x=/sap/../etc"},
        {"watched": "API_SALES_ORDER_SRV/A_SalesOrder"},
        {"watched": "UNKNOWN_SRV/A:delta"},
        {"journal_set": "nothing"},
        {"locked_codes": "V1042"},
        {"rfc_session_header": "x\r\ny: 1"},
        {"idoc_status_fields": "one"},
        {"user": "a:b"},
    ],
)
def test_settings_that_make_no_sense_are_refused(db: None, config: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        make_sap(config=config)


def test_a_service_says_by_its_path_which_version_it_speaks() -> None:
    config = SapConfig.model_validate({"base_url": "https://s4.test/", "user": "x"})

    assert config.base_url == "https://s4.test"
    assert not service_of("API_OUTBOUND_DELIVERY_SRV;v=2").v4
    assert service_of("API_OUTBOUND_DELIVERY_SRV;v=2").path == "/sap/opu/odata/sap/API_OUTBOUND_DELIVERY_SRV;v=2"
    assert service_of("x=/sap/opu/odata4/a/b/0001/").v4
    assert not service_of("y=/sap/opu/odata/IWBEP/GWSAMPLE_BASIC").v4
