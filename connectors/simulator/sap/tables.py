"""The simulated SAP system's entity sets and the distributor in them, under SAP's own numbers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from connectors.simulator.messages import Refusal
from connectors.simulator.store import SIDE_EFFECT, Fields, Record, Session

SYSTEM = "sap"
CLIENT = "100"
# One business in two systems: SAP's company codes and what F&O calls the same companies.
COMPANIES = {"1010": "demf", "1710": "usmf"}
CODES = {name: code for code, name in COMPANIES.items()}
BUSINESS_ERROR = "/IWBEP/CX_MGW_BUSI_EXCEPTION"


class Kind(StrEnum):
    """How a property travels (wire: V2 wire format)."""

    TEXT = "Edm.String"
    DECIMAL = "Edm.Decimal"
    DATE = "Edm.DateTime"
    MOMENT = "Edm.DateTimeOffset"
    BOOL = "Edm.Boolean"


@dataclass(frozen=True)
class Set:
    """One entity set: its service, key, properties, and which of them a PATCH may change."""

    service: str
    name: str
    keys: tuple[str, ...]
    properties: dict[str, Kind]
    updatable: tuple[str, ...] = ()
    etag: bool = False  # a property with ConcurrencyMode="Fixed" (wire: concurrency)
    navigation: tuple[tuple[str, str], ...] = ()
    v4: str = ""  # the set's name in the version 4 service, where it has one

    def key_text(self, fields: Fields) -> str:
        """Give the key under which a record is stored; leading zeros do not count."""
        return "/".join(str(fields[name]).lstrip("0") or "0" for name in self.keys)

    def complete(self, fields: Fields) -> Fields:
        """Fill what was left out with ABAP's initial values; refuse what there is not."""
        unknown = set(fields) - set(self.properties)
        if unknown:
            raise refused(f"Property '{min(unknown)}' is invalid", code="/IWCOR/CX_OD_EP_UNKNOWN_PROPERTY")
        missing = [name for name in self.keys if not fields.get(name)]
        if missing:
            raise refused(f"The key field '{missing[0]}' is missing.")
        return {name: self.coerced(name, fields.get(name)) for name in self.properties}

    def coerced(self, name: str, value: Any) -> Any:
        """Bring one value into the form in which it is stored."""
        kind = self.properties[name]
        if kind is Kind.BOOL:
            if value not in (None, True, False):
                raise refused(f"Property '{name}' has an invalid value", code="/IWCOR/CX_DS_EDM_FACET_ERROR")
            return bool(value)
        if kind is Kind.DECIMAL:
            return decimal_text(value, 3 if name == "ConditionRateValue" else 2, name)
        if value is not None and not isinstance(value, str):
            raise refused(f"Property '{name}' has an invalid value", code="/IWCOR/CX_DS_EDM_FACET_ERROR")
        return value or (None if kind in (Kind.DATE, Kind.MOMENT) else "")


def decimal_text(value: Any, places: int, name: str = "value") -> str:
    """Write an amount as a text with its decimals."""
    try:
        return str(Decimal(str(value or 0)).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP))
    except InvalidOperation:
        raise refused(f"Property '{name}' has an invalid value", code="/IWCOR/CX_DS_EDM_FACET_ERROR") from None


def refused(message: str, status: int = 400, code: str = BUSINESS_ERROR) -> Refusal:
    """Make a refusal with a message class and number, or one of the Gateway's own codes."""
    return Refusal(status, message, code=code)


T, D, DAY, AT, YES = Kind.TEXT, Kind.DECIMAL, Kind.DATE, Kind.MOMENT, Kind.BOOL
SALES, CREDIT, BILLING = "API_SALES_ORDER_SRV", "API_SLS_DOC_WITH_CREDIT_BLOCK", "API_BILLING_DOCUMENT_SRV"
SUPPLIER, CUBE, STATUS = "API_SUPPLIERINVOICE_PROCESS_SRV", "API_OPLACCTGDOCITEMCUBE_SRV", "Z_IDOC_STATUS_SRV"
STOCK, EXPOSURE = "Z_STOCK_SRV", "Z_CREDIT_ACCOUNT_SRV"
SETS: dict[str, Set] = {
    one.name: one
    for one in (
        Set(
            SALES,
            "A_SalesOrder",
            ("SalesOrder",),
            {
                "SalesOrder": T, "SalesOrderType": T, "SalesOrganization": T, "DistributionChannel": T,
                "OrganizationDivision": T, "SoldToParty": T, "PurchaseOrderByCustomer": T,
                "PurchaseOrderByShipToParty": T, "TransactionCurrency": T, "TotalNetAmount": D, "CreationDate": DAY,
                "RequestedDeliveryDate": DAY, "LastChangeDateTime": AT, "DeliveryBlockReason": T,
                "HeaderBillingBlockReason": T, "ShippingCondition": T, "ShippingType": T, "TotalCreditCheckStatus": T,
                "OverallSDProcessStatus": T, "OverallSDDocumentRejectionSts": T,
            },
            ("DeliveryBlockReason", "HeaderBillingBlockReason", "ShippingCondition", "ShippingType"),
            etag=True,
            navigation=(("to_Item", "A_SalesOrderItem"),),
            v4="SalesOrder",
        ),
        Set(
            SALES,
            "A_SalesOrderItem",
            ("SalesOrder", "SalesOrderItem"),
            {
                "SalesOrder": T, "SalesOrderItem": T, "Material": T, "RequestedQuantity": D,
                "RequestedQuantityUnit": T, "NetAmount": D, "TransactionCurrency": T, "ShippingPoint": T,
                "SalesDocumentRjcnReason": T, "DeliveryStatus": T,
            },
            ("SalesDocumentRjcnReason",),
            v4="SalesOrderItem",
        ),
        Set(
            SALES,
            "A_SalesOrderItemPrElement",
            ("SalesOrder", "SalesOrderItem", "PricingProcedureStep", "PricingProcedureCounter"),
            {
                "SalesOrder": T, "SalesOrderItem": T, "PricingProcedureStep": T, "PricingProcedureCounter": T,
                "ConditionType": T, "ConditionRateValue": D, "ConditionQuantity": D, "ConditionAmount": D,
                "TransactionCurrency": T,
            },
            ("ConditionRateValue",),
        ),
        Set(
            SALES,
            "A_SalesOrderScheduleLine",
            ("SalesOrder", "SalesOrderItem", "ScheduleLine"),
            {
                "SalesOrder": T, "SalesOrderItem": T, "ScheduleLine": T, "ScheduleLineOrderQuantity": D,
                "ConfdOrderQtyByMatlAvailCheck": D,
            },
        ),
        Set(
            SALES,
            "A_SalesOrderHeaderPartner",
            ("SalesOrder", "PartnerFunction"),
            {"SalesOrder": T, "PartnerFunction": T, "Customer": T, "Supplier": T},
        ),
        # Sets of the simulator's own: what is on hand of a material, and how far each customer's credit is used.
        Set(STOCK, "StockSet", ("Material",), {"Material": T, "Quantity": D}),
        Set(
            EXPOSURE,
            "CreditAccountSet",
            ("BusinessPartner",),
            {"BusinessPartner": T, "CreditExposure": D, "CreditLimit": D, "Currency": T},
        ),
        Set(
            CREDIT,
            "A_CreditBlockedSalesDocument",
            ("SalesDocument",),
            {"SalesDocument": T, "SDDocumentCategory": T, "TotalNetAmount": D, "TransactionCurrency": T},
        ),
        Set(
            BILLING,
            "A_BillingDocument",
            ("BillingDocument",),
            {
                "BillingDocument": T, "BillingDocumentType": T, "CompanyCode": T, "SoldToParty": T,
                "TotalNetAmount": D, "TransactionCurrency": T, "BillingDocumentDate": DAY, "LastChangeDateTime": AT,
                "BillingDocumentIsCancelled": YES, "CancelledBillingDocument": T, "AccountingPostingStatus": T,
                "DocumentReferenceID": T,
            },
            etag=True,
        ),
        Set(
            SUPPLIER,
            "A_SupplierInvoice",
            ("SupplierInvoice", "FiscalYear"),
            {
                "SupplierInvoice": T, "FiscalYear": T, "CompanyCode": T, "InvoicingParty": T,
                "SupplierInvoiceIDByInvcgParty": T, "DocumentCurrency": T, "InvoiceGrossAmount": D,
                "PostingDate": DAY, "PaymentBlockingReason": T, "SupplierInvoiceStatus": T, "ReverseDocument": T,
                "ReverseDocumentFiscalYear": T, "IsReversed": YES,
            },
        ),
        Set(
            CUBE,
            "A_OperationalAcctgDocItemCube",
            ("CompanyCode", "FiscalYear", "AccountingDocument", "AccountingDocumentItem"),
            {
                "CompanyCode": T, "FiscalYear": T, "AccountingDocument": T, "AccountingDocumentItem": T,
                "AccountingDocumentType": T, "Supplier": T, "Customer": T, "PostingDate": DAY,
                "AmountInTransactionCurrency": D, "TransactionCurrency": T, "PaymentBlockingReason": T,
                "ReferenceDocumentType": T, "IsReversed": YES, "GLAccount": T, "DocumentReferenceID": T,
                "ReverseDocument": T, "ReverseDocumentFiscalYear": T,
            },
        ),
        Set(
            STATUS,
            "IDocSet",
            ("DocumentNumber",),
            {"DocumentNumber": T, "MessageType": T, "Status": T, "StatusText": T, "ArchiveKey": T, "SenderAddress": T},
        ),
    )
}  # fmt: skip
BY_V4 = {one.v4: one for one in SETS.values() if one.v4}
# Not a set of its own: what the orders say.
DERIVED = "A_CreditBlockedSalesDocument"
# Of these only the limit is kept; the exposure is what the open orders come to.
USED = "CreditAccountSet"


def set_named(name: str) -> Set:
    """Find an entity set by its name, or refuse."""
    found = SETS.get(name)
    if found is None:
        raise refused(f"Resource not found for segment '{name}'.", 404, "/IWBEP/CM_MGW_RT/021")
    return found


def rows_of(session: Session, found: Set) -> list[Record]:
    """List a set's records in the order of their keys."""
    if found.name == USED:
        return [_used(session, account) for account in session.records(SYSTEM, USED)]
    if found.name != DERIVED:
        return session.records(SYSTEM, found.name)
    orders = session.records(SYSTEM, "A_SalesOrder")
    return [_blocked(order) for order in orders if order.fields["TotalCreditCheckStatus"] == "B"]


def _blocked(order: Record) -> Record:
    fields = {
        "SalesDocument": order.fields["SalesOrder"],
        "SDDocumentCategory": "C",
        "TotalNetAmount": order.fields["TotalNetAmount"],
        "TransactionCurrency": order.fields["TransactionCurrency"],
    }
    return Record(SYSTEM, DERIVED, order.key, order.version, fields)


def _used(session: Session, account: Record) -> Record:
    mine = [
        Decimal(order.fields["TotalNetAmount"])
        for order in session.records(SYSTEM, "A_SalesOrder")
        if order.fields["SoldToParty"] == account.fields["BusinessPartner"]
        and order.fields["OverallSDProcessStatus"] != "C"
    ]
    fields = {**account.fields, "CreditExposure": decimal_text(sum(mine, Decimal(0)), 2)}
    return Record(SYSTEM, USED, account.key, account.version, fields)


def get(session: Session, found: Set, key: Fields) -> Record:
    """Find one record, or refuse with 404."""
    if set(key) != set(found.keys):
        raise refused("The key predicate does not fit the entity set.", 400, "/IWBEP/CM_MGW_RT/020")
    text = found.key_text(key)
    record = next((row for row in rows_of(session, found) if row.key == text), None)
    if record is None:
        raise refused(f"Resource not found for segment '{found.name}'.", 404, "/IWBEP/CM_MGW_RT/021")
    return record


def put(session: Session, record: Record, changes: Fields, *, kind: str | None) -> Record:
    """Write changes to one record; its change stamp follows."""
    found = SETS[record.entity]
    fields = {**record.fields, **{name: found.coerced(name, value) for name, value in changes.items()}}
    if "LastChangeDateTime" in found.properties:
        fields["LastChangeDateTime"] = session.time
    return session.put(SYSTEM, record.entity, record.key, fields, kind=kind)


def nudge(session: Session, found: Set, key: Fields, name: str, by: Decimal) -> None:
    """Add to an amount of a record that follows another one."""
    record = session.get(SYSTEM, found.name, found.key_text(key))
    if record is not None and by:
        put(session, record, {name: Decimal(record.fields[name]) + by}, kind=SIDE_EFFECT)


def plant(session: Session, name: str, fields: Fields) -> Record:
    """Plant one record as if it had always been there."""
    found = set_named(name)
    if found.name == DERIVED:
        raise refused("This set shows what the orders say: plant an order.")
    whole = found.complete(fields)
    if "LastChangeDateTime" in found.properties and not whole["LastChangeDateTime"]:
        whole["LastChangeDateTime"] = session.time
    return session.put(SYSTEM, found.name, found.key_text(whole), whole, kind=None)


def edit(session: Session, record: Record, changes: Fields, *, kind: str) -> Record:
    """Change a record as a person would in SAP itself."""
    found = SETS[record.entity]
    unknown = set(changes) - set(found.properties)
    if unknown:
        raise refused(f"Property '{min(unknown)}' is invalid")
    return put(session, record, changes, kind=kind)


def find(session: Session, name: str, key: Any) -> Record:
    """Find a record by its key object or, with slashes between, its key text."""
    found = set_named(name)
    parts = [str(part) for part in key.values()] if isinstance(key, dict) else str(key).split("/")
    if isinstance(key, dict):
        return get(session, found, {part: str(value) for part, value in key.items()})
    if len(parts) != len(found.keys):
        raise Refusal(404, f"0 records of '{name}' match {key}.")
    return get(session, found, dict(zip(found.keys, parts, strict=True)))
