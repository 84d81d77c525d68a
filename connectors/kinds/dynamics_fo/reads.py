"""What can be asked of F&O: each read as data, an entity and the fields that it is found by."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints

from connectors.base import Arguments, Read
from connectors.kinds.dynamics_fo.odata import COMPANY, KEYS

# An asterisk is F&O's wildcard inside eq: nobody's key has one, and a hostile one would match every record.
Code = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^*\r\n\t]+$")]
# An effect key is a mark too, and may have 64 letters: a credit note that carries one must stay reversible.
Mark = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^*\r\n\t]+$")]
Company = Annotated[str, StringConstraints(min_length=1, max_length=4, pattern=r"^[A-Za-z0-9]+$")]
Reason = Annotated[str, StringConstraints(max_length=250)]


def _cents(value: Any) -> Any:
    """Take the noise off a binary fraction; a real third decimal is left in, to be refused."""
    return Decimal(repr(round(value, 6))) if isinstance(value, float) else value


Money = Annotated[Decimal, BeforeValidator(_cents), Field(max_digits=15, decimal_places=2, allow_inf_nan=False)]


class InCompany(Arguments):
    """Something in one legal entity (F&O's dataAreaId)."""

    company: Company


class OrderKey(InCompany):
    """A sales order."""

    order: Code


class OrderNumber(Arguments):
    """A sales order whose company is not known."""

    order: Code


class RateKey(InCompany):
    """A freight rate."""

    carrier: Code
    mode: Code


class CarrierKey(InCompany):
    """A carrier's freight rates."""

    carrier: Code


class AgreementKey(InCompany):
    """A price agreement for one item."""

    contract: Code
    item: Code


class ContractKey(InCompany):
    """A contract's price agreements."""

    contract: Code


class ItemKey(InCompany):
    """An item."""

    item: Code


class CustomerKey(InCompany):
    """A customer account."""

    customer: Code


class PaymentNumber(Arguments):
    """A payment whose company is not known."""

    payment: Code


class InvoiceKey(InCompany):
    """A posted customer invoice."""

    invoice: Code


class InvoiceNumber(Arguments):
    """A posted customer invoice whose company is not known."""

    invoice: Code


class CustomerReference(CustomerKey):
    """A customer's own reference, such as their purchase order number."""

    reference: Code


class Reference(Arguments):
    """The mark that an effect left."""

    reference: Mark


class PeriodKey(InCompany):
    """A fiscal period, such as 2026-11."""

    period: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}$")]


class VendorKey(InCompany):
    """A vendor account."""

    vendor: Code


class PurchaseKey(InCompany):
    """A purchase order."""

    purchase: Code


class VendorInvoiceKey(InCompany):
    """A pending vendor invoice, by the reference that F&O gave it."""

    reference: Code


class VendorInvoiceReference(Arguments):
    """A pending vendor invoice whose company is not known."""

    reference: Code


class VendorInvoiceNumber(VendorKey):
    """The number that a vendor gave an invoice."""

    invoice: Code


@dataclass(frozen=True)
class Query:
    """How a read finds its records: the entity, and which field each argument fills."""

    entity: str
    fields: dict[str, str]  # argument name → field name
    fixed: Callable[[], dict[str, Any]] = dict

    @property
    def single(self) -> bool:
        """Tell whether the fields are exactly the record's key."""
        return set(self.fields.values()) == {COMPANY, *KEYS.get(self.entity, ())}


def _in_company(entity: str, **fields: str) -> Query:
    return Query(entity, {"company": COMPANY, **fields})


_ORDER, _INVOICE = "SalesOrderHeadersV2", "SalesInvoiceHeadersV2"
_NOTE = "FreeTextInvoiceHeaders"
_PENDING, _PAID = "VendorInvoiceHeaders", "VendorPaymentJournalLines"
DECLARED: tuple[tuple[Read, Query], ...] = (
    (Read("order.get", OrderKey, "Sales order"), _in_company(_ORDER, order="SalesOrderNumber")),
    (
        Read("order.find", OrderNumber, "Sales order in any company"),
        Query(_ORDER, {"order": "SalesOrderNumber"}),
    ),
    (
        Read("order_lines.list", OrderKey, "Lines of a sales order"),
        _in_company("SalesOrderLines", order="SalesOrderNumber"),
    ),
    (
        Read("charges.list", OrderKey, "Charges of a sales order"),
        _in_company("SalesOrderCharges", order="SalesOrderNumber"),
    ),
    (
        Read("freight_rate.get", RateKey, "Freight rate"),
        _in_company("FreightRates", carrier="CarrierCode", mode="DeliveryModeCode"),
    ),
    (
        Read("freight_rates.list", CarrierKey, "Freight rates of a carrier"),
        _in_company("FreightRates", carrier="CarrierCode"),
    ),
    (
        Read("price_agreement.get", AgreementKey, "Price agreement"),
        _in_company("SalesPriceAgreements", contract="ContractId", item="ItemNumber"),
    ),
    (
        Read("price_agreements.list", ContractKey, "Price agreements of a contract"),
        _in_company("SalesPriceAgreements", contract="ContractId"),
    ),
    (Read("on_hand.list", ItemKey, "Stock of an item"), _in_company("WarehousesOnHand", item="ItemNumber")),
    (Read("customer.get", CustomerKey, "Customer"), _in_company("CustomersV3", customer="CustomerAccount")),
    (
        Read("payments.list", CustomerKey, "Payments of a customer"),
        _in_company("CustomerPayments", customer="CustomerAccount"),
    ),
    (
        Read("payment.find", PaymentNumber, "Payment of a customer in any company"),
        Query("CustomerPayments", {"payment": "PaymentId"}),
    ),
    (
        Read("invoice.find", InvoiceNumber, "Invoice in any company"),
        Query(_INVOICE, {"invoice": "InvoiceNumber"}),
    ),
    (Read("invoice.get", InvoiceKey, "Invoice"), _in_company(_INVOICE, invoice="InvoiceNumber")),
    (
        Read("invoices.same_reference", CustomerReference, "Invoices with the same customer reference"),
        _in_company(_INVOICE, customer="InvoiceCustomerAccountNumber", reference="CustomersOrderReference"),
    ),
    (
        Read("invoices.by_order", OrderKey, "Invoices of a sales order"),
        _in_company(_INVOICE, order="SalesOrderNumber"),
    ),
    (
        Read("invoice_lines.list", InvoiceKey, "Lines of an invoice"),
        _in_company("SalesInvoiceLines", invoice="InvoiceNumber"),
    ),
    (
        Read("confirmations.list", OrderKey, "Confirmations of a sales order"),
        _in_company("SalesOrderConfirmations", order="SalesOrderNumber"),
    ),
    (
        Read("packing_slips.list", OrderKey, "Packing slips of a sales order"),
        _in_company("PackingSlips", order="SalesOrderNumber"),
    ),
    (
        Read("credit_notes.by_invoice", InvoiceKey, "Credit notes of an invoice"),
        _in_company(_NOTE, invoice="CorrectedInvoiceId"),
    ),
    (
        Read("credit_notes.by_reference", Reference, "Credit notes that an effect posted"),
        Query(_NOTE, {"reference": "CustomerReference"}),
    ),
    (Read("period.get", PeriodKey, "Fiscal period"), _in_company("FiscalPeriods", period="PeriodName")),
    (Read("vendor.get", VendorKey, "Vendor"), _in_company("VendorsV2", vendor="VendorAccountNumber")),
    (
        Read("vendor_banks.list", VendorKey, "Bank accounts of a vendor"),
        _in_company("VendorBankAccounts", vendor="VendorAccountNumber"),
    ),
    (
        Read("vendor_payment.find", PaymentNumber, "Payment to a vendor in any company"),
        Query(_PAID, {"payment": "PaymentId"}),
    ),
    (
        Read("vendor_payments.by_vendor", VendorKey, "Payments to a vendor"),
        _in_company(_PAID, vendor="VendorAccountNumber"),
    ),
    (
        Read("purchase.get", PurchaseKey, "Purchase order"),
        _in_company("PurchaseOrderHeadersV2", purchase="PurchaseOrderNumber"),
    ),
    (
        Read("purchase_lines.list", PurchaseKey, "Lines of a purchase order"),
        _in_company("PurchaseOrderLinesV2", purchase="PurchaseOrderNumber"),
    ),
    (
        Read("receipts.list", PurchaseKey, "Product receipts of a purchase order"),
        _in_company("ProductReceiptHeaders", purchase="PurchaseOrderNumber"),
    ),
    (
        Read("vendor_invoice.find", VendorInvoiceReference, "Pending vendor invoice in any company"),
        Query(_PENDING, {"reference": "HeaderReference"}),
    ),
    (
        Read("vendor_invoice.get", VendorInvoiceKey, "Pending vendor invoice"),
        _in_company(_PENDING, reference="HeaderReference"),
    ),
    (
        Read("vendor_invoices.same_number", VendorInvoiceNumber, "Pending invoices with the same vendor's number"),
        _in_company(_PENDING, vendor="InvoiceAccount", invoice="InvoiceNumber"),
    ),
    (
        Read("vendor_invoices.by_vendor", VendorKey, "Pending invoices of a vendor"),
        _in_company(_PENDING, vendor="InvoiceAccount"),
    ),
    (
        Read("vendor_invoice_lines.list", VendorInvoiceKey, "Lines of a pending vendor invoice"),
        _in_company("VendorInvoiceLines", reference="HeaderReference"),
    ),
)
READS: tuple[Read, ...] = tuple(read for read, _ in DECLARED)
QUERIES: dict[str, Query] = {read.name: query for read, query in DECLARED}
