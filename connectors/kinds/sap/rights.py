"""Which services and entity sets of SAP each operation reads and changes, and what takes each change back."""

from collections.abc import Mapping
from typing import Any

from connectors.kinds.sap.reads import QUERIES
from connectors.kinds.sap.settings import BILLING, CREDIT, SALES, SUPPLIER
from connectors.kit import finding
from connectors.kit.needs import Needs, Told

ALWAYS = ("a communication user (or technical user) of its own that may call the services below and no others",)
_ORDER, _BLOCK = f"{SALES}/A_SalesOrder", f"{CREDIT}/A_CreditBlockedSalesDocument"
_ITEM, _PRICE = f"{SALES}/A_SalesOrderItem", f"{SALES}/A_SalesOrderItemPrElement"
_LINE, _PARTNER = f"{SALES}/A_SalesOrderScheduleLine: read", f"{SALES}/A_SalesOrderHeaderPartner: read"
_BILL, _INVOICE = f"{BILLING}/A_BillingDocument", f"{SUPPLIER}/A_SupplierInvoice"
_LASTING = {
    "credit_block.release": "SAP has no call that sets it again: it comes back when the order is changed or rechecked.",
    "billing.cancel": "A cancelled billing document stays cancelled: the order is billed again.",
    "supplier_invoice.release": "The service that releases an invoice cannot block it: its journal entry can.",
    "supplier_invoice.cancel": "A cancelled supplier invoice stays cancelled: it is posted again.",
    "journal.reverse": "A reversal is not reversed: the entry is posted anew, by a person.",
    "idoc.send": "What an IDoc posted is taken back in the document that it posted.",
}
_OF_ORDER = (f"{_ORDER}: update", f"{_ORDER}: read")


def needs(settings: Any) -> Told:
    """Return the sets by operation; journal entries and IDocs stand where the settings say."""
    found = {
        name: Needs(
            (f"{query.service}/{query.entity}: read",)
            + ((f"{query.service}/{query.expand[1]}: read",) if query.expand[1] else ())
        )
        for name, query in QUERIES.items()
    }
    journal = f"{settings.journal_set}: read"
    whole = (f"{_ORDER}: read", f"{_ITEM}: read", _LINE, *(f"{name}: read" for name in [settings.credit_set] if name))
    posting = "the service for changing journal entries (Journal Entry by Bulk Change Request)"
    reversal = "the service that reverses journal entries"
    found |= {
        "journal_items.list": Needs((journal,)),
        "journal_items.by_reference": Needs((journal,)),
        "reversal.check": Needs((f"{reversal}: check",)),
        "function.read": Needs(("each function that is called",)),
        "record.find": Needs(
            finding.rights(settings.may_find(), "read", "each entity set that the connection opens for finding")
        ),
        "odata.query": Needs(("each entity set that a saved query asks for: read",)),
        "credit_block.release": Needs((f"{CREDIT}: call ReleaseCreditBlock", f"{_BLOCK}: read", f"{_ORDER}: read")),
        "order.set_delivery_block": Needs(_OF_ORDER, ("order.set_delivery_block",)),
        "order.set_billing_block": Needs(_OF_ORDER, ("order.set_billing_block",)),
        "order.set_shipping": Needs(_OF_ORDER, ("order.set_shipping",)),
        "order.reject": Needs((f"{_ITEM}: update", *whole), ("order.reopen",)),
        "order.reopen": Needs((f"{_ITEM}: update", *whole), ("order.reject",)),
        "order.replace": Needs((f"{_ORDER}: create", f"{_PRICE}: read", _PARTNER, *whole), ("order.withdraw",)),
        "order.withdraw": Needs((f"{_ITEM}: update", *whole), ("order.reopen",)),
        "condition.set_rate": Needs(
            (f"{_PRICE}: update", f"{_PRICE}: read", f"{_ITEM}: read", f"{_ORDER}: read"), ("condition.set_rate",)
        ),
        "billing.cancel": Needs((f"{BILLING}: call Cancel", f"{_BILL}: read")),
        "supplier_invoice.release": Needs((f"{SUPPLIER}: call Release", f"{_INVOICE}: read")),
        "supplier_invoice.cancel": Needs((f"{SUPPLIER}: call Cancel", f"{_INVOICE}: read")),
        "journal.reverse": Needs((f"{reversal}: post", journal)),
        "payment_block.set": Needs((posting, journal), ("payment_block.set",)),
        "idoc.send": Needs(("the address that takes IDocs, and reading their status",)),
    }
    return Told(ALWAYS, found)


def lasting(settings: Any, operation: str, parameters: Mapping[str, Any]) -> str:
    """Return why nothing takes a write back; blank where something does."""
    return _LASTING.get(operation, "")
