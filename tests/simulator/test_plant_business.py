"""The distributor: every planted exception has its cause in the records, and what looks alike is right."""

import subprocess
import sys
from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest

from connectors.simulator.distributor.business import World, build, planted
from connectors.simulator.distributor.catalogue import BUSINESS_UNIT, CUSTOMERS
from connectors.simulator.distributor.planting import Planted
from connectors.simulator.fo.entities import ENTITY_SETS, cents
from tests.simulator.bench import YES, Bench

TODAY = date(2026, 11, 22)
SEEDS = [1, 2, 7, 11, 42]

Row = dict[str, Any]


class Books:
    """The rows of a world, easy to look up."""

    def __init__(self, seed: int) -> None:
        self.world: World = build(seed, TODAY)
        self.facts = self.world.planted

    def rows(self, entity: str, **wanted: Any) -> list[Row]:
        return [row for row in self.world.rows[entity] if all(row[name] == value for name, value in wanted.items())]

    def row(self, entity: str, **wanted: Any) -> Row:
        (found,) = self.rows(entity, **wanted)
        return found

    def kind(self, kind: str, *causes: str | None) -> list[Planted]:
        return [fact for fact in self.facts if fact.kind == kind and (not causes or fact.cause in causes)]

    def order(self, number: str) -> Row:
        return self.row("SalesOrderHeadersV2", SalesOrderNumber=number)

    def freight(self, number: str) -> tuple[Row, float, float]:
        """Give an order's charge, what the agreed rate gives, and how far off it may be."""
        order = self.order(number)
        charge = self.row("SalesOrderCharges", SalesOrderNumber=number)
        right, tolerance = self.rate(order, order["DeliveryModeCode"])
        return charge, right, right * tolerance / 100

    def rate(self, order: Row, mode: str) -> tuple[float, float]:
        key = {"dataAreaId": order["dataAreaId"], "CarrierCode": order["CarrierCode"], "DeliveryModeCode": mode}
        rate = self.row("FreightRates", **key)
        return cents(max(rate["RatePerKg"] * order["WeightKg"], rate["MinimumAmount"])), rate["TolerancePercent"]


@pytest.fixture(scope="module", params=SEEDS)
def books(request: pytest.FixtureRequest) -> Books:
    return Books(request.param)


def test_each_kind_is_planted_in_its_number(books: Books):
    causes = Counter((fact.kind, fact.cause) for fact in books.facts)

    assert causes == {
        ("duplicate_invoice", "edi_resend"): 10,
        ("duplicate_invoice", "split_shipment"): 1,
        ("duplicate_invoice", "already_credited"): 1,
        ("freight_misrate", "wrong_delivery_mode_rate"): 16,
        ("freight_misrate", None): 2,
        ("credit_hold", "paid_after_hold"): 8,
        ("credit_hold", "really_overdue"): 2,
        ("credit_hold", None): 2,
        ("price_mismatch", "agreed_price_not_applied"): 9,
        ("price_mismatch", "agreement_expired"): 1,
        ("backorder", "stock_elsewhere"): 12,
        ("backorder", "no_stock_anywhere"): 2,
    }


def test_an_order_has_at_most_one_exception(books: Books):
    assert len({fact.order for fact in books.facts}) == len(books.facts) == 66


def test_a_fact_stands_in_its_company_unit_and_region(books: Books):
    for fact in books.facts:
        order = books.order(fact.order)
        assert (fact.company, fact.region) == (order["dataAreaId"], order["Region"])
        assert (fact.account, fact.currency) == (order["OrderingCustomerAccountNumber"], order["CurrencyCode"])
        assert fact.business_unit == BUSINESS_UNIT[fact.company]


def test_a_duplicate_has_two_confirmations_seconds_apart_and_one_packing_slip(books: Books):
    for fact in books.kind("duplicate_invoice", "edi_resend"):
        first, second = books.rows("SalesInvoiceHeadersV2", SalesOrderNumber=fact.order)
        sent = books.rows("SalesOrderConfirmations", SalesOrderNumber=fact.order)
        same = ("CustomersOrderReference", "TotalInvoiceAmount", "InvoiceCustomerAccountNumber", "CurrencyCode")
        assert [first[name] for name in same] == [second[name] for name in same]
        assert second["InvoiceNumber"] == fact.entity_key > first["InvoiceNumber"]
        assert [row["Channel"] for row in sent] == ["MAIL", "EDI"]
        assert sent[0]["SentAt"][:16] <= sent[1]["SentAt"][:16]
        assert second["ConfirmationId"] == sent[1]["ConfirmationId"]
        assert len(books.rows("PackingSlips", SalesOrderNumber=fact.order)) == 1
        assert 80 <= fact.amount == second["TotalInvoiceAmount"] <= 9000


def test_the_invoices_of_a_pair_have_the_same_lines(books: Books):
    for fact in books.kind("duplicate_invoice"):
        pair = books.rows("SalesInvoiceHeadersV2", SalesOrderNumber=fact.order)
        lines = [
            [
                {**row, "InvoiceNumber": ""}
                for row in books.rows("SalesInvoiceLines", InvoiceNumber=bill["InvoiceNumber"])
            ]
            for bill in pair
        ]
        assert lines[0] == lines[1]


def test_an_invoice_is_the_sum_of_its_lines_and_tax(books: Books):
    for bill in books.world.rows["SalesInvoiceHeadersV2"]:
        lines = books.rows("SalesInvoiceLines", InvoiceNumber=bill["InvoiceNumber"])
        assert bill["TotalInvoiceAmount"] == cents(sum(row["LineAmount"] for row in lines) + bill["TotalTaxAmount"])


def test_the_split_shipment_has_two_slips_that_cover_the_order(books: Books):
    (fact,) = books.kind("duplicate_invoice", "split_shipment")

    slips = books.rows("PackingSlips", SalesOrderNumber=fact.order)
    lines = books.rows("SalesOrderLines", SalesOrderNumber=fact.order)
    assert len(slips) == 2
    assert sum(slip["Quantity"] for slip in slips) == sum(line["OrderedSalesQuantity"] for line in lines)


def test_the_credited_duplicate_has_its_credit_note(books: Books):
    (fact,) = books.kind("duplicate_invoice", "already_credited")

    bill = books.row("SalesInvoiceHeadersV2", InvoiceNumber=fact.entity_key)
    note = books.row("FreeTextInvoiceHeaders", CorrectedInvoiceId=fact.entity_key)
    assert bill["CreditNoteNumber"] == note["FreeTextNumber"]
    assert (bill["CreditedAmount"], bill["RemainingAmount"]) == (fact.amount, 0)


def test_duplicates_are_not_paid_nor_due(books: Books):
    for fact in books.kind("duplicate_invoice", "edi_resend"):
        bill = books.row("SalesInvoiceHeadersV2", InvoiceNumber=fact.entity_key)
        assert bill["RemainingAmount"] == bill["TotalInvoiceAmount"]
        assert bill["DueDate"] >= TODAY.isoformat()


def test_other_customers_have_invoices_of_the_same_amount(books: Books):
    amounts = {fact.amount: fact.account for fact in books.kind("duplicate_invoice")}

    twins = [
        bill
        for bill in books.world.rows["SalesInvoiceHeadersV2"]
        if bill["TotalInvoiceAmount"] in amounts
        and bill["InvoiceCustomerAccountNumber"] != amounts[bill["TotalInvoiceAmount"]]
    ]
    assert len(twins) >= 5


def test_one_customer_has_neighbouring_invoices_under_different_references(books: Books):
    bills = books.world.rows["SalesInvoiceHeadersV2"]

    pairs = [
        (one, two)
        for one, two in pairwise(bills)
        if one["InvoiceCustomerAccountNumber"] == two["InvoiceCustomerAccountNumber"]
        and one["CustomersOrderReference"] != two["CustomersOrderReference"]
    ]
    assert len(pairs) >= 3


def test_a_misrate_is_another_modes_rate_and_its_code_says_which(books: Books):
    for fact in books.kind("freight_misrate", "wrong_delivery_mode_rate"):
        order = books.order(fact.order)
        charge, right, tolerance = books.freight(fact.order)
        assert abs(charge["FixedChargeAmount"] - right) > tolerance
        assert charge["RateCode"] != order["DeliveryModeCode"]
        assert charge["FixedChargeAmount"] == books.rate(order, charge["RateCode"])[0]
        assert fact.amount == cents(abs(charge["FixedChargeAmount"] - right))


def test_an_unexplained_misrate_fits_no_mode(books: Books):
    for fact in books.kind("freight_misrate", None):
        charge, right, tolerance = books.freight(fact.order)
        assert abs(charge["FixedChargeAmount"] - right) > tolerance
        assert charge["RateCode"] == books.order(fact.order)["DeliveryModeCode"]


def test_most_misrates_are_small_and_three_are_not(books: Books):
    amounts = sorted(fact.amount for fact in books.kind("freight_misrate"))

    assert all(8 <= amount <= 60 for amount in amounts[:-3])
    assert all(150 <= amount <= 900 for amount in amounts[-3:])


def test_every_other_charge_lies_inside_the_tolerance_and_some_are_not_exact(books: Books):
    wrong = {fact.order for fact in books.kind("freight_misrate")}
    off = 0

    for charge in books.world.rows["SalesOrderCharges"]:
        if charge["SalesOrderNumber"] not in wrong:
            _, right, tolerance = books.freight(charge["SalesOrderNumber"])
            assert abs(charge["FixedChargeAmount"] - right) <= tolerance
            off += charge["FixedChargeAmount"] != right

    assert off >= 8


def test_a_hold_without_reason_has_a_payment_after_it_that_covers_the_debt(books: Books):
    for fact in books.kind("credit_hold", "paid_after_hold"):
        order = books.order(fact.order)
        customer = books.row("CustomersV3", CustomerAccount=fact.account)
        assert (order["CreditHold"], order["SalesOrderProcessingStatus"]) == ("Yes", "OnHold")
        assert customer["OverdueAmount"] == 0
        assert customer["LastPaymentDate"] > order["CreditHoldDate"] > order["OrderCreationDate"]
        assert customer["LastPaymentAmount"] >= order["CreditHoldAmount"] > 0


def test_a_right_hold_has_an_overdue_invoice_and_no_payment_since(books: Books):
    for fact in books.kind("credit_hold", "really_overdue"):
        order, customer = books.order(fact.order), books.row("CustomersV3", CustomerAccount=fact.account)
        assert customer["OverdueAmount"] >= order["CreditHoldAmount"] > 0
        assert customer["LastPaymentDate"] < order["CreditHoldDate"]


def test_an_unexplained_hold_has_neither_debt_nor_payment(books: Books):
    for fact in books.kind("credit_hold", None):
        order, customer = books.order(fact.order), books.row("CustomersV3", CustomerAccount=fact.account)
        assert customer["OverdueAmount"] == 0
        assert customer["LastPaymentDate"] < order["CreditHoldDate"]


def test_only_planted_orders_are_on_hold_and_some_late_payers_are_not(books: Books):
    held = [row for row in books.world.rows["SalesOrderHeadersV2"] if row.get("CreditHold") == "Yes"]
    accounts = {fact.account for fact in books.kind("credit_hold")}
    late = [row for row in books.world.rows["CustomersV3"] if row["OverdueAmount"] > 0]

    assert {row["SalesOrderNumber"] for row in held} == {fact.order for fact in books.kind("credit_hold")}
    assert len([row for row in late if row["CustomerAccount"] not in accounts]) >= 3


def test_no_customer_exceeds_the_credit_limit(books: Books):
    assert all(row["OpenBalance"] <= row["CreditLimit"] for row in books.world.rows["CustomersV3"])


def test_a_mismatched_price_has_a_valid_agreement_or_one_that_ended(books: Books):
    for fact in books.kind("price_mismatch"):
        order = books.order(fact.order)
        line = books.row("SalesOrderLines", SalesOrderNumber=fact.order, LineNumber=1)
        key = {"ContractId": order["ContractId"], "ItemNumber": line["ItemNumber"]}
        agreement = books.row("SalesPriceAgreements", **key)
        assert line["SalesPrice"] != agreement["AgreedPrice"]
        assert (agreement["ValidTo"] < order["OrderCreationDate"]) == (fact.cause == "agreement_expired")


def test_a_waiting_line_has_an_empty_shelf_and_plenty_elsewhere_or_nowhere(books: Books):
    for fact in books.kind("backorder"):
        line = books.row("SalesOrderLines", SalesOrderNumber=fact.order, LineNumber=1)
        stock = books.rows("WarehousesOnHand", dataAreaId=fact.company, ItemNumber=line["ItemNumber"])
        here = [row for row in stock if row["WarehouseId"] == line["ShippingWarehouseId"]]
        elsewhere = max(row["AvailableQuantity"] for row in stock)
        assert line["LineStatus"] == "Backorder"
        assert here[0]["AvailableQuantity"] == 0
        assert elsewhere == 0 if fact.cause == "no_stock_anywhere" else elsewhere >= line["OrderedSalesQuantity"] + 100


def test_no_other_line_waits(books: Books):
    waiting = {row["SalesOrderNumber"] for row in books.rows("SalesOrderLines", LineStatus="Backorder")}

    assert waiting == {fact.order for fact in books.kind("backorder")}


def test_sums_hold_and_money_has_two_places(books: Books):
    for order in books.world.orders:
        assert order.row["OrderTotalAmount"] == order.total
    for name, rows in books.world.rows.items():
        kinds = {prop.name: prop.kind.name for prop in ENTITY_SETS[name].properties.values()}
        for row in rows:
            for column, value in row.items():
                assert kinds[column] != "MONEY" or value == round(value, 2)


def test_a_customers_balance_is_the_sum_of_open_invoices(books: Books):
    for customer in books.world.rows["CustomersV3"]:
        bills = books.rows("SalesInvoiceHeadersV2", InvoiceCustomerAccountNumber=customer["CustomerAccount"])
        assert customer["OpenBalance"] == cents(sum(bill["RemainingAmount"] for bill in bills))


def test_fourteen_months_are_open_and_older_ones_closed(books: Books):
    rows = books.rows("FiscalPeriods", dataAreaId="demf")

    assert {row["PeriodName"] for row in rows if row["Status"] == "Open"} >= {"2026-11", "2025-10"}
    assert [row["Status"] for row in rows].count("Open") == 14
    assert books.row("FiscalPeriods", dataAreaId="demf", PeriodName="2025-09")["Status"] == "Closed"


def test_keys_are_unique_and_orders_over_companies_too(books: Books):
    for name, rows in books.world.rows.items():
        keys = [ENTITY_SETS[name].key_text(row) for row in rows]
        assert len(keys) == len(set(keys)), name
    assert len({order.number for order in books.world.orders}) == 220


def test_nothing_happens_in_the_future(books: Books):
    tomorrow = (TODAY + timedelta(days=1)).isoformat()
    past = ("PostedAt", "SentAt", "DeliveredAt", "InvoiceDate", "OrderCreationDate", "LastPaymentDate")

    for rows in books.world.rows.values():
        assert all(row[name] < tomorrow for row in rows for name in past if name in row)


@pytest.mark.parametrize("day", [date(2026, 1, 1), date(2026, 3, 31), date(2028, 2, 29), date(2026, 12, 31)])
def test_the_business_can_be_planted_on_any_day(day: date):
    assert len(build(7, day).planted) == 66


@pytest.mark.parametrize("seed", range(100, 112))
def test_the_business_can_be_planted_from_any_seed(seed: int):
    assert len(build(seed, TODAY).planted) == 66


def test_another_process_with_another_hash_seed_plants_the_same():
    code = (
        "import datetime, hashlib, json; from connectors.simulator.distributor.business import build;"
        "world = build(7, datetime.date(2026, 11, 22));"
        "print(hashlib.sha256(json.dumps(world.rows).encode()).hexdigest())"
    )

    digests = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }

    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


def test_the_planted_list_is_the_worlds_and_another_seeds_differs():
    assert planted(7, TODAY) == build(7, TODAY).planted
    assert planted(8, TODAY) != planted(7, TODAY)


def test_the_simulator_imports_no_django():
    code = "import sys, connectors.simulator.server, connectors.simulator.__main__; print('django' in sys.modules)"

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "False"


def test_the_distributor_is_served(demo: Bench):
    held = demo.fo("GET", "SalesOrderHeadersV2", params={"$filter": f"CreditHold eq {YES}", "$count": "true"}).json()
    accounts = demo.soql("SELECT COUNT() FROM Account").json()["totalSize"]
    facts = planted(7)

    assert held["@odata.count"] == 12
    assert accounts == sum(len(names) for names in CUSTOMERS.values()) == 60
    assert {row["SalesOrderNumber"] for row in held["value"]} == {f.order for f in facts if f.kind == "credit_hold"}
    assert demo.effects() == []


def test_every_planted_kind_can_be_mended_over_the_wire(demo: Bench):
    facts = {fact.cause: fact for fact in planted(7)}
    fact = facts["edi_resend"]
    invoice = f"SalesInvoiceHeadersV2(dataAreaId='{fact.company}',InvoiceNumber='{fact.entity_key}')"
    hold = facts["paid_after_hold"]
    order = f"SalesOrderHeadersV2(dataAreaId='{hold.company}',SalesOrderNumber='{hold.order}')"

    credited = demo.fo("POST", f"{invoice}/Microsoft.Dynamics.DataEntities.CreditInvoice", json={"Reference": "k-1"})
    released = demo.fo("POST", f"{order}/Microsoft.Dynamics.DataEntities.ReleaseCreditHold", json={"Reference": "k-2"})

    assert (credited.status_code, released.status_code) == (200, 200)
    assert {row["effect_key"] for row in demo.effects()} == {"k-1", "k-2"}


def test_an_order_stands_in_four_systems_under_ids_of_its_own(demo: Bench):
    with demo.simulator.store.read() as session:
        held = {system: session.records(system, name) for system, name in (
            ("fo", "SalesOrderHeadersV2"), ("sap", "A_SalesOrder"), ("dv", "salesorder"), ("sf", "Order"),
        )}  # fmt: skip
    numbers = {
        "fo": "SalesOrderNumber", "sap": "PurchaseOrderByCustomer", "dv": "ordernumber", "sf": "OrderReferenceNumber"
    }  # fmt: skip
    known = {system: {row.fields[numbers[system]]: row.key for row in rows} for system, rows in held.items()}

    shared = set(known["fo"])
    assert len(shared) == len(known["fo"]) > 200
    assert all(set(known[system]) == shared for system in known)
    for number in shared:
        assert len({keys[number] for keys in known.values()}) == len(known)
