"""The F&O data entities that the simulated distributor has: keys, properties, enums, number sequences."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any

from connectors.simulator.messages import Refusal
from connectors.simulator.store import Fields

COMPANY = "dataAreaId"
# F&O has no null date: an empty one reads as 1900-01-01 (wire: business event envelope).
NO_DATE = "1900-01-01T00:00:00Z"

ENUMS: dict[str, tuple[str, ...]] = {
    "NoYes": ("No", "Yes"),
    "SalesStatus": ("Backorder", "Delivered", "Invoiced", "Canceled"),
    "SalesOrderProcessingStatus": ("Confirmed", "OnHold", "Delivered", "Invoiced"),
    "SalesLineStatus": ("Reserved", "Backorder", "Delivered"),
    "CustVendorBlocked": ("No", "Invoice", "All", "Payment"),
    "FiscalPeriodStatus": ("Open", "Closed"),
    "ConfirmationChannel": ("MAIL", "EDI"),
}


class Kind(StrEnum):
    """How a property's values are written, checked and compared."""

    TEXT = "Edm.String"
    MONEY = "Edm.Decimal"
    NUMBER = "Edm.Double"
    INTEGER = "Edm.Int64"
    MOMENT = "Edm.DateTimeOffset"
    ENUM = "Enum"


@dataclass(frozen=True)
class Property:
    """One named property of an entity."""

    name: str
    kind: Kind
    enum: str = ""

    @property
    def empty(self) -> Any:
        """Give the value that stands for nothing."""
        if self.kind is Kind.ENUM:
            return ENUMS[self.enum][0]
        if self.kind is Kind.TEXT:
            return ""
        return NO_DATE if self.kind is Kind.MOMENT else 0

    def coerce(self, value: Any) -> Any:
        """Check a JSON value and bring it into its stored form; refuses with 400."""
        if self.kind in (Kind.MONEY, Kind.NUMBER) and isinstance(value, int | float) and not isinstance(value, bool):
            return cents(value) if self.kind is Kind.MONEY else round(float(value), 6)
        if self.kind is Kind.INTEGER and isinstance(value, int) and not isinstance(value, bool):
            return value
        if self.kind is Kind.TEXT and isinstance(value, str):
            return value
        if self.kind is Kind.ENUM and value in ENUMS[self.enum]:
            return value
        if self.kind is Kind.MOMENT and isinstance(value, str):
            moment = parse_moment(value)
            if moment is not None:
                return moment.isoformat().replace("+00:00", "Z")
        kind = f"Microsoft.Dynamics.DataEntities.{self.enum}" if self.enum else self.kind.value
        raise Refusal(400, f"Cannot convert the literal '{value}' of property '{self.name}' to the type '{kind}'.")


def cents(value: float | int | Decimal) -> float:
    """Round money half up to two places, so that no sum shows binary noise."""
    return float(Decimal(str(value)).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP))


def parse_moment(text: str) -> datetime | None:
    """Read an OData date or date-time; None when it is neither."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@dataclass(frozen=True)
class EntitySet:
    """One public data entity; `posted` ones change only through actions, never by PATCH or DELETE."""

    name: str
    keys: tuple[str, ...]
    properties: dict[str, Property]
    sequence: tuple[str, int] | None = None
    posted: bool = False

    def key_text(self, fields: Fields) -> str:
        """Write the key as the store keeps it."""
        return json.dumps([fields[name] for name in self.keys])

    def property(self, name: str) -> Property:
        """Find a property by its exact name, or refuse with 400."""
        found = self.properties.get(name)
        if found is None:
            raise Refusal(400, f"Could not find a property named '{name}' on type '{self.name}'.")
        return found

    def complete(self, fields: Fields) -> Fields:
        """Check given fields and fill the rest with empty values."""
        given = {name: self.property(name).coerce(value) for name, value in fields.items()}
        return {name: given.get(name, prop.empty) for name, prop in self.properties.items()}


_KINDS = {"text": Kind.TEXT, "money": Kind.MONEY, "number": Kind.NUMBER, "int": Kind.INTEGER, "time": Kind.MOMENT}


def _entity(
    name: str, keys: str, columns: str, *, sequence: tuple[str, int] | None = None, posted: bool = False
) -> EntitySet:
    """Read the short notation `Name:type`; a name alone is text."""
    properties = {COMPANY: Property(COMPANY, Kind.TEXT)}
    for column in f"{keys} {columns}".split():
        label, _, kind = column.partition(":")
        properties[label] = (
            Property(label, _KINDS[kind or "text"]) if kind not in ENUMS else Property(label, Kind.ENUM, kind)
        )
    names = (COMPANY, *(key.partition(":")[0] for key in keys.split()))
    return EntitySet(name, names, properties, sequence, posted)


ENTITY_SETS: dict[str, EntitySet] = {
    entity.name: entity
    for entity in (
        _entity(
            "CustomersV3",
            "CustomerAccount",
            "OrganizationName CurrencyCode CreditLimit:money OpenBalance:money OverdueAmount:money "
            "OnHoldStatus:CustVendorBlocked Region LastPaymentDate:time LastPaymentAmount:money",
        ),
        _entity(
            "SalesOrderHeadersV2",
            "SalesOrderNumber",
            "OrderingCustomerAccountNumber InvoiceCustomerAccountNumber CustomersOrderReference "
            "SalesOrderStatus:SalesStatus "
            "SalesOrderProcessingStatus:SalesOrderProcessingStatus CurrencyCode OrderTotalAmount:money "
            "DeliveryModeCode DefaultShippingWarehouseId RequestedShippingDate:time ContractId CarrierCode "
            "WeightKg:number Region CreditHold:NoYes CreditHoldReason CreditHoldReference CreditHoldDate:time "
            "CreditHoldAmount:money OrderCreationDate:time",
            sequence=("SO-{:06d}", 900001),
        ),
        _entity(
            "SalesOrderLines",
            "InventoryLotId",
            "SalesOrderNumber LineNumber:int ItemNumber OrderedSalesQuantity:number SalesPrice:money LineAmount:money "
            "LineStatus:SalesLineStatus ShippingWarehouseId RequestedShippingDate:time",
            sequence=("LOT-{:06d}", 900001),
        ),
        _entity(
            "SalesOrderCharges",
            "SalesOrderNumber ChargeLineNumber:int",
            "SalesChargeCode FixedChargeAmount:money ChargeCurrencyCode RateCode",
        ),
        _entity(
            "FreightRates",
            "CarrierCode DeliveryModeCode",
            "RatePerKg:number MinimumAmount:money CurrencyCode TolerancePercent:number",
        ),
        _entity(
            "SalesPriceAgreements",
            "ContractId ItemNumber",
            "AgreedPrice:money CurrencyCode ValidFrom:time ValidTo:time",
        ),
        _entity("WarehousesOnHand", "ItemNumber WarehouseId", "AvailableQuantity:number Region"),
        _entity(
            "SalesInvoiceHeadersV2",
            "InvoiceNumber",
            "InvoiceCustomerAccountNumber SalesOrderNumber CustomersOrderReference InvoiceDate:time DueDate:time "
            "CurrencyCode TotalInvoiceAmount:money TotalTaxAmount:money RemainingAmount:money CreditedAmount:money "
            "CreditNoteNumber PostedAt:time PostedByUserId ConfirmationId",
            posted=True,
        ),
        _entity(
            "SalesInvoiceLines",
            "InvoiceNumber LineNumber:int",
            "ItemNumber Quantity:number SalesPrice:money LineAmount:money",
            posted=True,
        ),
        _entity(
            "SalesOrderConfirmations",
            "ConfirmationId",
            "SalesOrderNumber SentAt:time Channel:ConfirmationChannel GatewayMessageId",
            posted=True,
        ),
        _entity("PackingSlips", "PackingSlipId", "SalesOrderNumber DeliveredAt:time Quantity:number", posted=True),
        _entity(
            "CustomerPayments",
            "PaymentId",
            "CustomerAccount Amount:money CurrencyCode PostedAt:time InvoiceNumber PaymentStatus StatusReason "
            "StatusAt:time",
            posted=True,
        ),
        _entity(
            "FreeTextInvoiceHeaders",
            "InvoiceIdentifier:int",
            "CustomerAccount FreeTextNumber IsCorrection:NoYes CorrectedInvoiceId CurrencyCode InvoiceAmount:money "
            "IsPosted:NoYes IsReversed:NoYes CustomerReference ReversalReference InvoiceDate:time",
            sequence=("", 68719480001),
        ),
        _entity("FiscalPeriods", "PeriodName", "Status:FiscalPeriodStatus", posted=True),
        _entity(
            "VendorsV2",
            "VendorAccountNumber",
            "VendorOrganizationName CurrencyCode OnHoldStatus:CustVendorBlocked Region",
        ),
        _entity(
            "VendorBankAccounts",
            "VendorAccountNumber VendorBankAccountId",
            "AccountEnding ChangedAt:time ChangedByUserId ApprovedByUserId ApprovedAt:time",
        ),
        _entity(
            "PurchaseOrderHeadersV2",
            "PurchaseOrderNumber",
            "OrderVendorAccountNumber CurrencyCode OrderDate:time RequestedDeliveryDate:time OrdererUserId Region",
        ),
        _entity(
            "PurchaseOrderLinesV2",
            "PurchaseOrderNumber LineNumber:int",
            "ItemNumber OrderedPurchaseQuantity:number PurchasePrice:money LineAmount:money",
        ),
        _entity(
            "ProductReceiptHeaders",
            "ProductReceiptNumber",
            "PurchaseOrderNumber ReceivedAt:time Quantity:number",
            posted=True,
        ),
        _entity(
            "VendorPaymentJournalLines",
            "JournalBatchNumber LineNumber:int",
            "PaymentId VendorAccountNumber Amount:money CurrencyCode InvoiceNumber PaidAt:time PaymentStatus "
            "StatusReason StatusAt:time",
            posted=True,
        ),
        # Pending invoices only: once posted, an invoice is in another place and is not held any more (wire: entities).
        _entity(
            "VendorInvoiceHeaders",
            "HeaderReference",
            "InvoiceNumber InvoiceAccount PurchaseOrderNumber InvoiceDate:time DueDate:time CurrencyCode "
            "IsOnHold:NoYes IsApproved:NoYes EnteredAt:time EnteredByUserId",
            sequence=("VI-{:06d}", 900001),
        ),
        _entity(
            "VendorInvoiceLines",
            "HeaderReference LineNumber:int",
            "ItemNumber Quantity:number UnitPrice:money LineAmount:money",
        ),
    )
}
