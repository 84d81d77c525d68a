"""The buying side: what is wrong there stands in the records, and the stream speaks of it in two channels."""

from collections import Counter
from datetime import date
from typing import Any

import pytest

from connectors.simulator.distributor.business import World, build
from connectors.simulator.distributor.payables import RULES
from connectors.simulator.distributor.planting import Planted
from connectors.simulator.fo.entities import cents
from connectors.simulator.stream import CASE, CLOUD, EVENT, plan_signals

TODAY = date(2026, 11, 22)


@pytest.fixture(scope="module", params=[7, 42])
def world(request: pytest.FixtureRequest) -> World:
    return build(request.param, TODAY)


def rows(world: World, entity: str, **wanted: Any) -> list[dict[str, Any]]:
    return [row for row in world.rows[entity] if all(row[name] == value for name, value in wanted.items())]


def facts(world: World, cause: str) -> list[Planted]:
    return [fact for fact in world.payables if fact.cause == cause]


def test_each_cause_is_planted_in_its_number(world: World) -> None:
    assert Counter(fact.cause for fact in world.payables) == {
        "entered_twice": 5, "two_deliveries": 1, "held_already": 1, "price_above_order": 3,
        "quantity_above_receipt": 2, "within_tolerance": 1, "not_received": 3, "receipt_came": 1,
        "unapproved_change": 2, "approved_change": 1,
    }  # fmt: skip


def test_an_invoice_entered_twice_has_one_receipt_and_a_twin(world: World) -> None:
    for fact in facts(world, "entered_twice"):
        (bill,) = rows(world, "VendorInvoiceHeaders", HeaderReference=fact.entity_key)
        twins = rows(world, "VendorInvoiceHeaders", InvoiceNumber=bill["InvoiceNumber"])
        assert len(twins) == 2
        assert bill["EnteredAt"] == max(twin["EnteredAt"] for twin in twins)
        assert len(rows(world, "ProductReceiptHeaders", PurchaseOrderNumber=fact.order)) == 1


def test_a_billed_price_is_more_than_two_percent_above_the_order(world: World) -> None:
    for fact in facts(world, "price_above_order"):
        (line,) = rows(world, "VendorInvoiceLines", HeaderReference=fact.entity_key)
        (ordered,) = rows(world, "PurchaseOrderLinesV2", PurchaseOrderNumber=fact.order)
        assert line["UnitPrice"] > ordered["PurchasePrice"] * 1.02
        assert line["LineAmount"] == cents(line["Quantity"] * line["UnitPrice"]) == fact.amount


def test_more_is_billed_than_came_and_some_never_came(world: World) -> None:
    for fact in facts(world, "quantity_above_receipt"):
        (line,) = rows(world, "VendorInvoiceLines", HeaderReference=fact.entity_key)
        (receipt,) = rows(world, "ProductReceiptHeaders", PurchaseOrderNumber=fact.order)
        assert line["Quantity"] > receipt["Quantity"]
    for fact in facts(world, "not_received"):
        assert rows(world, "ProductReceiptHeaders", PurchaseOrderNumber=fact.order) == []


def test_only_the_planted_bank_accounts_lack_an_approval(world: World) -> None:
    lacking = {
        row["VendorAccountNumber"] for row in world.rows["VendorBankAccounts"] if not row.get("ApprovedByUserId")
    }

    assert lacking == {fact.entity_key for fact in facts(world, "unapproved_change")}


def test_each_exception_is_told_by_fo_and_by_the_scanner_and_by_no_customer() -> None:
    told = plan_signals(7, TODAY.isoformat())

    for fact in build(7, TODAY).payables:
        about = [one for one in told if one.entity == fact.entity_key and not one.repeats]
        assert {one.channel for one in about} == {EVENT, CLOUD}
        assert [one.content["RuleId"] for one in about if one.channel == EVENT] == [RULES[fact.kind]]
        assert {one.content["code"] for one in about if one.channel == CLOUD} == {fact.kind}
        assert CASE not in {one.channel for one in about}
