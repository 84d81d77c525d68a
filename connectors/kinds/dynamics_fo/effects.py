"""What each write of F&O changes, side effects included, and how it is taken back. Pure functions over records."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from connectors.base import Change, NotFound, Observed, Record, Undo

ORDER, LINE, CHARGE = "SalesOrderHeadersV2", "SalesOrderLines", "SalesOrderCharges"
INVOICE, NOTE, CUSTOMER, STOCK = "SalesInvoiceHeadersV2", "FreeTextInvoiceHeaders", "CustomersV3", "WarehousesOnHand"
VENDOR, PENDING, PENDING_LINE = "VendorsV2", "VendorInvoiceHeaders", "VendorInvoiceLines"
Amount = tuple[str, str] | None


def cents(value: Any) -> Decimal:
    """Round to two places, half up, as F&O does; nothing counts as zero."""
    return Decimal(str(value or 0)).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def the(records: Observed, entity: str) -> Record:
    """Return the first observed record of an entity. Raises ``NotFound``."""
    found = first(records, entity)
    if found is None:
        raise NotFound(f"Dynamics 365 F&O has no such record in {entity}.", status=404)
    return found


def first(records: Sequence[Record], entity: str) -> Record | None:
    """Return the first observed record of an entity, or ``None``."""
    return next((record for record in records if record.entity == entity), None)


def change(record: Record, field: str, after: Any, *, side_effect: bool = False) -> Change:
    """Say what becomes of one field; amounts are compared and kept to the cent."""
    value = float(after) if isinstance(after, Decimal) else after
    return Change(record.entity, record.key, field, record.fields.get(field), value, side_effect)


def moved(record: Record | None, field: str, by: Decimal) -> list[Change]:
    """A side effect that adds to an amount; none where nothing moves or the record is not there."""
    if record is None or not by:
        return []
    return [change(record, field, cents(cents(record.fields.get(field)) + by), side_effect=True)]


# --- invoices ----------------------------------------------------------------------------------
def predict_credit(args: Any, records: Observed) -> list[Change]:
    """The whole rest of an invoice is credited; what the customer owes falls by as much."""
    invoice = the(records, INVOICE)
    total, credited = cents(invoice.fields["TotalInvoiceAmount"]), cents(invoice.fields["CreditedAmount"])
    rest = total - credited
    return [
        change(invoice, "CreditedAmount", total),
        change(invoice, "RemainingAmount", cents(cents(invoice.fields["RemainingAmount"]) - rest)),
        *moved(first(records, CUSTOMER), "OpenBalance", -rest),
    ]


def undo_credit(args: Any, records: Observed, effect_key: str) -> Undo:
    """Reverse the credit note that carries our key."""
    reason = f"Undo: {args.reason}"[:250]
    return Undo("credit_note.reverse", {"company": args.company, "reference": effect_key, "reason": reason})


def amount_credit(args: Any, records: Observed) -> Amount:
    """What is credited."""
    fields = the(records, INVOICE).fields
    rest = cents(fields["TotalInvoiceAmount"]) - cents(fields["CreditedAmount"])
    return str(rest), str(fields["CurrencyCode"])


def predict_reversal(args: Any, records: Observed) -> list[Change]:
    """The note is marked as reversed; the invoice and the customer owe again."""
    note = the(records, NOTE)
    back = -cents(note.fields["InvoiceAmount"])
    changes = [change(note, "IsReversed", "Yes")]
    if note.fields["IsReversed"] == "Yes":
        return changes
    invoice = first(records, INVOICE)
    if invoice is not None:
        credited = cents(cents(invoice.fields["CreditedAmount"]) - back)
        changes.append(change(invoice, "CreditedAmount", credited))
        changes.append(change(invoice, "RemainingAmount", cents(cents(invoice.fields["RemainingAmount"]) + back)))
    return [*changes, *moved(first(records, CUSTOMER), "OpenBalance", back)]


def undo_reversal(args: Any, records: Observed, effect_key: str) -> Undo | None:
    """Credit the invoice again, where that comes to the same amount."""
    note, invoice = the(records, NOTE), first(records, INVOICE)
    if invoice is None:
        return None
    left = cents(invoice.fields["TotalInvoiceAmount"]) - cents(invoice.fields["CreditedAmount"])
    if left:
        # Something else of it is open too: crediting "the rest" would take more than was given back.
        return None
    number = str(invoice.fields["InvoiceNumber"])
    reason = f"Undo the reversal of {note.fields['FreeTextNumber']}"
    return Undo("invoice.credit", {"company": args.company, "invoice": number, "reason": reason})


def amount_reversal(args: Any, records: Observed) -> Amount:
    """What the note was about."""
    fields = the(records, NOTE).fields
    return str(-cents(fields["InvoiceAmount"])), str(fields["CurrencyCode"])


# --- orders ------------------------------------------------------------------------------------
def predict_charge(args: Any, records: Observed) -> list[Change]:
    """The charge gets its new amount; the order's total follows."""
    charge = the(records, CHARGE)
    after = cents(args.amount)
    return [
        change(charge, "FixedChargeAmount", after),
        *moved(first(records, ORDER), "OrderTotalAmount", after - cents(charge.fields["FixedChargeAmount"])),
    ]


def undo_charge(args: Any, records: Observed, effect_key: str) -> Undo:
    """Put the old amount back."""
    old = str(cents(the(records, CHARGE).fields["FixedChargeAmount"]))
    return Undo("charge.update", {**args.model_dump(mode="json"), "amount": old})


def amount_charge(args: Any, records: Observed) -> Amount:
    """The difference between the old and the new charge."""
    fields = the(records, CHARGE).fields
    return str(abs(cents(args.amount) - cents(fields["FixedChargeAmount"]))), str(fields["ChargeCurrencyCode"])


def predict_release(args: Any, records: Observed) -> list[Change]:
    """The order may go: its processing follows the hold."""
    return _held(args, records, hold="No", processing="Confirmed")


def predict_hold(args: Any, records: Observed) -> list[Change]:
    """The order is stopped: its processing follows the hold."""
    return _held(args, records, hold="Yes", processing="OnHold")


def _held(args: Any, records: Observed, *, hold: str, processing: str) -> list[Change]:
    order = the(records, ORDER)
    changes = [change(order, "CreditHold", hold), change(order, "CreditHoldReason", args.reason)]
    if order.fields.get("SalesOrderProcessingStatus") != processing:
        changes.append(change(order, "SalesOrderProcessingStatus", processing, side_effect=True))
    return changes


def undo_release(args: Any, records: Observed, effect_key: str) -> Undo:
    """Put the hold back, with the reason that it had."""
    return Undo("hold.place", _with_old_reason(args, records))


def undo_hold(args: Any, records: Observed, effect_key: str) -> Undo:
    """Release the hold again."""
    return Undo("hold.release", _with_old_reason(args, records))


def _with_old_reason(args: Any, records: Observed) -> dict[str, Any]:
    reason = the(records, ORDER).fields.get("CreditHoldReason") or ""
    return {"company": args.company, "order": args.order, "reason": reason}


def amount_order(args: Any, records: Observed) -> Amount:
    """The whole order is at stake."""
    fields = the(records, ORDER).fields
    return str(cents(fields["OrderTotalAmount"])), str(fields["CurrencyCode"])


def predict_price(args: Any, records: Observed) -> list[Change]:
    """The line gets its new price; its amount and the order's total follow."""
    line = the(records, LINE)
    old = cents(line.fields["LineAmount"])
    new = cents(Decimal(str(line.fields["OrderedSalesQuantity"])) * args.price)
    changes = [change(line, "SalesPrice", cents(args.price))]
    if new != old:
        changes.append(change(line, "LineAmount", new, side_effect=True))
    return [*changes, *moved(first(records, ORDER), "OrderTotalAmount", new - old)]


def undo_price(args: Any, records: Observed, effect_key: str) -> Undo:
    """Put the old price back."""
    old = str(cents(the(records, LINE).fields["SalesPrice"]))
    return Undo("line.set_price", {"company": args.company, "lot": args.lot, "price": old})


def amount_price(args: Any, records: Observed) -> Amount:
    """By how much the line's amount changes."""
    line = the(records, LINE)
    new = cents(Decimal(str(line.fields["OrderedSalesQuantity"])) * args.price)
    return str(abs(new - cents(line.fields["LineAmount"]))), str(the(records, ORDER).fields["CurrencyCode"])


def predict_warehouse(args: Any, records: Observed) -> list[Change]:
    """The line ships from elsewhere: it is reserved where stock covers it, and the stock moves with it."""
    line = the(records, LINE)
    quantity = Decimal(str(line.fields["OrderedSalesQuantity"]))
    changes = [change(line, "ShippingWarehouseId", args.warehouse)]
    if line.fields["ShippingWarehouseId"] == args.warehouse:
        return changes
    target = _stock(records, args.warehouse)
    covered = target is not None and Decimal(str(target.fields["AvailableQuantity"])) >= quantity
    status = "Reserved" if covered else "Backorder"
    if line.fields["LineStatus"] != status:
        changes.append(change(line, "LineStatus", status, side_effect=True))
    if line.fields["LineStatus"] == "Reserved":
        changes += moved(_stock(records, line.fields["ShippingWarehouseId"]), "AvailableQuantity", quantity)
    return [*changes, *(moved(target, "AvailableQuantity", -quantity) if covered else [])]


def _stock(records: Observed, warehouse: Any) -> Record | None:
    rows = (record for record in records if record.entity == STOCK)
    return next((row for row in rows if row.fields["WarehouseId"] == warehouse), None)


def undo_warehouse(args: Any, records: Observed, effect_key: str) -> Undo:
    """Ship from the old warehouse again."""
    old = the(records, LINE).fields["ShippingWarehouseId"]
    return Undo("line.set_warehouse", {"company": args.company, "lot": args.lot, "warehouse": old})


def predict_mode(args: Any, records: Observed) -> list[Change]:
    """The order gets another mode of delivery."""
    return [change(the(records, ORDER), "DeliveryModeCode", args.mode)]


def undo_mode(args: Any, records: Observed, effect_key: str) -> Undo:
    """Put the old mode of delivery back."""
    old = the(records, ORDER).fields["DeliveryModeCode"]
    return Undo("order.set_delivery_mode", {"company": args.company, "order": args.order, "mode": old})


# --- receivables -------------------------------------------------------------------------------
def predict_customer_hold(args: Any, records: Observed) -> list[Change]:
    """Deliveries to the customer stop, or go on."""
    return [change(the(records, CUSTOMER), "OnHoldStatus", args.status)]


def undo_customer_hold(args: Any, records: Observed, effect_key: str) -> Undo:
    """Put the old status back."""
    old = the(records, CUSTOMER).fields["OnHoldStatus"]
    return Undo("customer.set_hold", {"company": args.company, "customer": args.customer, "status": old})


def amount_customer(args: Any, records: Observed) -> Amount:
    """What the customer owes."""
    fields = the(records, CUSTOMER).fields
    return str(cents(fields.get("OpenBalance"))), str(fields.get("CurrencyCode") or "")


# --- payables ----------------------------------------------------------------------------------
def predict_invoice_hold(args: Any, records: Observed) -> list[Change]:
    """The pending invoice is held, or goes on; nothing is posted."""
    return [change(the(records, PENDING), "IsOnHold", args.hold)]


def undo_invoice_hold(args: Any, records: Observed, effect_key: str) -> Undo:
    """Put the old mark back."""
    old = the(records, PENDING).fields["IsOnHold"]
    return Undo("vendor_invoice.set_hold", {"company": args.company, "reference": args.reference, "hold": old})


def amount_pending(args: Any, records: Observed) -> Amount:
    """What the invoice asks for: the sum of its lines."""
    currency = str(the(records, PENDING).fields["CurrencyCode"])
    lines = [cents(record.fields.get("LineAmount")) for record in records if record.entity == PENDING_LINE]
    return str(sum(lines, Decimal("0.00"))), currency


def predict_vendor_hold(args: Any, records: Observed) -> list[Change]:
    """Payments to the vendor stop, or go on."""
    return [change(the(records, VENDOR), "OnHoldStatus", args.status)]


def undo_vendor_hold(args: Any, records: Observed, effect_key: str) -> Undo:
    """Put the old status back."""
    old = the(records, VENDOR).fields["OnHoldStatus"]
    return Undo("vendor.set_hold", {"company": args.company, "vendor": args.vendor, "status": old})
