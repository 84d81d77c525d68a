"""OData as F&O speaks it: literals, keys, records, and the text of its errors."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from uuid import UUID

from connectors.base import Record, Refused
from connectors.kit.answers import Explained
from connectors.kit.finding import Symbol
from connectors.transport import Reply

NAMESPACE = "Microsoft.Dynamics.DataEntities"
COMPANY = "dataAreaId"
# F&O has no empty date: 1900-01-01 stands for nothing.
EMPTY_DATE = "1900-01-01T00:00:00Z"
NO_DATE = re.compile(r"1900-01-01(?:T00:00:00(?:\.0+)?(?:Z|\+00:00)?)?\Z")
_LOCKED = ("locked by user", "is locked by", "update conflict occurred", "deadlock")
_MISSING = ("no resources were found", "resource not found", "record not found")

# The key of each entity set, in the order in which a key is written, after dataAreaId.
KEYS: dict[str, tuple[str, ...]] = {
    "CustomersV3": ("CustomerAccount",),
    "SalesOrderHeadersV2": ("SalesOrderNumber",),
    "SalesOrderLines": ("InventoryLotId",),
    "SalesOrderCharges": ("SalesOrderNumber", "ChargeLineNumber"),
    "FreightRates": ("CarrierCode", "DeliveryModeCode"),
    "SalesPriceAgreements": ("ContractId", "ItemNumber"),
    "WarehousesOnHand": ("ItemNumber", "WarehouseId"),
    "SalesInvoiceHeadersV2": ("InvoiceNumber",),
    "SalesInvoiceLines": ("InvoiceNumber", "LineNumber"),
    "SalesOrderConfirmations": ("ConfirmationId",),
    "PackingSlips": ("PackingSlipId",),
    "CustomerPayments": ("PaymentId",),
    "FreeTextInvoiceHeaders": ("InvoiceIdentifier",),
    "FiscalPeriods": ("PeriodName",),
    "VendorsV2": ("VendorAccountNumber",),
    "VendorBankAccounts": ("VendorAccountNumber", "VendorBankAccountId"),
    "PurchaseOrderHeadersV2": ("PurchaseOrderNumber",),
    "PurchaseOrderLinesV2": ("PurchaseOrderNumber", "LineNumber"),
    "ProductReceiptHeaders": ("ProductReceiptNumber",),
    "VendorPaymentJournalLines": ("JournalBatchNumber", "LineNumber"),
    "VendorInvoiceHeaders": ("HeaderReference",),
    "VendorInvoiceLines": ("HeaderReference", "LineNumber"),
}


def literal(value: Any) -> str:
    """Write a value as an OData literal. Texts are quoted and their quotes doubled; numbers stand bare."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Symbol):
        return f"{NAMESPACE}.{value.enum}'{value.name}'"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int | float | UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return "'" + str(value).replace("'", "''") + "'"


def equal(fields: Mapping[str, Any]) -> str:
    """Write a filter that asks for all of ``fields``. A wildcard would match other records: ``Refused``."""
    for name, value in fields.items():
        if isinstance(value, str) and "*" in value:
            raise Refused(f"{name} must not hold an asterisk: F&O would read it as a wildcard.", code="wildcard")
    return " and ".join(_condition(name, value) for name, value in fields.items())


def _condition(name: str, value: Any) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        # A day comes with an hour, which is not the same everywhere.
        return f"{name} ge {value}T00:00:00Z and {name} le {value}T23:59:59Z"
    return f"{name} eq {literal(value)}"


def address(entity: str, key: Mapping[str, Any], names: tuple[str, ...] = ()) -> str:
    """Write the path of one record, such as ``SalesOrderHeadersV2(dataAreaId='usmf',SalesOrderNumber='000697')``.

    ``names`` are the fields of the key where the entity is not among ``KEYS``.
    """
    parts = ",".join(name + "=" + quote(literal(key[name]), safe="'") for name in (COMPANY, *(names or KEYS[entity])))
    return f"{entity}({parts})"


def record(system: str, root: str, entity: str, row: Mapping[str, Any], names: tuple[str, ...] = ()) -> Record:
    """Make a record of a row as it came: without OData's own members, an empty date as nothing."""
    names = names or KEYS.get(entity, ())
    fields = {name: plain(value) for name, value in row.items() if not name.startswith("@") and "@odata." not in name}
    # Of an entity that a free query names nobody knows the key: its rows are named by a column of theirs.
    key = {name: row.get(name, "") for name in (COMPANY, *names)} if names else {}
    return Record(
        system=system,
        entity=entity,
        key="/".join(str(part) for part in key.values()),
        version=str(row.get("@odata.etag") or ""),
        fields=fields,
        url=f"{root}/data/{address(entity, key, names)}?cross-company=true" if key else "",
    )


def plain(value: Any) -> Any:
    """Return a value as it is compared: an empty date is nothing."""
    return None if isinstance(value, str) and NO_DATE.match(value) else value


def explain(reply: Reply) -> Explained:
    """Read the useful text: the Infolog in ``innererror``; a stack trace is never shown to anybody."""
    error = reply.json()["error"]
    inner = error.get("innererror") or error.get("innerError") or {}
    text = str(inner.get("message") or error.get("message") or "")
    _, mark, log = text.partition("Infolog:")
    entries = [entry.strip() for entry in (log if mark else text).split(";")]
    # "Update has been canceled." follows every failure and explains none.
    told = [entry for entry in entries if entry and "has been cancel" not in entry.lower()]
    message = "; ".join(told or entries)
    low = message.lower()
    return Explained(
        message=message,
        code=str(error.get("code") or ""),
        locked=any(mark in low for mark in _LOCKED),
        missing=any(mark in low for mark in _MISSING),
    )
