"""What stands twice in SAP's ledger: journal entries and supplier invoices, and what only looks like it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from connectors.simulator.distributor.catalogue import CURRENCY
from connectors.simulator.distributor.payables import said
from connectors.simulator.distributor.planting import Planted
from connectors.simulator.sap.tables import CODES
from connectors.simulator.store import Fields

if TYPE_CHECKING:
    from connectors.simulator.distributor.business import World
    from connectors.simulator.stream import Planner

KINDS = ("entry_posted_twice", "vendor_invoice_posted_twice")
SOURCE = "urn:distributor:ledger-monitor"
ITEMS, INVOICES = "A_OperationalAcctgDocItemCube", "A_SupplierInvoice"
REGIONS = {"demf": "DE", "usmf": "US-EAST"}
# A month that is closed, and one that has not been for long: the periods of both companies are those of F&O.
CLOSED_DAYS, OPEN_DAYS = 470, 12


@dataclass(frozen=True)
class Entry:
    """A journal entry while the world is being built: its lines are account and amount, debits above zero."""

    company: str
    reference: str
    lines: tuple[tuple[str, float], ...]
    day: date
    origin: str = "BKPFF"

    @property
    def amount(self) -> float:
        """Sum the debit side."""
        return round(sum(amount for _, amount in self.lines if amount > 0), 2)


class _Ledger:
    """Writes SAP's own documents into a world; it draws by itself, so that the rest stays as it was."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.draw = random.Random(f"ledger:{seed}")  # noqa: S311

    def post(self, entry: Entry, **changes: object) -> str:
        """Post a journal entry; returns its number."""
        number = str(self.world.number("sap:entry", 100_000_501))
        for line, (account, amount) in enumerate(entry.lines, 1):
            row: Fields = {
                "CompanyCode": CODES[entry.company],
                "FiscalYear": str(entry.day.year),
                "AccountingDocument": number,
                "AccountingDocumentItem": str(line),
                "AccountingDocumentType": "SA",
                "PostingDate": entry.day.isoformat(),
                "AmountInTransactionCurrency": amount,
                "TransactionCurrency": CURRENCY[entry.company],
                "ReferenceDocumentType": entry.origin,
                "GLAccount": account,
                "DocumentReferenceID": entry.reference,
                **changes,
            }
            self.world.sap_rows[ITEMS].append(row)
        return number

    def bill(self, company: str, supplier: str, reference: str, amount: float, day: date, **changes: object) -> str:
        """Post a supplier's invoice; returns its number."""
        number = str(self.world.number("sap:supplier invoice", 5_105_600_001))
        row: Fields = {
            "SupplierInvoice": number,
            "FiscalYear": str(day.year),
            "CompanyCode": CODES[company],
            "InvoicingParty": supplier,
            "SupplierInvoiceIDByInvcgParty": reference,
            "DocumentCurrency": CURRENCY[company],
            "InvoiceGrossAmount": amount,
            "PostingDate": day.isoformat(),
            "SupplierInvoiceStatus": "5",
            **changes,
        }
        self.world.sap_rows[INVOICES].append(row)
        return number

    def note(self, kind: str, cause: str, company: str, *, key: str, amount: float, text: str) -> None:
        """Remember what was planted."""
        entity = "journal_entry" if kind == "entry_posted_twice" else "vendor_invoice"
        attributes = {"company": CODES[company]}
        self.world.postings.append(
            Planted(kind, entity, key, company, REGIONS[company], cause, "", "", amount, text, attributes)
        )


def plant(world: World, seed: int) -> None:
    """Plant what stands twice, and what does not, in the general ledger and among supplier invoices."""
    ledger = _Ledger(world, seed)
    _entries(ledger)
    _invoices(ledger)


def _entry(ledger: _Ledger, company: str, name: str, amounts: Sequence[float], *, days: float, origin: str) -> Entry:
    day = ledger.world.days_ago(days)
    lines = [(str(476000 + 100 * place), amount) for place, amount in enumerate(amounts)]
    settled = ("113100", -round(sum(amounts), 2))
    return Entry(company, f"{name}-{day:%Y%m}", (*lines, settled), day, origin)


def _entries(ledger: _Ledger) -> None:
    """Three entries posted twice, one of them in a month that is closed by now, and three that look like it."""
    scenes: tuple[tuple[str, str, str, tuple[float, ...], float, str], ...] = (
        ("posted_twice", "demf", "RENT-HAM", (380.40,), OPEN_DAYS, "BKPFF"),
        ("posted_twice", "usmf", "ACCR-FRT", (1250.00, 845.75), OPEN_DAYS - 2, "BKPF"),
        ("posted_twice", "demf", "LEASE-RTM", (6100.00, 1220.00), CLOSED_DAYS, "BKPFF"),
        ("other_lines", "usmf", "INS-OAK", (410.00,), OPEN_DAYS + 4, "BKPFF"),
        ("from_elsewhere", "demf", "FREIGHT-LYS", (275.00,), OPEN_DAYS + 1, "RMRP"),
        ("reversed_already", "usmf", "RENT-EWR", (930.00,), OPEN_DAYS + 6, "BKPFF"),
    )
    for cause, company, name, amounts, days, origin in scenes:
        entry = _entry(ledger, company, name, amounts, days=days, origin=origin)
        first = ledger.post(entry)
        if cause == "other_lines":
            entry = Entry(company, entry.reference, (("476900", 455.5), ("113100", -455.5)), entry.day, origin)
        done = {"IsReversed": True, "ReverseDocument": "100900777", "ReverseDocumentFiscalYear": str(entry.day.year)}
        number = ledger.post(entry, **(done if cause == "reversed_already" else {}))
        key = f"{CODES[company]}/{entry.day.year}/{number}"
        text = f"{number} repeats {first}."
        ledger.note("entry_posted_twice", cause, company, key=key, amount=entry.amount, text=text)


def _invoices(ledger: _Ledger) -> None:
    """Two supplier invoices posted twice, one whose first posting was cancelled, one under a number used again."""
    vendors = {row["dataAreaId"]: row for row in reversed(ledger.world.rows["VendorsV2"])}
    scenes = (
        ("posted_twice", "demf", 812.60), ("posted_twice", "usmf", 7340.00),
        ("first_was_cancelled", "usmf", 455.10), ("other_amount", "demf", 1990.00),
    )  # fmt: skip
    for index, (cause, company, amount) in enumerate(scenes):
        supplier = str(vendors[company]["VendorAccountNumber"]).removeprefix("V-")
        reference, day = f"S{ledger.draw.randint(100000, 999999)}", ledger.world.days_ago(9 + index)
        done: Fields = {"IsReversed": True, "ReverseDocument": "5190000777", "ReverseDocumentFiscalYear": str(day.year)}
        first = ledger.bill(
            company, supplier, reference, amount, day, **(done if cause == "first_was_cancelled" else {})
        )
        asked = amount + 120 if cause == "other_amount" else amount
        number = ledger.bill(company, supplier, reference, asked, day + timedelta(days=2))
        key, text = f"{number}/{(day + timedelta(days=2)).year}", f"{number} repeats {first} of supplier {supplier}."
        ledger.note("vendor_invoice_posted_twice", cause, company, key=key, amount=asked, text=text)


def tell(planner: Planner, seed: int) -> None:
    """Add what a ledger monitor says of each of them to a stream, some of it twice."""
    draw = random.Random(f"ledger-stream:{seed}")  # noqa: S311
    for fact in [fact for fact in planner.world.postings if fact.kind in KINDS]:
        at = draw.uniform(8, max(9.0, planner.seconds - 24))
        for _ in range(draw.randint(1, 2)):
            planner.cloud(at, SOURCE, said(fact))
            at += draw.uniform(0.2, 4)
