"""The buying side of the distributor: vendors, purchase orders, receipts, pending invoices, and what is wrong there."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from connectors.simulator.distributor.catalogue import BUSINESS_UNIT, CURRENCY, ITEMS
from connectors.simulator.distributor.invoicing import iso
from connectors.simulator.distributor.planting import Planted
from connectors.simulator.fo.entities import cents
from connectors.simulator.store import Fields

if TYPE_CHECKING:
    from connectors.simulator.distributor.business import World
    from connectors.simulator.stream import Planner

# Trading names are made up; they name no firm and no person.
VENDORS = {
    "demf": (
        ("Nebelhorn Metall", "DE"), ("Ostwall Kunststoff", "DE"), ("Kempenhof Verpakking", "NL"),
        ("Waalbrug Chemie", "NL"), ("Fonderie Clairval", "FR"), ("Cartonnage Mirelle", "FR"),
    ),
    "usmf": (
        ("Stonefield Castings", "US-EAST"), ("Harrow Creek Plastics", "US-EAST"), ("Union Dell Paper", "US-EAST"),
        ("Alder Gap Timber", "US-WEST"), ("Copper Basin Wire", "US-WEST"), ("Tule Flats Packaging", "US-WEST"),
    ),
}  # fmt: skip
HEALTHY = 24
TWICE, PRICE, QUANTITY, NOT_RECEIVED, UNAPPROVED = 5, 3, 2, 3, 2
SOURCE = "urn:distributor:invoice-scanner"
RULES = {
    "duplicate_vendor_invoice": "VENDOR_INVOICE_SAME_NUMBER",
    "three_way_mismatch": "VENDOR_INVOICE_MATCHING_FAILED",
    "missing_goods_receipt": "VENDOR_INVOICE_WITHOUT_RECEIPT",
    "vendor_bank_changed": "VENDOR_BANK_CHANGED",
}
TABLE = 1425


@dataclass(frozen=True)
class Vendor:
    """A vendor while the world is being built."""

    account: str
    company: str
    region: str


@dataclass(frozen=True)
class Purchase:
    """A purchase order while the world is being built: one line of one item."""

    vendor: Vendor
    number: str
    item: str
    quantity: int
    price: float
    ordered: date


class _Books:
    """Writes the buying side into a world; it draws by itself, so that the selling side stays as it was."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.draw = random.Random(f"payables:{seed}")  # noqa: S311
        self.vendors: list[Vendor] = []

    def vendor(self, name: str, company: str, region: str) -> None:
        vendor = Vendor(f"V-{self.world.number('vendor', 1001)}", company, region)
        self.vendors.append(vendor)
        self.world.add(
            "VendorsV2",
            company,
            VendorAccountNumber=vendor.account,
            VendorOrganizationName=name,
            CurrencyCode=CURRENCY[company],
            OnHoldStatus="No",
            Region=region,
        )

    def bank(self, vendor: Vendor, *, days: float, by: str, approved_by: str) -> Fields:
        """Write where a vendor's money goes, by its last digits only, and who changed and approved that."""
        changed = self.moment(self.world.days_ago(days), 9)
        approval = {"ApprovedByUserId": approved_by, "ApprovedAt": iso(changed + timedelta(hours=5))}
        return self.world.add(
            "VendorBankAccounts",
            vendor.company,
            VendorAccountNumber=vendor.account,
            VendorBankAccountId="MAIN",
            AccountEnding=f"{self.draw.randint(0, 9999):04d}",
            ChangedAt=iso(changed),
            ChangedByUserId=by,
            **(approval if approved_by else {}),
        )

    def purchase(self, *, days: float) -> Purchase:
        """Order something from somebody."""
        vendor, item = self.draw.choice(self.vendors), self.draw.choice(list(ITEMS)[4:26])
        number = f"PO-{self.world.number('purchase', 3001):06d}"
        made = Purchase(
            vendor,
            number,
            item,
            self.draw.randint(20, 160),
            cents(ITEMS[item] * self.draw.uniform(0.5, 0.62)),
            self.world.days_ago(days),
        )
        self.world.add(
            "PurchaseOrderHeadersV2",
            vendor.company,
            PurchaseOrderNumber=number,
            OrderVendorAccountNumber=vendor.account,
            CurrencyCode=CURRENCY[vendor.company],
            OrderDate=iso(self.moment(made.ordered, 8)),
            RequestedDeliveryDate=iso(self.moment(made.ordered + timedelta(days=9), 8)),
            OrdererUserId=self.draw.choice(("buyer-1", "buyer-2", "buyer-3")),
            Region=vendor.region,
        )
        self.world.add(
            "PurchaseOrderLinesV2",
            vendor.company,
            PurchaseOrderNumber=number,
            LineNumber=1,
            ItemNumber=made.item,
            OrderedPurchaseQuantity=made.quantity,
            PurchasePrice=made.price,
            LineAmount=cents(made.quantity * made.price),
        )
        return made

    def receive(self, purchase: Purchase, quantity: int, *, after: int = 8) -> None:
        """Take goods in."""
        self.world.add(
            "ProductReceiptHeaders",
            purchase.vendor.company,
            ProductReceiptNumber=f"PR-{self.world.number('receipt', 7001)}",
            PurchaseOrderNumber=purchase.number,
            ReceivedAt=iso(self.moment(purchase.ordered + timedelta(days=after), 11)),
            Quantity=quantity,
        )

    def bill(self, purchase: Purchase, quantity: int, price: float, *, number: str, after: int, by: str) -> Fields:
        """Enter a vendor's invoice as pending; returns its header."""
        company = purchase.vendor.company
        day = purchase.ordered + timedelta(days=after)
        reference = f"VI-{self.world.number('pending', 301):06d}"
        self.world.add(
            "VendorInvoiceLines",
            company,
            HeaderReference=reference,
            LineNumber=1,
            ItemNumber=purchase.item,
            Quantity=quantity,
            UnitPrice=price,
            LineAmount=cents(quantity * price),
        )
        return self.world.add(
            "VendorInvoiceHeaders",
            company,
            HeaderReference=reference,
            InvoiceNumber=number,
            InvoiceAccount=purchase.vendor.account,
            PurchaseOrderNumber=purchase.number,
            InvoiceDate=iso(self.moment(day, 12)),
            DueDate=iso(self.moment(day + timedelta(days=30), 12)),
            CurrencyCode=CURRENCY[company],
            IsOnHold="No",
            IsApproved="No",
            EnteredAt=iso(self.moment(day, self.draw.randint(13, 16))),
            EnteredByUserId=by,
        )

    def fresh_number(self) -> str:
        """Draw the number that a vendor gives an invoice."""
        return f"R{self.draw.randint(100000, 999999)}"

    def moment(self, day: date, hour: int) -> datetime:
        """Give some minute of an hour of a day."""
        return datetime.combine(day, time(hour, self.draw.randint(0, 59)), UTC)

    def note(self, kind: str, cause: str | None, purchase: Purchase, bill: Fields, *, text: str) -> None:
        """Remember what was planted about a pending invoice."""
        (line,) = (
            row for row in self.world.rows["VendorInvoiceLines"] if row["HeaderReference"] == bill["HeaderReference"]
        )
        vendor = purchase.vendor
        self.world.payables.append(
            Planted(
                kind,
                "vendor_invoice",
                bill["HeaderReference"],
                vendor.company,
                vendor.region,
                cause,
                vendor.account,
                purchase.number,
                line["LineAmount"],
                text,
                {"legal_entity": vendor.company, "purchase": purchase.number},
            )
        )


def plant(world: World, seed: int) -> None:
    """Write the buying side into a world, its exceptions among what is right."""
    books = _Books(world, seed)
    for company, vendors in VENDORS.items():
        for name, region in vendors:
            books.vendor(name, company, region)
    for index in range(HEALTHY):
        purchase = books.purchase(days=75 - 2 * index)
        books.receive(purchase, purchase.quantity)
        books.bill(purchase, purchase.quantity, purchase.price, number=books.fresh_number(), after=10, by="ap-inbox")
    _duplicates(books)
    _mismatches(books)
    _unreceived(books)
    _banks(books)


def _duplicates(books: _Books) -> None:
    """Let invoices be entered twice; one repeats for a second delivery and is right, one is held already."""
    for index in range(TWICE + 2):
        purchase = books.purchase(days=22 - index)
        parts = 2 if index == TWICE else 1
        quantity = purchase.quantity // parts * parts
        for part in range(parts):
            books.receive(purchase, quantity // parts, after=6 + part)
        number = books.fresh_number()
        each, price = quantity // parts, purchase.price
        first = books.bill(purchase, each, price, number=number, after=9, by="ap-inbox")
        second = books.bill(purchase, each, price, number=number, after=12, by="ap-clerk-2")
        cause: str = {TWICE: "two_deliveries", TWICE + 1: "held_already"}.get(index, "entered_twice")
        if cause == "held_already":
            second["IsOnHold"] = "Yes"
        text = f"Invoice {number} of {purchase.vendor.account} was entered as {first['HeaderReference']} before."
        books.note("duplicate_vendor_invoice", cause, purchase, second, text=text)


def _mismatches(books: _Books) -> None:
    """Bill another price than was ordered, more than was received, or so little more that nobody minds."""
    for index in range(PRICE + QUANTITY + 1):
        purchase = books.purchase(days=20 - index)
        price, quantity, cause = purchase.price, purchase.quantity, "within_tolerance"
        if index < PRICE:
            price, cause = cents(price * books.draw.uniform(1.06, 1.15)), "price_above_order"
        elif index < PRICE + QUANTITY:
            quantity, cause = quantity + books.draw.randint(6, 15), "quantity_above_receipt"
        else:
            price = cents(price + 0.01)
        books.receive(purchase, purchase.quantity)
        bill = books.bill(purchase, quantity, price, number=books.fresh_number(), after=10, by="ap-inbox")
        text = f"{bill['HeaderReference']} does not match {purchase.number}."
        books.note("three_way_mismatch", cause, purchase, bill, text=text)


def _unreceived(books: _Books) -> None:
    """Bill goods that have not come; for one of them the receipt has been written since."""
    for index in range(NOT_RECEIVED + 1):
        purchase = books.purchase(days=16 - index)
        bill = books.bill(
            purchase, purchase.quantity, purchase.price, number=books.fresh_number(), after=5, by="ap-inbox"
        )
        came = index == NOT_RECEIVED
        if came:
            books.receive(purchase, purchase.quantity, after=7)
        text = f"{bill['HeaderReference']} bills {purchase.number}, for which no receipt was found."
        books.note("missing_goods_receipt", "receipt_came" if came else "not_received", purchase, bill, text=text)


def _banks(books: _Books) -> None:
    """Change where vendors are paid: two changes that nobody approved, one that somebody else did; the rest is old."""
    for index, vendor in enumerate(books.vendors):
        place = {1: 0, 7: 1, 4: 2}.get(index)
        if place is None:
            books.bank(vendor, days=400 + 3 * index, by="ap-clerk-1", approved_by="ap-lead")
            continue
        approved = place >= UNAPPROVED
        row = books.bank(vendor, days=2 + place, by="ap-clerk-2", approved_by="ap-lead" if approved else "")
        owed = sum(
            line["LineAmount"]
            for line in books.world.rows["VendorInvoiceLines"]
            for bill in books.world.rows["VendorInvoiceHeaders"]
            if bill["HeaderReference"] == line["HeaderReference"] and bill["InvoiceAccount"] == vendor.account
        )
        books.world.payables.append(
            Planted(
                "vendor_bank_changed",
                "vendor",
                vendor.account,
                vendor.company,
                vendor.region,
                "approved_change" if approved else "unapproved_change",
                vendor.account,
                "",
                cents(owed),
                f"Bank details of {vendor.account} were changed to an account ending in {row['AccountEnding']}.",
                {"legal_entity": vendor.company},
            )
        )


def tell(planner: Planner, seed: int) -> None:
    """Add what is said of the buying side to a stream: an alert of F&O and the invoice scanner's own word on each."""
    draw = random.Random(f"payables-stream:{seed}")  # noqa: S311
    for fact in planner.world.payables:
        at = draw.uniform(8, max(9.0, planner.seconds - 24))
        document = "Vendor" if fact.entity_type == "vendor" else "VendorInvoice"
        rule = RULES[fact.kind]
        planner.alert(at, rule, fact.company, (fact.entity_key, document), text=fact.text, table=TABLE)
        for _ in range(draw.randint(1, 2)):
            planner.cloud(at + draw.uniform(0.2, 4), SOURCE, said(fact))


def said(fact: Planted) -> Fields:
    """Write what the invoice scanner says of an exception."""
    return {
        "code": fact.kind,
        "entity_type": fact.entity_type,
        "entity_key": fact.entity_key,
        "attributes": dict(fact.attributes),
        "amount": {"amount": f"{fact.amount:.2f}", "currency": fact.currency},
        "business_unit": BUSINESS_UNIT[fact.company],
        "region": fact.region,
        "text": fact.text,
    }
