"""Sales orders as a whole: what is looked at before they are rejected, taken up again or replaced."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from connectors.base import Record, Refused, Written
from connectors.kinds.sap import effects
from connectors.kinds.sap.client import READ
from connectors.kinds.sap.settings import SALES, listed, set_of

if TYPE_CHECKING:
    from connectors.kinds.sap.connector import Sap

DOCUMENT, REPLACEMENT, REPLACED_ITEM = "OrderDocument", "OrderReplacement", "OrderReplacementItem"
LINE, PARTNER, EXPOSURE = "A_SalesOrderScheduleLine", "A_SalesOrderHeaderPartner", "CreditExposure"
REASON, CONFIRMED, ORDERED = "SalesDocumentRjcnReason", "ConfdOrderQtyByMatlAvailCheck", "ScheduleLineOrderQuantity"
REJECTED, WORTH = "OverallSDDocumentRejectionSts", "TotalNetAmount"
# The header's own fields in which an order and what replaces it are compared.
KEPT = (
    "SalesOrganization", "DistributionChannel", "OrganizationDivision", "SoldToParty", "PurchaseOrderByCustomer",
    "TransactionCurrency",
)  # fmt: skip


def mark(order: str, effect_key: str) -> str:
    """Make the mark of an order that replaces another: that one's number, and what our key alone gives."""
    return f"{bare(order)}/{hashlib.sha256(effect_key.encode()).hexdigest()[:16]}"


def bare(number: Any) -> str:
    """Write a document's or an item's number without leading zeros."""
    return str(number or "").lstrip("0") or "0"


def items_of(records: Sequence[Record], order: str = "") -> list[Record]:
    """Return the items among the records, of one order where it is named."""
    found = [row for row in records if row.entity == effects.ITEM]
    return [row for row in found if not order or bare(row.fields.get("SalesOrder")) == bare(order)]


def item_number(row: Record) -> str:
    """Return the number of an item, or of the item that a schedule line belongs to."""
    return bare(row.fields.get("SalesOrderItem"))


def reason_of(item: Record) -> str:
    """Return why an item is rejected; blank: it is not."""
    return str(item.fields.get(REASON) or "")


# --- what is looked at ---------------------------------------------------------------------------
def document(sap: Sap, number: str) -> list[Record]:
    """Fetch an order with its items, what is confirmed of them, and how far the customer's credit is used.

    The first record stands for the order as a whole. Its version is made of all that rejecting and taking up again
    leave alone: so our own half-done work is no change by somebody else, and anybody else's is one.
    """
    rows = sap.look("order.with_items", order=number)
    if not rows:
        return []
    order, items = rows[0], rows[1:]
    fields = {"Items": len(items), "RejectedItems": sum(1 for item in items if reason_of(item))}
    whole = Record(sap.name, DOCUMENT, order.key, _version(rows), fields, order.url)
    lines = sap.look("schedule_lines.list", order=number)
    return [whole, *rows, *lines, *exposure(sap, str(order.fields.get("SoldToParty") or ""))]


def _version(rows: Sequence[Record]) -> str:
    stays = [sorted((name, str(value)) for name, value in row.fields.items() if _stays(name)) for row in rows]
    return f"{READ}{hashlib.sha256(repr(stays).encode()).hexdigest()[:32]}"


def _stays(name: str) -> bool:
    """Tell whether a field is left alone when an item is rejected or taken up again."""
    follows = name.endswith(("Status", "Sts")) or name.startswith(("LastChange", "Total", "ConfdDeliv"))
    return not follows and name != REASON


def exposure(sap: Sap, customer: str) -> list[Record]:
    """Fetch how far a customer's credit is used; nothing where the connection does not say where that is read."""
    if not sap.settings.credit_set or not customer:
        return []
    service, entity = set_of(sap.settings.credit_set)
    names = listed(sap.settings.credit_fields)
    rows = sap.matching(service, entity, {names[0]: customer})
    shown = zip(("CreditExposure", "CreditLimit", "Currency"), names[1:], strict=True)
    fields = [{ours: row.fields.get(name) for ours, name in shown} for row in rows[:1]]
    return [Record(sap.name, EXPOSURE, bare(customer), "", one) for one in fields]


def with_replacement(sap: Sap, args: Any) -> list[Record]:
    """Fetch an order as a whole, and what replaces it, item by item, as far as there is one."""
    records = document(sap, args.order)
    order = effects.first(records, effects.ORDER)
    if order is None:
        return []
    found = replacements(sap, order)
    new = document(sap, found[0].key) if found else []
    if args.sold_to and not found:
        records += exposure(sap, args.sold_to)
    return [*records, _replacement(sap, order, found), *(_replaced(sap, order, new, one) for one in args.items)]


def replacements(sap: Sap, order: Record) -> list[Record]:
    """Fetch the orders that replace one and are not rejected themselves. Raises ``Refused`` where none can be known.

    They are known by the customer's reference, which they share, and by their mark, which begins with its number.
    """
    reference = str(order.fields.get("PurchaseOrderByCustomer") or "")
    if not reference:
        text = f"{sap.label}: order {order.key} has no customer reference, by which what replaces it would be found."
        raise Refused(text, code="reference")
    rows = sap.look("orders.by_reference", reference=reference)
    ours = f"{bare(order.key)}/"
    mine = [row for row in rows if str(row.fields.get(sap.settings.order_mark_field) or "").startswith(ours)]
    return [row for row in mine if row.fields.get(REJECTED) != "C"]


def _replacement(sap: Sap, order: Record, found: Sequence[Record]) -> Record:
    first = found[0].fields if found else {}
    fields = {name: first.get(name) or "" for name in (*KEPT, "TotalCreditCheckStatus")}
    number = {"Orders": len(found), "SalesOrder": first.get("SalesOrder") or "", WORTH: first.get(WORTH) or "0"}
    return Record(sap.name, REPLACEMENT, order.key, "", {**fields, **number}, found[0].url if found else "")


def _replaced(sap: Sap, order: Record, new: Sequence[Record], number: str) -> Record:
    item = next((row for row in items_of(new) if item_number(row) == bare(number)), None)
    shown: Mapping[str, Any] = item.fields if item else {}
    line = next((row for row in new if row.entity == LINE and item_number(row) == bare(number)), None)
    fields = {
        "Material": shown.get("Material") or "",
        "RequestedQuantity": shown.get("RequestedQuantity") or "0",
        "NetAmount": shown.get("NetAmount") or "0",
        CONFIRMED: (line.fields.get(CONFIRMED) or "0") if line else "0",
    }
    return Record(sap.name, REPLACED_ITEM, f"{order.key}/{bare(number)}", "", fields)


def marked(sap: Sap, order: str, effect_key: str) -> list[Record]:
    """Fetch what was entered under an effect key to replace an order, rejected or not."""
    return sap.matching(SALES, effects.ORDER, {sap.settings.order_mark_field: mark(order, effect_key)})


def ours(sap: Sap, args: Any) -> list[Record]:
    """Fetch the order that we entered under the key that ``args`` names, as a whole."""
    found = marked(sap, args.order, args.reference)
    return document(sap, found[0].key) if found else []


# --- what is looked for after an unknown outcome --------------------------------------------------
def find_rejected(sap: Sap, args: Any, effect_key: str) -> Written | None:
    """Find an order whose named items, or all of them, are rejected."""
    # Where all are meant, one that was rejected for another reason before is rejected too.
    said = (lambda item: reason_of(item) == args.reason) if args.items else lambda item: bool(reason_of(item))
    return _all(document(sap, args.order), args.items, said)


def find_reopened(sap: Sap, args: Any, effect_key: str) -> Written | None:
    """Find an order of whose named items none is rejected for the reason any more."""
    return _all(document(sap, args.order), args.items, lambda item: reason_of(item) != args.reason)


def find_withdrawn(sap: Sap, args: Any, effect_key: str) -> Written | None:
    """Find the order that replaced another with all its items rejected."""
    return _all(ours(sap, args), (), lambda item: bool(reason_of(item)))


def _all(records: Sequence[Record], numbers: Sequence[str], holds: Callable[[Record], bool]) -> Written | None:
    named = {bare(number) for number in numbers}
    items = [row for row in items_of(records) if not named or item_number(row) in named]
    there = bool(items) and all(holds(item) for item in items)
    return Written(records[0].version, {"found_by": "rejection"}) if there else None


def find_replacement(sap: Sap, args: Any, effect_key: str) -> Written | None:
    """Find the order that was entered under this very key."""
    found = marked(sap, args.order, effect_key)
    return Written(found[0].version, {"found_by": "mark", "order": found[0].key}) if found else None
