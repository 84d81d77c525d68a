"""The distributor's exceptions: what went wrong, planted so that its cause can be found in the records."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connectors.simulator.distributor import invoicing
from connectors.simulator.distributor.catalogue import (
    BUSINESS_UNIT,
    CURRENCY,
    ITEMS,
    MODES,
    TOLERANCE_PERCENT,
    WAREHOUSES,
)
from connectors.simulator.fo.entities import cents
from connectors.simulator.store import Fields

if TYPE_CHECKING:
    from connectors.simulator.distributor.business import Customer, Order, World

# Net goods of the twelve doubled orders: invoices from about 100 to 9,000.
DUPLICATE_GOODS = (95.0, 5600.0, 360.0, 150.0, 1150.0, 6600.0, 230.0, 3900.0, 520.0, 1700.0, 780.0, 2600.0)
SPLIT, CREDITED = 4, 8
FREIGHT, FREIGHT_HIGH, FREIGHT_UNEXPLAINED = 18, 3, 2
HOLDS, HOLDS_RIGHT, HOLDS_UNEXPLAINED = 12, 2, 2
PRICES = 10
BACKORDERS, BACKORDERS_NOWHERE = 14, 2


@dataclass(frozen=True)
class Planted:
    """One exception that was planted, with the cause that a root-cause analysis should find (None: there is none)."""

    kind: str
    entity_type: str
    entity_key: str
    company: str
    region: str
    cause: str | None
    account: str
    order: str
    amount: float
    text: str
    attributes: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def currency(self) -> str:
        """Give the currency of `amount`, the money at risk."""
        return CURRENCY[self.company]

    @property
    def business_unit(self) -> str:
        """Give the business unit of the company."""
        return BUSINESS_UNIT[self.company]


def note(
    world: World, order: Order, kind: str, cause: str | None, amount: float, *, text: str, **attributes: str
) -> None:
    """Remember a planted exception about an order."""
    customer = order.customer
    key = attributes.pop("invoice", "")
    attributes = {"legal_entity": customer.company, **attributes}
    world.planted.append(
        Planted(
            kind,
            "invoice" if key else "order",
            key or order.number,
            customer.company,
            customer.region,
            cause,
            customer.account,
            order.number,
            cents(amount),
            text,
            attributes,
        )
    )


def money(order: Order, amount: float) -> str:
    """Write an amount with its currency for a text."""
    return f"{cents(amount):,.2f} {CURRENCY[order.customer.company]}"


def free_orders(world: World) -> list[Order]:
    """Give the open orders that have no exception yet, in shuffled order."""
    free = [order for order in world.orders if not order.invoiced and order.number not in world.taken]
    return world.random.sample(free, len(free))


def take(world: World, order: Order) -> None:
    """Keep an order for one kind of exception."""
    world.taken.add(order.number)


def same_amounts(world: World) -> None:
    """Give other customers orders of the same worth as a doubled one: alike, and nothing is wrong with them."""
    copied: set[str] = set()
    for order in [order for order in world.orders if order.duplicate][:8]:
        for twin in world.orders:
            other = twin.customer.account != order.customer.account and twin.customer.region == order.customer.region
            if not other or twin.duplicate or not twin.invoiced or twin.number in copied:
                continue
            copied.add(twin.number)
            _copy(world, order, twin)
            break


def _copy(world: World, order: Order, twin: Order) -> None:
    for line in twin.lines:
        world.rows["SalesOrderLines"].remove(line)
    twin.lines = []
    for line in order.lines:
        lot = f"LOT-{world.number('lot', 40001)}"
        copy = {**line, "InventoryLotId": lot, "SalesOrderNumber": twin.number}
        world.rows["SalesOrderLines"].append(copy)
        twin.lines.append(copy)
    for name in ("CarrierCode", "DeliveryModeCode", "WeightKg"):
        twin.row[name] = order.row[name]
    for name in ("FixedChargeAmount", "RateCode"):
        twin.charge[name] = order.charge[name]


def invoice_twice(world: World, order: Order, confirmed: datetime, index: int) -> None:
    """Confirm and invoice an order twice: the EDI gateway sent its confirmation again seconds later.

    One of them is a split shipment and right; one was credited already.
    """
    split, draw = index == SPLIT, world.random
    if split:
        for line in order.lines:
            line["OrderedSalesQuantity"] *= 2
            line["LineAmount"] = cents(line["OrderedSalesQuantity"] * line["SalesPrice"])
        order.charge["FixedChargeAmount"] = cents(round(order.charge["FixedChargeAmount"] * 50) / 50)
    parts = 2 if split else 1
    gap = timedelta(seconds=draw.randint(3, 9))
    first = invoicing.confirm(world, order, confirmed, "MAIL")
    second = invoicing.confirm(world, order, confirmed + gap, "EDI")
    whole = sum(line["OrderedSalesQuantity"] for line in order.lines)
    for part in range(parts):
        invoicing.ship(world, order, confirmed + timedelta(hours=18 + part), whole / parts)
    posted = confirmed + timedelta(hours=20, minutes=draw.randint(0, 40))
    invoicing.invoice(world, order, posted, first, parts=parts)
    later = posted + (timedelta(hours=1) if split else gap)
    double = invoicing.invoice(world, order, later, second, user="edi-gateway", parts=parts)
    cause = {SPLIT: "split_shipment", CREDITED: "already_credited"}.get(index, "edi_resend")
    if index == CREDITED:
        _credit(world, order, double, later + timedelta(hours=5))
    total = double["TotalInvoiceAmount"]
    reference = order.row["CustomersOrderReference"]
    text = f"Order {order.number} (reference {reference}) is invoiced twice, {money(order, total)} each."
    note(world, order, "duplicate_invoice", cause, total, text=text, invoice=double["InvoiceNumber"])


def _credit(world: World, order: Order, bill: Fields, moment: datetime) -> None:
    number = f"CN-{world.number('credit', 500001)}"
    bill.update(CreditedAmount=bill["TotalInvoiceAmount"], RemainingAmount=0, CreditNoteNumber=number)
    world.add(
        "FreeTextInvoiceHeaders",
        order.customer.company,
        InvoiceIdentifier=68719470000 + world.number("note", 1),
        CustomerAccount=order.customer.account,
        FreeTextNumber=number,
        IsCorrection="Yes",
        CorrectedInvoiceId=bill["InvoiceNumber"],
        CurrencyCode=bill["CurrencyCode"],
        InvoiceAmount=-bill["TotalInvoiceAmount"],
        IsPosted="Yes",
        InvoiceDate=f"{moment.date().isoformat()}T12:00:00Z",
    )


def freight_misrates(world: World) -> None:
    """Charge freight at another delivery mode's rate; the charge's RateCode tells which."""
    for index, order in enumerate(free_orders(world)[:FREIGHT]):
        take(world, order)
        if index < FREIGHT_UNEXPLAINED:
            _odd_freight(world, order)
        else:
            high = index < FREIGHT_UNEXPLAINED + FREIGHT_HIGH
            _wrong_mode(world, order, 150 if high else 8, 900 if high else 60)


def _wrong_mode(world: World, order: Order, least: float, most: float) -> None:
    draw, row, company = world.random, order.row, order.customer.company
    while True:
        mode, wrong = draw.sample(MODES, 2)
        weight = round(draw.uniform(12, 110) if most <= 60 else draw.uniform(240, 1100), 1)
        right = world.freight(company, row["CarrierCode"], mode, weight)
        charged = world.freight(company, row["CarrierCode"], wrong, weight)
        if least <= abs(charged - right) <= most and abs(charged - right) > right * TOLERANCE_PERCENT / 100:
            break
    row.update(DeliveryModeCode=mode, WeightKg=weight)
    order.charge.update(FixedChargeAmount=charged, RateCode=wrong)
    _note_freight(world, order, right, charged, "wrong_delivery_mode_rate")


def _odd_freight(world: World, order: Order) -> None:
    """Charge an amount that no rate explains."""
    row = order.row
    right = world.freight(order.customer.company, row["CarrierCode"], row["DeliveryModeCode"], row["WeightKg"])
    charged = cents(right + world.random.uniform(11, 24))
    order.charge.update(FixedChargeAmount=charged, RateCode=row["DeliveryModeCode"])
    _note_freight(world, order, right, charged, None)


def _note_freight(world: World, order: Order, right: float, charged: float, cause: str | None) -> None:
    text = f"Freight on {order.number}: charged {money(order, charged)}, agreed rate gives {money(order, right)}."
    carrier = order.row["CarrierCode"]
    note(world, order, "freight_misrate", cause, abs(charged - right), text=text, carrier=carrier)


def credit_holds(world: World) -> None:
    """Choose the stopped orders and tell each customer's payments what their story is."""
    chosen: list[Order] = []
    for order in free_orders(world):
        fresh = order.customer.account not in {other.customer.account for other in chosen}
        if fresh and order.created <= world.days_ago(11) and order.total <= 3500 and len(chosen) < HOLDS:
            chosen.append(order)
    for index, order in enumerate(chosen):
        take(world, order)
        customer = order.customer
        customer.paid_before = world.days_ago(world.random.randint(6, 9))
        if index >= HOLDS_RIGHT + HOLDS_UNEXPLAINED:
            customer.late_paid = customer.paid_before + timedelta(days=world.random.randint(2, 4))
        cause = "really_overdue" if index < HOLDS_RIGHT else "paid_after_hold" if customer.late_paid else None
        text = f"Order {order.number} of {customer.account} is on credit hold."
        note(world, order, "credit_hold", cause, order.total, text=text)


def choose_late_invoices(world: World, customers: dict[str, Customer]) -> None:
    """Pick for each stopped customer the invoice that was unpaid on the day of the hold."""
    for fact in [fact for fact in world.planted if fact.kind == "credit_hold" and fact.cause]:
        customer = customers[fact.account]
        due = [
            bill
            for bill in world.rows["SalesInvoiceHeadersV2"]
            if bill["InvoiceCustomerAccountNumber"] == customer.account and bill["DueDate"] < str(customer.paid_before)
        ]
        number = max(due, key=lambda bill: str(bill["DueDate"]))["InvoiceNumber"]
        if fact.cause == "really_overdue":
            customer.overdue_invoice = number
        else:
            customer.late_invoice = number


def finish_credit_holds(world: World) -> None:
    """Write the holds onto their orders, with the amount that was overdue that day."""
    orders = {order.number: order for order in world.orders}
    bills = {bill["InvoiceNumber"]: bill for bill in world.rows["SalesInvoiceHeadersV2"]}
    for fact in [fact for fact in world.planted if fact.kind == "credit_hold"]:
        order = orders[fact.order]
        customer = order.customer
        number = customer.late_invoice or customer.overdue_invoice
        overdue = bills[number]["TotalInvoiceAmount"] if number else 0
        reason = f"Overdue {money(order, overdue)} on invoice {number}" if number else "Stopped by credit check"
        order.row.update(
            CreditHold="Yes",
            CreditHoldReason=reason,
            CreditHoldReference="",
            CreditHoldDate=f"{customer.paid_before}T06:30:00Z",
            CreditHoldAmount=overdue,
            SalesOrderProcessingStatus="OnHold",
        )


def price_mismatches(world: World) -> None:
    """Bill a line at the list price although the contract agrees on another; one agreement had ended."""
    candidates = [
        order for order in free_orders(world) if (order.row["ContractId"], order.lines[0]["ItemNumber"]) in world.agreed
    ]
    for index, order in enumerate(candidates[:PRICES]):
        take(world, order)
        line = order.lines[0]
        agreement = world.agreed[order.row["ContractId"], line["ItemNumber"]]
        line["SalesPrice"] = ITEMS[line["ItemNumber"]]
        line["LineAmount"] = cents(line["OrderedSalesQuantity"] * line["SalesPrice"])
        cause = "agreed_price_not_applied"
        if index == 0:
            agreement["ValidTo"] = f"{order.created - timedelta(days=9)}T12:00:00Z"
            cause = "agreement_expired"
        gap = (line["SalesPrice"] - agreement["AgreedPrice"]) * line["OrderedSalesQuantity"]
        text = (
            f"Order {order.number} line 1: {line['ItemNumber']} at {money(order, line['SalesPrice'])}, "
            f"contract {order.row['ContractId']} says {money(order, agreement['AgreedPrice'])}."
        )
        note(world, order, "price_mismatch", cause, abs(gap), text=text, item=line["ItemNumber"])


def backorders(world: World) -> None:
    """Let lines wait where the shelf is empty while another warehouse has plenty; for two no warehouse has any."""
    emptied: dict[tuple[str, str], str] = {}
    for order in free_orders(world):
        if len(emptied) == BACKORDERS:
            return
        line, company = order.lines[0], order.customer.company
        item, warehouse = line["ItemNumber"], line["ShippingWarehouseId"]
        if (company, item) in emptied or order.total > 4200:
            continue
        nowhere = len(emptied) < BACKORDERS_NOWHERE
        emptied[company, item] = warehouse
        take(world, order)
        for other in WAREHOUSES[company]:
            stock = world.stock[company, item, other]
            if nowhere or other == warehouse:
                stock["AvailableQuantity"] = 0
            else:
                stock["AvailableQuantity"] = max(stock["AvailableQuantity"], line["OrderedSalesQuantity"] + 120)
        line["LineStatus"] = "Backorder"
        cause = "no_stock_anywhere" if nowhere else "stock_elsewhere"
        text = f"Order {order.number}: {line['OrderedSalesQuantity']} × {item} cannot ship from {warehouse}."
        note(world, order, "backorder", cause, line["LineAmount"], text=text, item=item, warehouse=warehouse)
