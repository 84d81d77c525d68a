"""A mid-market distributor in two companies, the same for the same seed and day; money is kept in whole cents."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any

from connectors.simulator.dataverse import tables as dv_tables
from connectors.simulator.distributor import invoicing, money_scenes, payables, planting
from connectors.simulator.distributor.catalogue import (
    BASE_RATES,
    CARRIER_FACTOR,
    CARRIERS,
    COMPANY_OF,
    CURRENCY,
    CUSTOMERS,
    ITEMS,
    MODES,
    TOLERANCE_PERCENT,
    WAREHOUSES,
)
from connectors.simulator.distributor.planting import Planted
from connectors.simulator.fo.entities import COMPANY, ENTITY_SETS, cents
from connectors.simulator.salesforce import sobjects
from connectors.simulator.sap import business as sap_business
from connectors.simulator.sap import scenes as ledger_scenes
from connectors.simulator.store import Fields, Session

INVOICED, OPEN = 130, 90
FIRST_ORDER = 601
MONTHS_OPEN, MONTHS = 14, 24


@dataclass
class Customer:
    """A customer while the world is being built."""

    account: str
    region: str
    company: str
    row: Fields
    contract: str = ""
    # Payments of a customer whose order was stopped: none between this day and the one that settles it.
    paid_before: date | None = None
    late_invoice: str = ""
    late_paid: date | None = None
    overdue_invoice: str = ""


@dataclass
class Order:
    """An order while the world is being built."""

    customer: Customer
    created: date
    goods: float
    invoiced: bool
    duplicate: bool = False
    row: Fields = field(default_factory=dict)
    lines: list[Fields] = field(default_factory=list)
    charge: Fields = field(default_factory=dict)

    @property
    def number(self) -> str:
        """Give the order's number."""
        return str(self.row["SalesOrderNumber"])

    @property
    def total(self) -> float:
        """Sum lines and charges."""
        return cents(sum(line["LineAmount"] for line in self.lines) + self.charge["FixedChargeAmount"])


class World:
    """Everything that is planted, before it is stored."""

    def __init__(self, seed: int, today: date) -> None:
        self.random = random.Random(seed)  # noqa: S311
        self.today = today
        self.rows: dict[str, list[Fields]] = {name: [] for name in ENTITY_SETS}
        self.customers: list[Customer] = []
        self.orders: list[Order] = []
        self.rates: dict[tuple[str, str, str], tuple[float, float]] = {}
        self.agreed: dict[tuple[str, str], Fields] = {}
        self.stock: dict[tuple[str, str, str], Fields] = {}
        self.planted: list[Planted] = []
        self.payables: list[Planted] = []
        self.postings: list[Planted] = []
        # What stands in SAP alone, by entity set.
        self.sap_rows: defaultdict[str, list[Fields]] = defaultdict(list)
        self.taken: set[str] = set()
        self.numbers: dict[str, int] = {}

    def add(self, entity: str, company: str, **fields: Any) -> Fields:
        """Add a row; it may still change until the world is stored."""
        row: Fields = {COMPANY: company, **fields}
        self.rows[entity].append(row)
        return row

    def number(self, sequence: str, start: int) -> int:
        """Draw the next number of a sequence."""
        self.numbers[sequence] = self.numbers.get(sequence, start - 1) + 1
        return self.numbers[sequence]

    def days_ago(self, days: float) -> date:
        """Give the day that lies so many days back."""
        return self.today - timedelta(days=round(days))

    def freight(self, company: str, carrier: str, mode: str, weight: float) -> float:
        """Price a shipment by the agreed rate: per kilogram, but at least the minimum."""
        per_kg, minimum = self.rates[company, carrier, mode]
        return cents(max(per_kg * weight, minimum))


def noon(day: date) -> str:
    """Write a plain date as F&O does: noon UTC."""
    return f"{day.isoformat()}T12:00:00Z"


def at(day: date, hour: int, minute: int, second: int = 0) -> datetime:
    """Give a moment of a day in UTC."""
    return datetime.combine(day, time(hour, minute, second), UTC)


def _customers(world: World) -> None:
    counts: dict[str, int] = {}
    for region, names in CUSTOMERS.items():
        company = COMPANY_OF[region]
        for name in names:
            prefix = region if company == "demf" else "US"
            counts[prefix] = counts.get(prefix, 0) + 1
            account = f"{prefix}-{counts[prefix]:03d}"
            row = world.add(
                "CustomersV3",
                company,
                CustomerAccount=account,
                OrganizationName=name,
                CurrencyCode=CURRENCY[company],
                OnHoldStatus="No",
                Region=region,
            )
            world.customers.append(Customer(account, region, company, row))


def _terms(world: World) -> None:
    """Write down what was agreed: freight rates, price agreements, stock, fiscal periods."""
    for company, carriers in CARRIERS.items():
        for carrier, factor in zip(carriers, CARRIER_FACTOR, strict=True):
            for mode in MODES:
                per_kg, minimum = (round(base * factor, 4) for base in BASE_RATES[mode])
                world.rates[company, carrier, mode] = (per_kg, cents(minimum))
                world.add(
                    "FreightRates",
                    company,
                    CarrierCode=carrier,
                    DeliveryModeCode=mode,
                    RatePerKg=per_kg,
                    MinimumAmount=cents(minimum),
                    CurrencyCode=CURRENCY[company],
                    TolerancePercent=TOLERANCE_PERCENT,
                )
        for item in ITEMS:
            for warehouse, region in WAREHOUSES[company].items():
                quantity = world.random.randint(180, 900)
                world.stock[company, item, warehouse] = world.add(
                    "WarehousesOnHand",
                    company,
                    ItemNumber=item,
                    WarehouseId=warehouse,
                    AvailableQuantity=quantity,
                    Region=region,
                )
        for back in range(MONTHS):
            month = world.today.year * 12 + world.today.month - 1 - back
            name = f"{month // 12:04d}-{month % 12 + 1:02d}"
            world.add("FiscalPeriods", company, PeriodName=name, Status="Open" if back < MONTHS_OPEN else "Closed")


def _agreements(world: World) -> None:
    for customer in world.random.sample(world.customers, 32):
        customer.contract = f"C-{world.number('contract', 101)}"
        items = world.random.sample(list(ITEMS)[:16], 3) + world.random.sample(list(ITEMS)[16:], 2)
        for item in sorted(items):
            price = cents(ITEMS[item] * world.random.uniform(0.82, 0.94))
            world.agreed[customer.contract, item] = world.add(
                "SalesPriceAgreements",
                customer.company,
                ContractId=customer.contract,
                ItemNumber=item,
                AgreedPrice=price,
                CurrencyCode=CURRENCY[customer.company],
                ValidFrom=noon(world.days_ago(200)),
                ValidTo=noon(world.today + timedelta(days=165)),
            )


def _orders(world: World) -> None:
    """Plan who ordered what and when; numbers follow the calendar."""
    draw = world.random
    everyone = draw.sample(world.customers, len(world.customers))
    plans: list[Order] = []
    doubles = dict(zip(draw.sample(range(74, 126), 12), planting.DUPLICATE_GOODS, strict=True))
    for index in range(INVOICED):
        # Every customer has an invoice that fell due weeks ago; the recent ones are not due yet.
        back = 150 - index * 106 / 69 if index < 70 else 27 - (index - 70) * 22 / 59
        customer = everyone[index % 60] if index < 70 else draw.choice(everyone)
        if index > 74 and index % 9 == 0:
            customer = plans[-1].customer
        goods = doubles.get(index) or math.exp(draw.uniform(math.log(70), math.log(6500)))
        plans.append(Order(customer, world.days_ago(back), goods, True, duplicate=index in doubles))
    again = draw.sample(world.customers, len(world.customers))
    for index in range(OPEN):
        customer = again[index] if index < 60 else draw.choice(again)
        goods = math.exp(draw.uniform(math.log(90), math.log(5200)))
        plans.append(Order(customer, world.days_ago(29 - index * 28 / 89), goods, False))
    plans.sort(key=lambda order: order.created)
    for number, order in enumerate(plans, FIRST_ORDER):
        _write_order(world, order, f"SO-{number:06d}")
    world.orders = plans


def _write_order(world: World, order: Order, number: str) -> None:
    draw, customer = world.random, order.customer
    company = customer.company
    houses = WAREHOUSES[company]
    own = [name for name, region in houses.items() if region == customer.region]
    warehouse = draw.choice(own)
    carrier, mode = draw.choice(CARRIERS[company]), draw.choice(MODES)
    weight = round(draw.uniform(6, 95), 1)
    contract = customer.contract if not order.invoiced else ""
    shipping = noon(order.created + timedelta(days=draw.randint(2, 6)))
    order.row = world.add(
        "SalesOrderHeadersV2",
        company,
        SalesOrderNumber=number,
        OrderingCustomerAccountNumber=customer.account,
        InvoiceCustomerAccountNumber=customer.account,
        CustomersOrderReference=f"PO-{draw.randint(10000, 99999)}",
        SalesOrderStatus="Invoiced" if order.invoiced else "Backorder",
        SalesOrderProcessingStatus="Invoiced" if order.invoiced else "Confirmed",
        CurrencyCode=CURRENCY[company],
        DeliveryModeCode=mode,
        DefaultShippingWarehouseId=warehouse,
        RequestedShippingDate=shipping,
        ContractId=contract,
        CarrierCode=carrier,
        WeightKg=weight,
        Region=customer.region,
        OrderCreationDate=at(order.created, draw.randint(7, 16), draw.randint(0, 59)).isoformat(),
    )
    _write_lines(world, order, contract)
    amount = world.freight(company, carrier, mode, weight)
    if draw.random() < 0.12:
        # A little off but inside the tolerance: nothing is wrong with it.
        amount = cents(amount * (1 + draw.choice((-1, 1)) * draw.uniform(0.004, 0.017)))
    order.charge = world.add(
        "SalesOrderCharges",
        company,
        SalesOrderNumber=number,
        ChargeLineNumber=1,
        SalesChargeCode="FREIGHT",
        FixedChargeAmount=amount,
        ChargeCurrencyCode=CURRENCY[company],
        RateCode=mode,
    )


def _write_lines(world: World, order: Order, contract: str) -> None:
    draw, count = world.random, world.random.choice((1, 2, 2, 3))
    share = order.goods / count
    cheap = [item for item, price in ITEMS.items() if price <= max(share / 8, 2.40)]
    while len(cheap) < count:
        cheap.append(list(ITEMS)[len(cheap)])
    items = draw.sample(cheap, count)
    agreed = [item for (name, item) in world.agreed if name == contract]
    if agreed:
        first = min(agreed) if share < 200 else draw.choice(agreed)
        items = [first, *[item for item in items if item != first][: count - 1]]
    for position, item in enumerate(items, 1):
        agreement = world.agreed.get((contract, item))
        price = agreement["AgreedPrice"] if agreement else ITEMS[item]
        quantity = max(1, round(share / price))
        order.lines.append(
            world.add(
                "SalesOrderLines",
                order.customer.company,
                InventoryLotId=f"LOT-{world.number('lot', 40001)}",
                SalesOrderNumber=order.number,
                LineNumber=position,
                ItemNumber=item,
                OrderedSalesQuantity=quantity,
                SalesPrice=price,
                LineAmount=cents(quantity * price),
                LineStatus="Delivered" if order.invoiced else "Reserved",
                ShippingWarehouseId=order.row["DefaultShippingWarehouseId"],
                RequestedShippingDate=order.row["RequestedShippingDate"],
            )
        )


def build(seed: int, today: date) -> World:
    """Make the whole business of one seed and day."""
    world = World(seed, today)
    _customers(world)
    _terms(world)
    _agreements(world)
    _orders(world)
    planting.same_amounts(world)
    planting.credit_holds(world)
    planting.freight_misrates(world)
    planting.price_mismatches(world)
    planting.backorders(world)
    invoicing.invoice_all(world)
    invoicing.pay(world)
    for order in world.orders:
        order.row["OrderTotalAmount"] = order.total
    planting.finish_credit_holds(world)
    invoicing.balance(world)
    payables.plant(world, seed)
    ledger_scenes.plant(world, seed)
    money_scenes.plant(world, seed)
    return world


@lru_cache(maxsize=4)
def _built(seed: int, today: date) -> tuple[Planted, ...]:
    return tuple(build(seed, today).planted)


def planted(seed: int = 7, today: date | None = None) -> list[Planted]:
    """List the exceptions of a seed's business as of a day (default: today in UTC)."""
    return list(_built(seed, today or datetime.now(UTC).date()))


def plant(session: Session, seed: int, business: str) -> None:
    """Store a business: `demo` is the distributor, `empty` has nothing but number sequences."""
    today = datetime.now(UTC).date()
    session.set_meta("seed", str(seed))
    session.set_meta("business", business)
    session.set_meta("today", today.isoformat())
    if business == "empty":
        return
    world = build(seed, today)
    for name, rows in world.rows.items():
        entity = ENTITY_SETS[name]
        whole = [entity.complete(row) for row in rows]
        session.plant("fo", name, [(entity.key_text(row), row) for row in whole])
    for customer in world.customers:
        account = {
            "Name": customer.row["OrganizationName"],
            "AccountNumber": customer.account,
            "Region__c": customer.region,
        }
        owner = sobjects.create(session, sobjects.SOBJECTS["Account"], account, kind=None).key
        for order in world.orders:
            if order.customer is customer:
                sold = {"OrderReferenceNumber": order.number, "AccountId": owner, "Status": "Activated"}
                sobjects.create(session, sobjects.SOBJECTS["Order"], sold, kind=None)
    dv_tables.plant_business(
        session, [_crm_account(one) for one in world.customers], [_crm_order(one) for one in world.orders]
    )
    sap_business.plant_business(session, world)


def _crm_account(customer: Customer) -> Fields:
    """A customer as Dataverse keeps it, under the same number."""
    row = customer.row
    limit, held = row.get("CreditLimit"), row.get("OnHoldStatus") == "All"
    named = {"name": row["OrganizationName"], "accountnumber": customer.account, "new_region": customer.region}
    return {**named, "creditlimit": limit, "creditonhold": held}


def _crm_order(order: Order) -> Fields:
    """An order as Dataverse keeps it, under the same number."""
    row = order.row
    method = dv_tables.METHODS.get(str(row["DeliveryModeCode"]))
    named = {"ordernumber": order.number, "name": f"Order {order.number}", "account": order.customer.account}
    return {
        **named,
        "totalamount": order.total,
        "new_currency": row["CurrencyCode"],
        "shippingmethodcode": method,
        "new_onhold": row.get("CreditHold") == "Yes",
        "statecode": 3 if order.invoiced else 1,
    }
