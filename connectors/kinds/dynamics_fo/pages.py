"""F&O's forms: a link opens a form in a company; which record it shows, only F&O itself can write into a link."""

from collections.abc import Mapping
from typing import Any

from connectors.kit.pages import Pages

# The list form of each entity, by the menu item that opens it. The key's first part is the company.
FORMS = {
    "SalesOrderHeadersV2": "SalesTableListPage",
    "CustomersV3": "CustTableListPage",
    "VendorsV2": "VendTableListPage",
    "PurchaseOrderHeadersV2": "PurchTableListPage",
}
# Fields of business events that name a record, the most telling first.
_NAMED = (
    ("SalesOrderId", "SalesOrderHeadersV2"),
    ("PurchaseOrderId", "PurchaseOrderHeadersV2"),
    ("InvoiceId", "SalesInvoiceHeadersV2"),
)


def named(event: str, payload: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return entity and key of the record that a business event is about."""
    company = payload.get("BusinessEventLegalEntity") or payload.get("LegalEntity")
    for name, entity in _NAMED:
        number = payload.get(name)
        if isinstance(company, str) and company and isinstance(number, str) and number:
            return entity, f"{company}/{number}"
    return None


PAGES = Pages(
    base="environment_url",
    templates={entity: f"/?cmp={{first}}&mi={form}" for entity, form in FORMS.items()},
    names=named,
)
