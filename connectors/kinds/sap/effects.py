"""What each write of SAP changes and how it is taken back. Pure functions over records."""

from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.base import Change, NotFound, Observed, Record, Undo

ORDER, ITEM, CONDITION = "A_SalesOrder", "A_SalesOrderItem", "A_SalesOrderItemPrElement"
BILLING, INVOICE, BLOCK = "A_BillingDocument", "A_SupplierInvoice", "CreditBlock"
ENTRY, ENTRY_ITEM, IDOC = "JournalEntry", "JournalEntryItem", "IDoc"
Amount = tuple[str, str] | None


def number(value: Any) -> Decimal:
    """Read an amount as SAP writes it, a minus behind it included; nothing counts as zero."""
    text = str(value or 0).strip()
    text = f"-{text[:-1]}" if text.endswith("-") else text
    try:
        found = Decimal(text)
    except InvalidOperation:
        return Decimal(0)
    return found if found.is_finite() else Decimal(0)


def the(records: Observed, entity: str) -> Record:
    """Return the first observed record of an entity. Raises ``NotFound``."""
    found = first(records, entity)
    if found is None:
        raise NotFound(f"SAP has no such {entity}.", status=404)
    return found


def first(records: Observed, entity: str) -> Record | None:
    """Return the first observed record of an entity, or ``None``."""
    return next((record for record in records if record.entity == entity), None)


def change(record: Record, field: str, after: Any, *, side_effect: bool = False) -> Change:
    """Say what becomes of one field; amounts are compared as numbers, whatever their decimals."""
    value = float(after) if isinstance(after, Decimal) else after
    return Change(record.entity, record.key, field, record.fields.get(field), value, side_effect)


# --- sales orders ------------------------------------------------------------------------------
def predict_release(args: Any, records: Observed) -> list[Change]:
    """The document is no longer among those with a credit block."""
    return [change(the(records, BLOCK), "Blocked", after=False)]


def undo_release(args: Any, records: Observed, effect_key: str) -> Undo | None:
    """Nothing puts a released credit check back: rejecting is another act, and a recheck is SAP's own."""
    return None


def amount_order(args: Any, records: Observed) -> Amount:
    """The whole order is at stake."""
    order = first(records, ORDER)
    if order is None:
        return None
    return str(number(order.fields.get("TotalNetAmount"))), str(order.fields.get("TransactionCurrency") or "")


def predict_delivery_block(args: Any, records: Observed) -> list[Change]:
    """The order gets another delivery block, or none."""
    return [change(the(records, ORDER), "DeliveryBlockReason", args.block)]


def undo_delivery_block(args: Any, records: Observed, effect_key: str) -> Undo:
    """Put the old delivery block back."""
    old = the(records, ORDER).fields.get("DeliveryBlockReason") or ""
    return Undo("order.set_delivery_block", {"order": args.order, "block": old})


def predict_billing_block(args: Any, records: Observed) -> list[Change]:
    """The order gets another billing block, or none."""
    return [change(the(records, ORDER), "HeaderBillingBlockReason", args.block)]


def undo_billing_block(args: Any, records: Observed, effect_key: str) -> Undo:
    """Put the old billing block back."""
    old = the(records, ORDER).fields.get("HeaderBillingBlockReason") or ""
    return Undo("order.set_billing_block", {"order": args.order, "block": old})


def predict_shipping(args: Any, records: Observed) -> list[Change]:
    """The order is shipped another way."""
    return [change(the(records, ORDER), "ShippingCondition", args.condition)]


def undo_shipping(args: Any, records: Observed, effect_key: str) -> Undo | None:
    """Put the old shipping condition back; an order that had none cannot be given none."""
    old = the(records, ORDER).fields.get("ShippingCondition")
    return Undo("order.set_shipping", {"order": args.order, "condition": old}) if old else None


def predict_rate(args: Any, records: Observed) -> list[Change]:
    """The condition gets its new rate; what the order comes to, SAP prices by itself."""
    return [change(the(records, CONDITION), "ConditionRateValue", args.rate)]


def undo_rate(args: Any, records: Observed, effect_key: str) -> Undo:
    """Put the old rate back."""
    old = format(number(the(records, CONDITION).fields.get("ConditionRateValue")), "f")
    return Undo("condition.set_rate", {**args.model_dump(mode="json"), "rate": old})


def amount_rate(args: Any, records: Observed) -> Amount:
    """By how much the rate changes, for as many as the item has."""
    fields = the(records, CONDITION).fields
    item, order = first(records, ITEM), first(records, ORDER)
    quantity = number(item.fields.get("RequestedQuantity")) if item else Decimal(1)
    per = number(fields.get("ConditionQuantity")) or Decimal(1)
    worth = abs(args.rate - number(fields.get("ConditionRateValue"))) * (quantity or Decimal(1)) / per
    currency = fields.get("TransactionCurrency") or (order.fields.get("TransactionCurrency") if order else "")
    return str(worth.quantize(Decimal("0.01"))), str(currency or "")


# --- billing and supplier invoices -------------------------------------------------------------
def predict_cancel(args: Any, records: Observed) -> list[Change]:
    """The document is cancelled by one of its own."""
    return [change(the(records, BILLING), "BillingDocumentIsCancelled", after=True)]


def undo_cancel(args: Any, records: Observed, effect_key: str) -> Undo | None:
    """Nothing takes a cancellation back: the order is billed again."""
    return None


def amount_billing(args: Any, records: Observed) -> Amount:
    """What the document is worth."""
    fields = the(records, BILLING).fields
    return str(abs(number(fields.get("TotalNetAmount")))), str(fields.get("TransactionCurrency") or "")


def predict_invoice_release(args: Any, records: Observed) -> list[Change]:
    """The invoice is no longer blocked for payment."""
    return [change(the(records, INVOICE), "PaymentBlockingReason", "")]


def undo_invoice_release(args: Any, records: Observed, effect_key: str) -> Undo | None:
    """The service that releases cannot block: that is another route, on the journal entry."""
    return None


def predict_invoice_cancel(args: Any, records: Observed) -> list[Change]:
    """A reversal document stands beside the invoice."""
    return [change(the(records, INVOICE), "IsReversed", after=True)]


def amount_invoice(args: Any, records: Observed) -> Amount:
    """What the invoice asks for."""
    fields = the(records, INVOICE).fields
    return str(abs(number(fields.get("InvoiceGrossAmount")))), str(fields.get("DocumentCurrency") or "")


# --- journal entries ---------------------------------------------------------------------------
def amount_entry(args: Any, records: Observed) -> Amount:
    """What the entry posts to its debit side."""
    fields = the(records, ENTRY).fields
    return str(number(fields.get("Amount"))), str(fields.get("Currency") or "")


def predict_block(args: Any, records: Observed) -> list[Change]:
    """The item gets another payment block, or none."""
    return [change(the(records, ENTRY_ITEM), "PaymentBlockingReason", args.block)]


def undo_block(args: Any, records: Observed, effect_key: str) -> Undo:
    """Put the old payment block back."""
    old = the(records, ENTRY_ITEM).fields.get("PaymentBlockingReason") or ""
    return Undo("payment_block.set", {**args.model_dump(mode="json"), "block": old})


def amount_item(args: Any, records: Observed) -> Amount:
    """What the item owes."""
    fields = the(records, ENTRY_ITEM).fields
    worth = abs(number(fields.get("AmountInTransactionCurrency")))
    return str(worth), str(fields.get("TransactionCurrency") or "")


# --- IDocs -------------------------------------------------------------------------------------
def predict_idoc(args: Any, records: Observed) -> list[Change]:
    """One more such IDoc is posted: taken by SAP is not enough."""
    return [change(the(records, IDOC), "Status", "53")]


def undo_idoc(args: Any, records: Observed, effect_key: str) -> Undo | None:
    """What an IDoc posted is taken back in the document that it posted, not here."""
    return None
