"""SAP as it is simulated: sign-in, both versions of OData, tokens with cookies, sessions, things done later."""

from typing import Any

import httpx
import pytest

from tests.simulator.bench import Bench

SALES = "/sap/opu/odata/sap/API_SALES_ORDER_SRV"
V4 = "/sap/opu/odata4/sap/api_salesorder/srvd_a2x/sap/api_salesorder/0001"
AUTH = ("goldseam", "simulator")
ORDER = {"SalesOrder": "1", "TotalNetAmount": "1500", "CreationDate": "2026-01-01", "TotalCreditCheckStatus": "B"}
CHANGE = {"DeliveryBlockReason": "01"}


@pytest.fixture
def world(sim: Bench) -> Bench:
    sim.plant("sap", "A_SalesOrder", **ORDER)
    return sim


def get(world: Bench, path: str, **options: Any) -> httpx.Response:
    return world.http.get(path, auth=AUTH, **options)


def token(world: Bench) -> dict[str, str]:
    answer = get(world, f"{SALES}/", headers={"X-CSRF-Token": "Fetch"})
    cookies = "; ".join(part.partition(";")[0] for part in answer.headers.get_list("set-cookie"))
    world.http.cookies.clear()
    return {"X-CSRF-Token": answer.headers["x-csrf-token"], "Cookie": cookies}


def patch(world: Bench, headers: dict[str, str], **body: str) -> httpx.Response:
    headers = {"X-Effect-Key": "key-1", "If-Match": "W/\"'00000001'\"", **headers}
    return world.http.patch(f"{SALES}/A_SalesOrder('1')", json=body or CHANGE, headers=headers, auth=AUTH)


def test_nobody_is_let_in_without_a_password_or_a_token(world: Bench) -> None:
    assert world.http.get(f"{SALES}/A_SalesOrder").status_code == 401
    assert world.http.get(f"{SALES}/A_SalesOrder", auth=("goldseam", "wrong")).status_code == 401


def test_version_2_wraps_and_writes_amounts_as_texts_and_version_4_does_neither(world: Bench) -> None:
    old = get(world, f"{SALES}/A_SalesOrder('1')").json()["d"]
    new = get(world, f"{V4}/SalesOrder('1')").json()
    exact = get(world, f"{V4}/SalesOrder('1')", headers={"Accept": "application/json;IEEE754Compatible=true"}).json()

    assert (old["TotalNetAmount"], new["TotalNetAmount"], exact["TotalNetAmount"]) == ("1500.00", 1500.0, "1500.00")
    assert (old["CreationDate"], new["CreationDate"]) == ("/Date(1767225600000)/", "2026-01-01")
    assert old["__metadata"]["etag"] == new["@odata.etag"]
    assert "__deferred" in old["to_Item"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{SALES}/A_SalesOrder?$filter=CreationDate ge datetime'2026-01-01T00:00:00'", 200),
        (f"{SALES}/A_SalesOrder?$filter=CreationDate ge 2026-01-01", 400),
        (f"{V4}/SalesOrder?$filter=CreationDate ge 2026-01-01", 200),
        (f"{V4}/SalesOrder?$filter=CreationDate ge datetime'2026-01-01T00:00:00'", 400),
        (f"{SALES}/A_SalesOrder?$filter=Nothing eq 'x'", 400),
        (f"{SALES}/A_SalesOrder?$apply=x", 400),
        (f"{SALES}/A_SalesOrder('2')", 404),
        (f"{SALES}/A_BillingDocument", 404),
        ("/sap/opu/odata/sap/Z_NOTHING/", 403),
        ("/sap/nothing", 404),
    ],
)
def test_literals_belong_to_a_version_and_names_to_a_service(world: Bench, path: str, status: int) -> None:
    assert get(world, path).status_code == status


def test_a_token_without_its_cookies_is_none(world: Bench) -> None:
    given = token(world)

    answers = [
        patch(world, {}),
        patch(world, {"X-CSRF-Token": given["X-CSRF-Token"]}),
        patch(world, {"Cookie": given["Cookie"]}),
    ]

    assert [(answer.status_code, answer.headers["x-csrf-token"]) for answer in answers] == [(403, "Required")] * 3
    assert world.effects() == []
    assert patch(world, given).status_code == 204
    assert [effect["effect_key"] for effect in world.effects()] == ["key-1"]


def test_a_token_that_was_ended_has_to_be_fetched_again(world: Bench) -> None:
    given = token(world)

    assert world.http.post("/control/sap", json={"expire_csrf": True}).json() == {"expired": 1}

    assert patch(world, given).headers["x-csrf-token"] == "Required"


def test_a_change_needs_the_version_that_stands(world: Bench) -> None:
    given = token(world)

    assert patch(world, {**given, "If-Match": ""}).status_code == 428
    assert patch(world, {**given, "If-Match": "W/\"'00000009'\""}).status_code == 412
    assert patch(world, given, TotalNetAmount="1").status_code == 400
    assert world.effects() == []


def test_an_error_tells_every_message_with_class_and_number(world: Bench) -> None:
    world.http.post("/control/sap", json={"lock": "1", "user": "MEIER"})

    error = patch(world, token(world)).json()["error"]

    assert error["code"] == "V1/042"
    assert "processed by user MEIER" in error["message"]["value"]
    assert len(error["innererror"]["errordetails"]) == 2


def rfc(world: Bench, name: str, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
    return world.http.post(f"/sap/bc/rfc/{name}", json=body, headers=headers, auth=AUTH)


def test_what_a_function_did_stays_only_if_its_own_session_commits(world: Bench) -> None:
    item = {
        "CompanyCode": "1010",
        "FiscalYear": "2026",
        "AccountingDocumentItem": "1",
        "ReferenceDocumentType": "BKPFF",
    }
    world.plant("sap", "A_OperationalAcctgDocItemCube", AccountingDocument="7", **item)
    mine, other = token(world), token(world)
    body = {"REVERSAL": {"OBJ_KEY": "000000000710102026"}}

    said = rfc(world, "BAPI_ACC_DOCUMENT_REV_POST", body, mine).json()
    rfc(world, "BAPI_TRANSACTION_COMMIT", {}, other)
    none = world.effects()
    rfc(world, "BAPI_TRANSACTION_COMMIT", {}, mine)
    rfc(world, "BAPI_TRANSACTION_COMMIT", {}, mine)

    assert said["RETURN"][0]["TYPE"] == "S"
    assert none == []
    # The entry is marked, and its item stands in the reversal as well.
    assert [effect["kind"] for effect in world.effects()] == ["action:Reverse", "side_effect"]
    again = rfc(world, "BAPI_ACC_DOCUMENT_REV_POST", body, mine)
    assert (again.status_code, again.json()["RETURN"][0]["TYPE"]) == (200, "E")


@pytest.mark.parametrize(("number", "status"), [("1", "53"), ("4711", "51")])
def test_an_idoc_waits_before_it_is_posted_or_not(world: Bench, number: str, status: str) -> None:
    world.http.post("/control/sap", json={"delay": 3600})
    control, data = "<EDI_DC40><ARCKEY>x</ARCKEY></EDI_DC40>", f"<E1EDK01><BELNR>{number}</BELNR></E1EDK01>"
    body = f"<ORDERS05><IDOC>{control}{data}</IDOC></ORDERS05>"
    states = "/sap/opu/odata/sap/Z_IDOC_STATUS_SRV/IDocSet"

    assert world.http.post("/sap/bc/idoc_xml", content=body, auth=AUTH).status_code == 200
    waiting = get(world, states).json()["d"]["results"][0]["Status"]
    assert world.http.post("/control/sap", json={"process": True}).json() == {"processed": 1}

    assert (waiting, get(world, states).json()["d"]["results"][0]["Status"]) == ("64", status)


@pytest.mark.parametrize("body", [{"nothing": 1}, {"delay": -1}, {"delay": "long"}])
def test_a_wish_that_makes_no_sense_is_refused(sim: Bench, body: dict[str, Any]) -> None:
    assert sim.http.post("/control/sap", json=body).status_code == 400


@pytest.mark.parametrize(
    ("entity", "fields"),
    [("A_SalesOrder", {}), ("A_SalesOrder", {"SalesOrder": "1", "Colour": "x"}), ("Nothing", {"a": 1})],
)
def test_a_record_that_makes_no_sense_is_not_planted(sim: Bench, entity: str, fields: dict[str, Any]) -> None:
    answer = sim.http.post("/control/records", json={"system": "sap", "entity": entity, "fields": fields})

    assert answer.status_code in (400, 404)


def test_the_distributor_stands_in_sap_under_saps_own_numbers(demo: Bench) -> None:
    orders = {
        row["key"]: row["fields"] for row in demo.http.get("/control/records?system=sap&entity=A_SalesOrder").json()
    }
    held = [
        row["fields"]
        for row in demo.http.get("/control/records?system=fo&entity=SalesOrderHeadersV2").json()
        if row["fields"]["CreditHold"] == "Yes"
    ]

    assert held
    for order in held:
        other = orders[str(int(order["SalesOrderNumber"].removeprefix("SO-")))]
        assert other["TotalCreditCheckStatus"] == "B"
        assert other["PurchaseOrderByCustomer"] == order["SalesOrderNumber"]
    listed = get(demo, "/sap/opu/odata/sap/API_SLS_DOC_WITH_CREDIT_BLOCK/A_CreditBlockedSalesDocument").json()
    assert len(listed["d"]["results"]) == len(held)
    first = get(demo, f"{SALES}/A_SalesOrder").json()["d"]
    second = demo.http.get(first["__next"], auth=AUTH).json()["d"]
    assert len(first["results"]) == 100
    assert second["results"][0]["SalesOrder"] not in {row["SalesOrder"] for row in first["results"]}
