"""Which record an event of SAP is about. Where SAP shows it to people is not known here."""

from collections.abc import Mapping
from typing import Any

from connectors.kit.pages import Pages

_NAMED = (
    ("SalesOrder", "A_SalesOrder"),
    ("BillingDocument", "A_BillingDocument"),
    ("SupplierInvoice", "A_SupplierInvoice"),
)


def named(event: str, payload: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return entity and key of the record that an event is about."""
    data = payload.get("data")
    found = data if isinstance(data, Mapping) else payload
    for field, entity in _NAMED:
        number = found.get(field)
        if isinstance(number, str) and number:
            return entity, number
    return None


# The launchpad's links differ from release to release and from site to site: none is assumed.
PAGES = Pages(base="base_url", templates={}, names=named)
