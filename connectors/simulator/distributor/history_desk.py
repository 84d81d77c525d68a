"""The orders that F&O still holds, as the youngest cases of the year's log: what happened agrees with its records.

Here, too, something is wrong, so that what is found in the log leads to an order that can be looked up: see ``add``.
"""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, datetime, timedelta

from connectors.simulator.distributor.business import Order, World
from connectors.simulator.distributor.business import build as build_world
from connectors.simulator.distributor.catalogue import BUSINESS_UNIT
from connectors.simulator.distributor.history import BLOCKED, SLOW, Case, Event, Log
from connectors.simulator.store import Fields

CHANNEL = "Sales desk"
CONFLICTS, PRICE_CHANGES, NO_ISSUES = 4, 3, 2  # in each company
RECENT_DAYS = 27


def moment(text: str) -> datetime:
    """Read a time as F&O writes it."""
    return datetime.fromisoformat(text)


class _Desk:
    """Tells each order's life from its records."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.draw = random.Random(f"history-desk:{seed}")  # noqa: S311
        self.by_order = {name: _by(world.rows[name], "SalesOrderNumber") for name in (
            "SalesOrderConfirmations", "PackingSlips", "SalesInvoiceHeadersV2")}  # fmt: skip
        self.payments = _by(world.rows["CustomerPayments"], "InvoiceNumber")

    def case(self, order: Order) -> Case:
        """Say what an order is."""
        bills = self.by_order["SalesInvoiceHeadersV2"][order.number]
        row = order.row
        return Case(
            order.number,
            order.customer.company,
            order.customer.region,
            order.customer.row["OrganizationName"],
            "Key account" if order.customer.contract else "Standard",
            CHANNEL,
            order.total,
            row["CarrierCode"],
            row["DefaultShippingWarehouseId"],
            order.lines[0]["ItemNumber"],
            bills[-1]["InvoiceNumber"] if bills else "",
        )

    def life(self, order: Order, flaw: str) -> list[Event]:
        """Tell what happened to an order: its records say when, and ``flaw`` what else went wrong."""
        unit = BUSINESS_UNIT[order.customer.company].lower()
        sales, credit = f"sales-{unit}-{self.draw.randint(1, 8)}", f"credit-{unit}-{self.draw.randint(1, 4)}"
        created = moment(order.row["OrderCreationDate"])
        confirmations = self.by_order["SalesOrderConfirmations"][order.number]
        confirmed = moment(confirmations[0]["SentAt"])
        quarter = (confirmed - created) / 4
        events: list[Event] = [(created, "Create order", sales), (created + quarter, "Check credit", "credit-batch")]
        if flaw == "duty_conflict":
            events.append((created + quarter * 1.5, "Place credit hold", "credit-batch"))
            events.append((created + quarter * 3, "Release credit hold", credit))
        for confirmation in confirmations:
            who = "edi-gateway" if confirmation["Channel"] == "EDI" and len(confirmations) > 1 else sales
            who = credit if flaw == "duty_conflict" else who
            events.append((moment(confirmation["SentAt"]), "Confirm order", who))
        if order.row.get("CreditHold") == "Yes":
            events.append((moment(order.row["CreditHoldDate"]), "Place credit hold", "credit-batch"))
        for slip in self.by_order["PackingSlips"][order.number]:
            events += self.shipped(order, moment(slip["DeliveredAt"]), f"store-{unit}-{self.draw.randint(1, 12)}", flaw)
        for bill in self.by_order["SalesInvoiceHeadersV2"][order.number]:
            events += self.billed(bill, sales, flaw)
        return events

    def shipped(self, order: Order, left: datetime, who: str, flaw: str) -> list[Event]:
        """Tell how goods left the warehouse, and when they came."""
        slow = order.row["CarrierCode"] == SLOW[order.customer.company]
        way = timedelta(hours=self.draw.uniform(*((60, 190) if slow else (18, 62))))
        issue = [] if flaw == "no_goods_issue" else [(left, "Post goods issue", who)]
        return [
            (left - timedelta(hours=6), "Pick goods", who),
            (left - timedelta(hours=2), "Pack goods", who),
            *issue,
            (left + timedelta(hours=1), "Hand over to carrier", who),
            (left + timedelta(hours=1) + way, "Deliver", "carrier-edi"),
        ]

    def billed(self, bill: Fields, sales: str, flaw: str) -> list[Event]:
        """Tell of one invoice: posted, credited, paid."""
        posted = moment(bill["PostedAt"])
        events: list[Event] = [(posted, "Post invoice", bill["PostedByUserId"])]
        if flaw == "price_rework":
            # Nobody has written the credit note: that is what is wrong with it.
            events.append((posted + timedelta(hours=self.draw.uniform(10, 30)), "Change invoiced price", sales))
        if bill["CreditNoteNumber"]:
            events.append((posted + timedelta(hours=5), "Post credit note", sales))
        for payment in self.payments[bill["InvoiceNumber"]]:
            paid = moment(payment["PostedAt"])
            events += [(paid, "Receive payment", "bank-batch")]
            events += [(paid + timedelta(hours=9), "Clear invoice", "clearing-batch")]
        return events


def _by(rows: list[Fields], name: str) -> dict[str, list[Fields]]:
    found: dict[str, list[Fields]] = defaultdict(list)
    for row in rows:
        found[row[name]].append(row)
    return found


def flaws(world: World) -> dict[str, str]:
    """Choose which recent, finished orders have something wrong in their course that their records do not show."""
    chosen: dict[str, str] = {}
    for company in ("demf", "usmf"):
        recent = [
            order
            for order in world.orders
            if order.customer.company == company and order.invoiced and not order.duplicate
            and world.days_ago(RECENT_DAYS) < order.created < world.days_ago(6)
        ]  # fmt: skip
        accounts = [order for order in recent if order.customer.contract]
        chosen |= {order.number: "price_rework" for order in accounts[:PRICE_CHANGES]}
        free = [order for order in recent if order.number not in chosen]
        chosen |= {order.number: "duty_conflict" for order in free[:CONFLICTS]}
        if company == "usmf":
            chosen |= {order.number: "no_goods_issue" for order in free[CONFLICTS : CONFLICTS + NO_ISSUES]}
    return chosen


def add(logs: dict[str, Log], seed: int, today: date) -> None:
    """Add the desk's orders to their company's log: every one of them stands in F&O under the same number."""
    world = build_world(seed, today)
    desk, wrong = _Desk(world, seed), flaws(world)
    for order in world.orders:
        case, flaw = desk.case(order), wrong.get(order.number, "")
        facts = [flaw] if flaw else []
        facts += ["invoiced_twice"] if order.duplicate else []
        facts += ["blocked_item"] if case.item == BLOCKED else []
        logs[order.customer.company].add(case, desk.life(order, flaw), *facts)
