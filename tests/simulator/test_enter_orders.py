"""Orders of the simulated SAP: entered with their items in one request, rejected item by item, checked for credit."""

from typing import Any

import httpx
import pytest

from tests.simulator.bench import Bench
from tests.simulator.test_answer_sap import AUTH, SALES, get, token

AREA = {"SalesOrganization": "1010", "DistributionChannel": "10", "OrganizationDivision": "00"}
ITEM: dict[str, Any] = {
    "SalesOrderItem": "10",
    "Material": "LAMP",
    "RequestedQuantity": "3",
    "to_PricingElement": {"results": [{"ConditionType": "PR00", "ConditionRateValue": "12.50"}]},
}
BODY: dict[str, Any] = {
    "SalesOrderType": "OR",
    "SoldToParty": "1000001",
    "TransactionCurrency": "EUR",
    "RequestedDeliveryDate": "/Date(1767225600000)/",
    **AREA,
    "to_Item": {"results": [ITEM]},
}
FIRST = "8000001"


def enter(world: Bench, body: dict[str, Any], **headers: str) -> httpx.Response:
    given = {**token(world), "X-Effect-Key": "key-1", **headers}
    return world.http.post(f"{SALES}/A_SalesOrder", json=body, headers=given, auth=AUTH)


def reject(world: Bench, reason: str, item: str = "10") -> httpx.Response:
    path = f"{SALES}/A_SalesOrderItem(SalesOrder='{FIRST}',SalesOrderItem='{item}')"
    headers = {**token(world), "X-Effect-Key": "key-2"}
    return world.http.patch(path, json={"SalesDocumentRjcnReason": reason}, headers=headers, auth=AUTH)


@pytest.mark.parametrize("items", [[ITEM], {"results": [ITEM]}], ids=["list", "results"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_an_order_is_entered_with_all_that_is_below_it(sim: Bench, items: Any, wrapped: bool) -> None:
    body = {**BODY, "to_Item": items, "to_Partner": [{"PartnerFunction": "SH", "Customer": "1000009"}]}

    answer = enter(sim, {"d": body} if wrapped else body)

    new = answer.json()["d"]
    assert (answer.status_code, new["SalesOrder"], new["TotalNetAmount"]) == (201, FIRST, "37.50")
    assert answer.headers["location"] == new["__metadata"]["uri"]
    assert answer.headers["etag"] == get(sim, f"{SALES}/A_SalesOrder('{FIRST}')").json()["d"]["__metadata"]["etag"]
    whole = get(sim, f"{SALES}/A_SalesOrder('{FIRST}')", params={"$expand": "to_Item"}).json()["d"]
    assert whole["RequestedDeliveryDate"] == "/Date(1767225600000)/"
    assert [row["NetAmount"] for row in whole["to_Item"]["results"]] == ["37.50"]
    assert sim.truth("sap", "A_SalesOrderHeaderPartner", f"{FIRST}/SH")["Customer"] == "1000009"
    assert [row["kind"] for row in sim.effects() if row["kind"] != "side_effect"] == ["create"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"SoldToParty": ""}, "SoldToParty"),
        ({"to_Item": []}, "no items"),
        ({"to_Item": "all"}, "no list of entries"),
        ({"to_Item": [{**ITEM, "Material": ""}]}, "material for item 10"),
        ({"to_Item": [ITEM, {**ITEM, "SalesOrderItem": "20", "Nothing": "1"}]}, "'Nothing' is invalid"),
        ({"to_Item": [{**ITEM, "RequestedQuantity": 3}]}, "texts in version 2"),
        ({"TotalNetAmount": "1"}, "cannot be entered"),
        ({"RequestedDeliveryDate": "2026-01-01"}, "/Date(ms)/"),
    ],
)
def test_what_is_wrong_anywhere_leaves_nothing_of_the_order(sim: Bench, changes: dict[str, Any], text: str) -> None:
    answer = enter(sim, {**BODY, **changes})

    assert answer.status_code == 400
    assert text in answer.json()["error"]["message"]["value"]
    assert sim.effects() == []
    assert get(sim, f"{SALES}/A_SalesOrder").json()["d"]["results"] == []


def test_it_needs_a_token_and_only_version_2_takes_it(sim: Bench) -> None:
    without = sim.http.post(f"{SALES}/A_SalesOrder", json=BODY, auth=AUTH)
    other = sim.http.post(f"{SALES}/A_SalesOrderScheduleLine", json={}, headers=token(sim), auth=AUTH)

    assert (without.status_code, without.headers["x-csrf-token"], other.status_code) == (403, "Required", 405)


def test_without_a_price_of_its_own_a_material_costs_what_it_was_sold_at(sim: Bench) -> None:
    enter(sim, BODY)

    enter(sim, {**BODY, "to_Item": [{"Material": "LAMP", "RequestedQuantity": "2"}]})

    assert sim.truth("sap", "A_SalesOrder", "8000002")["TotalNetAmount"] == "25.00"


def test_stock_goes_to_whoever_asks_first_and_comes_back_when_an_item_is_rejected(sim: Bench) -> None:
    sim.plant("sap", "StockSet", Material="LAMP", Quantity="4")
    enter(sim, BODY)
    enter(sim, BODY)
    place = "ConfdOrderQtyByMatlAvailCheck"

    def confirmed() -> list[str]:
        numbers = (FIRST, "8000002")
        return [sim.truth("sap", "A_SalesOrderScheduleLine", f"{number}/10/1")[place] for number in numbers]

    first = confirmed()
    reject(sim, "Z9")
    gone = confirmed()
    enter(sim, BODY)
    reject(sim, "")

    assert (first, gone) == (["3.00", "1.00"], ["0.00", "1.00"])
    assert sim.truth("sap", "A_SalesOrderScheduleLine", "8000003/10/1")[place] == "3.00"
    assert confirmed() == ["0.00", "1.00"], "what the third has, the first does not get back"


def test_the_header_follows_its_items(sim: Bench) -> None:
    enter(sim, {**BODY, "to_Item": [ITEM, {**ITEM, "SalesOrderItem": "20"}]})
    names = ("TotalNetAmount", "OverallSDDocumentRejectionSts", "OverallSDProcessStatus")
    seen = []
    for reason, item in (("Z9", "10"), ("Z9", "20"), ("", "10"), ("", "20")):
        reject(sim, reason, item)
        head = sim.truth("sap", "A_SalesOrder", FIRST)
        seen.append(tuple(head[name] for name in names))

    assert seen == [("37.50", "B", "A"), ("0.00", "C", "C"), ("37.50", "B", "A"), ("75.00", "A", "A")]


def test_what_is_delivered_is_rejected_no_more(sim: Bench) -> None:
    enter(sim, BODY)
    edit = {"system": "sap", "entity": "A_SalesOrderItem", "key": f"{FIRST}/10", "changes": {"DeliveryStatus": "B"}}
    sim.http.post("/control/edit", json=edit).raise_for_status()

    assert reject(sim, "Z9").status_code == 400


@pytest.mark.parametrize(("limit", "status"), [("100", "A"), ("50", "B"), ("0", "A")])
def test_credit_is_checked_with_the_new_order_in_it(sim: Bench, limit: str, status: str) -> None:
    sim.plant("sap", "CreditAccountSet", BusinessPartner="1000001", CreditLimit=limit, Currency="EUR")
    enter(sim, BODY)
    enter(sim, BODY)

    accounts = get(sim, "/sap/opu/odata/sap/Z_CREDIT_ACCOUNT_SRV/CreditAccountSet").json()["d"]["results"]
    assert [row["CreditExposure"] for row in accounts] == ["75.00"]
    assert sim.truth("sap", "A_SalesOrder", FIRST)["TotalCreditCheckStatus"] == "A"
    assert sim.truth("sap", "A_SalesOrder", "8000002")["TotalCreditCheckStatus"] == status
