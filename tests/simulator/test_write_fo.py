"""Writing F&O: changes, conditions, number sequences, and the side effects that follow by themselves."""

from typing import Any

import pytest

from tests.simulator.bench import Bench

ORDER = "SalesOrderHeadersV2(dataAreaId='demf',SalesOrderNumber='SO-1')"
CHARGE = "SalesOrderCharges(dataAreaId='demf',SalesOrderNumber='SO-1',ChargeLineNumber=1)"
LINE = "SalesOrderLines(dataAreaId='demf',InventoryLotId='LOT-1')"


@pytest.fixture
def world(sim: Bench) -> Bench:
    """One order with a line of 4 × 10.10 that waits at HAM-01, and freight of 9.60."""
    sim.order("SO-1", OrderTotalAmount=50, DeliveryModeCode="GROUND")
    charge: dict[str, Any] = {"SalesChargeCode": "FREIGHT", "FixedChargeAmount": 9.6}
    sim.plant("fo", "SalesOrderCharges", dataAreaId="demf", SalesOrderNumber="SO-1", ChargeLineNumber=1, **charge)
    line: dict[str, Any] = {"ItemNumber": "A1", "OrderedSalesQuantity": 4, "SalesPrice": 10.1, "LineAmount": 40.4}
    place = {"LineStatus": "Backorder", "ShippingWarehouseId": "HAM-01"}
    sim.plant(
        "fo", "SalesOrderLines", dataAreaId="demf", InventoryLotId="LOT-1", SalesOrderNumber="SO-1", **line, **place
    )
    for warehouse, quantity in (("HAM-01", 0), ("RTM-01", 30), ("LYS-01", 3)):
        stock: dict[str, Any] = {"WarehouseId": warehouse, "AvailableQuantity": quantity}
        sim.plant("fo", "WarehousesOnHand", dataAreaId="demf", ItemNumber="A1", **stock)
    return sim


def stock(world: Bench, warehouse: str) -> float:
    rows = world.http.get("/control/records", params={"system": "fo", "entity": "WarehousesOnHand"}).json()
    (quantity,) = [row["fields"]["AvailableQuantity"] for row in rows if row["fields"]["WarehouseId"] == warehouse]
    return float(quantity)


def total(world: Bench) -> float:
    return float(world.truth("fo", "SalesOrderHeadersV2", "SO-1")["OrderTotalAmount"])


def test_a_patch_changes_only_what_it_names(world: Bench):
    answer = world.fo("PATCH", ORDER, json={"DeliveryModeCode": "EXPRESS"})

    after = world.fo("GET", ORDER).json()
    assert answer.status_code == 204
    assert answer.content == b""
    assert (after["DeliveryModeCode"], after["OrderTotalAmount"]) == ("EXPRESS", 50)


def test_a_patch_with_a_stale_etag_is_a_412_and_changes_nothing(world: Bench):
    etag = world.fo("GET", ORDER).json()["@odata.etag"]
    world.fo("PATCH", ORDER, json={"DeliveryModeCode": "EXPRESS"})

    answer = world.fo("PATCH", ORDER, json={"DeliveryModeCode": "ECONOMY"}, headers={"If-Match": etag})

    assert answer.status_code == 412
    assert world.truth("fo", "SalesOrderHeadersV2", "SO-1")["DeliveryModeCode"] == "EXPRESS"
    assert len(world.effects()) == 1


def test_a_patch_with_the_right_etag_or_a_star_goes_through(world: Bench):
    etag = world.fo("GET", ORDER).json()["@odata.etag"]

    exact = world.fo("PATCH", ORDER, json={"DeliveryModeCode": "EXPRESS"}, headers={"If-Match": etag})
    star = world.fo("PATCH", ORDER, json={"DeliveryModeCode": "ECONOMY"}, headers={"If-Match": "*"})

    assert (exact.status_code, star.status_code) == (204, 204)


def test_a_write_into_another_company_needs_cross_company(world: Bench):
    answer = world.http.patch(f"/fo/data/{ORDER}", headers=world.fo_auth, json={"DeliveryModeCode": "EXPRESS"})

    assert answer.status_code == 404
    assert world.effects() == []


@pytest.mark.parametrize(
    "body",
    [
        {"Nowhere": "x"},
        {"OrderTotalAmount": "12"},
        {"OrderTotalAmount": True},
        {"DeliveryModeCode": 5},
        {"CreditHold": "Maybe"},
        {"RequestedShippingDate": "soon"},
        {"RequestedShippingDate": None},
        {"SalesOrderNumber": "SO-2"},
    ],
)
def test_a_patch_of_the_wrong_type_is_a_400_and_changes_nothing(world: Bench, body: dict[str, Any]):
    answer = world.fo("PATCH", ORDER, json=body)

    assert answer.status_code == 400
    assert world.effects() == []


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"OrderTotalAmount": NaN}', b"\xff", b"[" * 20000])
def test_a_body_that_is_no_json_object_is_a_400(world: Bench, body: bytes):
    assert world.fo("PATCH", ORDER, content=body).status_code == 400


def test_money_never_shows_binary_noise(world: Bench):
    world.fo("PATCH", CHARGE, json={"FixedChargeAmount": 9.7})
    world.fo("PATCH", CHARGE, json={"FixedChargeAmount": 9.9})

    assert '"OrderTotalAmount": 50.3,' in world.fo("GET", ORDER).text


def test_a_changed_charge_moves_the_orders_total_as_a_side_effect(world: Bench):
    world.fo("PATCH", CHARGE, json={"FixedChargeAmount": 14.85}, headers={"X-Effect-Key": "key-1"})

    assert total(world) == 55.25
    assert [(row["entity"], row["kind"], row["effect_key"]) for row in world.effects()] == [
        ("SalesOrderCharges", "update", "key-1"),
        ("SalesOrderHeadersV2", "side_effect", "key-1"),
    ]


def test_a_changed_price_moves_the_line_and_the_total(world: Bench):
    world.fo("PATCH", LINE, json={"SalesPrice": 9.05})

    assert world.truth("fo", "SalesOrderLines", "LOT-1")["LineAmount"] == 36.2
    assert total(world) == 45.8


def test_the_same_values_again_are_a_second_effect(world: Bench):
    for _ in range(2):
        world.fo("PATCH", CHARGE, json={"FixedChargeAmount": 12}, headers={"X-Effect-Key": "key-1"})

    assert [row["kind"] for row in world.effects()] == ["update", "side_effect", "update"]
    assert total(world) == 52.4


def test_a_waiting_line_that_moves_to_stock_is_reserved_and_takes_the_goods(world: Bench):
    world.fo("PATCH", LINE, json={"ShippingWarehouseId": "RTM-01"})

    assert world.truth("fo", "SalesOrderLines", "LOT-1")["LineStatus"] == "Reserved"
    assert (stock(world, "HAM-01"), stock(world, "RTM-01")) == (0, 26)


def test_moving_the_line_back_puts_goods_and_status_back(world: Bench):
    world.fo("PATCH", LINE, json={"ShippingWarehouseId": "RTM-01"})

    world.fo("PATCH", LINE, json={"ShippingWarehouseId": "HAM-01"})

    assert world.truth("fo", "SalesOrderLines", "LOT-1")["LineStatus"] == "Backorder"
    assert (stock(world, "HAM-01"), stock(world, "RTM-01")) == (0, 30)


def test_a_line_that_moves_to_too_little_stock_goes_on_waiting(world: Bench):
    world.fo("PATCH", LINE, json={"ShippingWarehouseId": "LYS-01"})

    assert world.truth("fo", "SalesOrderLines", "LOT-1")["LineStatus"] == "Backorder"
    assert stock(world, "LYS-01") == 3


def test_a_reserved_line_that_moves_gives_its_goods_back_first(world: Bench):
    world.fo("PATCH", LINE, json={"ShippingWarehouseId": "RTM-01"})
    world.http.post(
        "/control/edit",
        json={
            "system": "fo",
            "entity": "WarehousesOnHand",
            "key": {"ItemNumber": "A1", "WarehouseId": "LYS-01"},
            "changes": {"AvailableQuantity": 10},
        },
    )

    world.fo("PATCH", LINE, json={"ShippingWarehouseId": "LYS-01"})

    assert (stock(world, "RTM-01"), stock(world, "LYS-01")) == (30, 6)


def test_a_delivered_line_stays_where_it_was_shipped(world: Bench):
    world.plant("fo", "SalesOrderLines", dataAreaId="demf", InventoryLotId="LOT-2", LineStatus="Delivered")
    line = "SalesOrderLines(dataAreaId='demf',InventoryLotId='LOT-2')"

    answer = world.fo("PATCH", line, json={"ShippingWarehouseId": "RTM-01"})

    assert answer.status_code == 400
    assert "delivered" in answer.json()["error"]["innererror"]["message"]


def test_a_post_without_its_number_draws_one_each_time(sim: Bench):
    body = {"dataAreaId": "demf", "CustomerAccount": "DE-001", "CustomerReference": "op-1"}

    first = sim.fo("POST", "FreeTextInvoiceHeaders", json=body).json()
    second = sim.fo("POST", "FreeTextInvoiceHeaders", json=body).json()

    assert second["InvoiceIdentifier"] == first["InvoiceIdentifier"] + 1
    assert isinstance(first["InvoiceIdentifier"], int)


def test_a_post_answers_201_with_the_whole_record(sim: Bench):
    answer = sim.fo("POST", "SalesOrderHeadersV2", json={"dataAreaId": "demf", "OrderTotalAmount": 12.345})

    assert answer.status_code == 201
    assert answer.json()["SalesOrderNumber"] == "SO-900001"
    assert answer.json()["OrderTotalAmount"] == 12.35
    assert answer.json()["@odata.etag"]


def test_a_post_without_a_company_lands_in_the_default_company(sim: Bench):
    answer = sim.fo("POST", "CustomersV3", json={"CustomerAccount": "US-1"})

    assert answer.json()["dataAreaId"] == "usmf"


def test_a_post_of_an_existing_key_is_refused(world: Bench):
    answer = world.fo("POST", "SalesOrderHeadersV2", json={"dataAreaId": "demf", "SalesOrderNumber": "SO-1"})

    assert answer.status_code == 400
    assert "already exists" in answer.json()["error"]["innererror"]["message"]


def test_a_post_without_a_key_that_no_sequence_fills_is_refused(sim: Bench):
    answer = sim.fo("POST", "CustomersV3", json={"dataAreaId": "demf"})

    assert answer.status_code == 400
    assert "CustomerAccount" in answer.json()["error"]["innererror"]["message"]


def test_new_and_deleted_charges_move_the_total(world: Bench):
    second = {"dataAreaId": "demf", "SalesOrderNumber": "SO-1", "ChargeLineNumber": 2, "FixedChargeAmount": 5.5}

    world.fo("POST", "SalesOrderCharges", json=second)
    grown = total(world)
    answer = world.fo("DELETE", CHARGE)

    assert grown == 55.5
    assert answer.status_code == 204
    assert total(world) == 45.9
    assert world.fo("GET", CHARGE).status_code == 404


def test_a_new_line_computes_its_amount(world: Bench):
    body = {"dataAreaId": "demf", "SalesOrderNumber": "SO-1", "OrderedSalesQuantity": 3, "SalesPrice": 0.1}

    answer = world.fo("POST", "SalesOrderLines", json=body)

    assert answer.json()["LineAmount"] == 0.3
    assert total(world) == 50.3


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_posted_invoice_is_never_changed_nor_deleted(sim: Bench, method: str):
    sim.invoice("INV-1")
    body: dict[str, Any] = {"json": {"RemainingAmount": 0}} if method == "PATCH" else {}

    answer = sim.fo(method, "SalesInvoiceHeadersV2(dataAreaId='demf',InvoiceNumber='INV-1')", **body)

    assert answer.status_code == 400
    assert "posted" in answer.json()["error"]["innererror"]["message"]


def test_a_posted_document_is_not_created_by_hand(sim: Bench):
    answer = sim.fo("POST", "CustomerPayments", json={"dataAreaId": "demf", "PaymentId": "PAY-1"})

    assert answer.status_code == 400


@pytest.mark.parametrize(("method", "path"), [("DELETE", "CustomersV3"), ("PUT", "CustomersV3"), ("POST", ORDER)])
def test_a_method_that_an_address_does_not_know_is_a_405(world: Bench, method: str, path: str):
    body: dict[str, Any] = {} if method == "DELETE" else {"json": {}}

    assert world.fo(method, path, **body).status_code == 405
