"""What can be asked of SAP: each read as data, an entity set and the fields that it is found by."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints

from connectors.base import Arguments, Read
from connectors.kinds.sap.settings import BILLING, CREDIT, SALES, SUPPLIER

Code = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\r\n\t]+$")]
Number = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_/-]{1,20}$")]
Document = Annotated[str, StringConstraints(pattern=r"^\d{1,10}$")]
Year = Annotated[str, StringConstraints(pattern=r"^\d{4}$")]
Company = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{4}$")]
Day = Annotated[str, StringConstraints(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]
Digits = Annotated[str, StringConstraints(pattern=r"^\d{1,6}$")]


def _exact(value: Any) -> Any:
    """Take the noise off a binary fraction."""
    return Decimal(repr(round(value, 6))) if isinstance(value, float) else value


Rate = Annotated[Decimal, BeforeValidator(_exact), Field(max_digits=24, decimal_places=9, allow_inf_nan=False)]


class OrderKey(Arguments):
    """A sales order."""

    order: Number


class CustomerKey(Arguments):
    """A customer, as sold-to party."""

    customer: Number


class CustomerReference(Arguments):
    """A customer's own reference, such as their purchase order number."""

    reference: Code


class BillingKey(Arguments):
    """A billing document."""

    billing: Number


class SupplierInvoiceKey(Arguments):
    """A supplier invoice, in its fiscal year."""

    invoice: Number
    year: Year


class SupplierReference(Arguments):
    """The number that a supplier gave an invoice."""

    supplier: Number
    reference: Code


class EntryKey(Arguments):
    """A journal entry."""

    company: Company
    year: Year
    document: Document


class EntryReference(Arguments):
    """A reference that journal entries of a company and year carry."""

    company: Company
    year: Year
    reference: Code


class ReversalArguments(EntryKey):
    """Reverse a journal entry that was posted in accounting itself."""

    reason: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{2}$")]
    posting_date: Day = Field(default="", description="Empty: SAP takes that of the entry, as the reason allows.")


class NoArguments(Arguments):
    """Nothing to choose."""


class FunctionArguments(Arguments):
    """A function that changes nothing, with its importing parameters."""

    function: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{1,59}$")]
    parameters: dict[
        Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,59}$")],
        Annotated[str, StringConstraints(max_length=1000)],
    ] = Field(default_factory=dict, max_length=30)


@dataclass(frozen=True)
class Query:
    """How a read finds its records: where, which field each argument fills, and what comes along."""

    service: str
    entity: str
    fields: dict[str, str]  # argument name → field name
    single: bool = False
    expand: tuple[str, str] = ("", "")  # navigation, and the entity set that it leads to


_ORDER = {"order": "SalesOrder"}
_INVOICE = {"invoice": "SupplierInvoice", "year": "FiscalYear"}
DECLARED: tuple[tuple[Read, Query], ...] = (
    (Read("order.get", OrderKey, "Sales order"), Query(SALES, "A_SalesOrder", _ORDER, single=True)),
    (
        Read("order.with_items", OrderKey, "Sales order with its items"),
        Query(SALES, "A_SalesOrder", _ORDER, single=True, expand=("to_Item", "A_SalesOrderItem")),
    ),
    (Read("items.list", OrderKey, "Items of a sales order"), Query(SALES, "A_SalesOrderItem", _ORDER)),
    (
        Read("conditions.list", OrderKey, "Prices and surcharges of a sales order's items"),
        Query(SALES, "A_SalesOrderItemPrElement", _ORDER),
    ),
    (
        Read("schedule_lines.list", OrderKey, "What is confirmed of a sales order's items"),
        Query(SALES, "A_SalesOrderScheduleLine", _ORDER),
    ),
    (
        Read("partners.list", OrderKey, "Partners of a sales order"),
        Query(SALES, "A_SalesOrderHeaderPartner", _ORDER),
    ),
    (
        Read("orders.by_customer", CustomerKey, "Sales orders of a customer"),
        Query(SALES, "A_SalesOrder", {"customer": "SoldToParty"}),
    ),
    (
        Read("orders.by_reference", CustomerReference, "Sales orders with a customer's reference"),
        Query(SALES, "A_SalesOrder", {"reference": "PurchaseOrderByCustomer"}),
    ),
    (
        Read("credit_block.get", OrderKey, "Credit block of a sales document"),
        Query(CREDIT, "A_CreditBlockedSalesDocument", {"order": "SalesDocument"}),
    ),
    (
        Read("credit_blocks.list", NoArguments, "Sales documents with a credit block"),
        Query(CREDIT, "A_CreditBlockedSalesDocument", {}),
    ),
    (
        Read("billing.get", BillingKey, "Billing document"),
        Query(BILLING, "A_BillingDocument", {"billing": "BillingDocument"}, single=True),
    ),
    (
        Read("billing.cancellations", BillingKey, "What cancels a billing document"),
        Query(BILLING, "A_BillingDocument", {"billing": "CancelledBillingDocument"}),
    ),
    (
        Read("supplier_invoice.get", SupplierInvoiceKey, "Supplier invoice"),
        Query(SUPPLIER, "A_SupplierInvoice", _INVOICE, single=True),
    ),
    (
        Read("supplier_invoices.by_reference", SupplierReference, "Supplier invoices with a supplier's number"),
        Query(
            SUPPLIER,
            "A_SupplierInvoice",
            {"supplier": "InvoicingParty", "reference": "SupplierInvoiceIDByInvcgParty"},
        ),
    ),
)
JOURNAL = Read("journal_items.list", EntryKey, "Items of a journal entry")
BY_REFERENCE = Read("journal_items.by_reference", EntryReference, "Items of journal entries with a reference")
REVERSAL = Read("reversal.check", ReversalArguments, "Whether SAP would take a reversal")
FUNCTION = Read("function.read", FunctionArguments, "Call a function that changes nothing")
READS: tuple[Read, ...] = (*(read for read, _ in DECLARED), JOURNAL, BY_REFERENCE, REVERSAL, FUNCTION)
QUERIES: dict[str, Query] = {read.name: query for read, query in DECLARED}
