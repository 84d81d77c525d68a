"""What can be changed in SAP: each write as data, with what it touches, foresees, leaves as a trace, and its undo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field, StringConstraints

from connectors.base import Connector, NotFound, Record, Reversible, Risk, Write, Written
from connectors.kinds.sap import effects, journal, outgoing, reversals
from connectors.kinds.sap.reads import (
    BillingKey,
    Digits,
    EntryKey,
    OrderKey,
    Rate,
    ReversalArguments,
    SupplierInvoiceKey,
)

if TYPE_CHECKING:
    from connectors.kinds.sap.connector import Sap

Block = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{0,2}$")]
# How long a message without an answer, or an update task, may take before "not found" is believed.
ASYNCHRONOUS_SECONDS = 60.0


class ReleaseArguments(OrderKey):
    """Release the credit block of a sales document."""

    category: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,4}$")] = Field(
        default="C", description="SDDocumentCategory: C is an order."
    )


class BlockArguments(OrderKey):
    """Set a block of a sales order, or take it away."""

    block: Block = Field(default="", description="The reason; empty: no block.")


class ShippingArguments(OrderKey):
    """Ship a sales order another way."""

    condition: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{2}$")]


class RateArguments(OrderKey):
    """Set the rate of a condition of an item."""

    item: Digits
    step: Digits
    counter: Digits
    rate: Rate


class InvoiceCancelArguments(SupplierInvoiceKey):
    """Cancel a supplier invoice."""

    reason: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{2}$")]
    posting_date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class InvoiceReleaseArguments(SupplierInvoiceKey):
    """Release a supplier invoice that is blocked for payment."""

    shift_discount_days: bool = False


class PaymentBlockArguments(EntryKey):
    """Block an item of a journal entry for payment, or let it go."""

    item: Annotated[str, StringConstraints(pattern=r"^\d{1,3}$")]
    block: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]?$")] = ""


# --- what is looked at ---------------------------------------------------------------------------
def _sap(connector: Connector) -> Sap:
    return cast("Sap", connector)


def _order(connector: Connector, args: Any) -> list[Record]:
    return _sap(connector).look("order.get", order=args.order)


def _credit(connector: Connector, args: Any) -> list[Record]:
    """Whether the order has a credit block, in the version of the order, then the order."""
    sap = _sap(connector)
    order = sap.look("order.get", order=args.order)
    if not order:
        return []
    listed = sap.look("credit_block.get", order=args.order)
    block = Record(sap.name, effects.BLOCK, order[0].key, order[0].version, {"Blocked": bool(listed)}, order[0].url)
    return [block, *order]


def _condition(connector: Connector, args: Any) -> list[Record]:
    """The condition, its item and its order."""
    sap = _sap(connector)
    conditions = sap.look("conditions.list", order=args.order)
    mine = [sap.versioned(row) for row in conditions if _is(row, args)]
    if not mine:
        return []
    items = [row for row in sap.look("items.list", order=args.order) if _same(row, "SalesOrderItem", args.item)]
    return [mine[0], *items, *sap.look("order.get", order=args.order)]


def _is(row: Record, args: Any) -> bool:
    named = {"SalesOrderItem": args.item, "PricingProcedureStep": args.step, "PricingProcedureCounter": args.counter}
    return all(_same(row, field, value) for field, value in named.items())


def _same(row: Record, field: str, value: str) -> bool:
    return str(row.fields.get(field) or "").lstrip("0") == value.lstrip("0")


def _billing(connector: Connector, args: Any) -> list[Record]:
    return _sap(connector).look("billing.get", billing=args.billing)


def _invoice(connector: Connector, args: Any) -> list[Record]:
    sap = _sap(connector)
    return [sap.versioned(row) for row in sap.look("supplier_invoice.get", invoice=args.invoice, year=args.year)]


def _entry(connector: Connector, args: Any) -> list[Record]:
    return journal.entry(_sap(connector), args)


def _item(connector: Connector, args: Any) -> list[Record]:
    return journal.item(_sap(connector), args)


# --- what is looked for after an unknown outcome --------------------------------------------------
def _find_release(connector: Connector, args: Any, effect_key: str) -> Written | None:
    rows = _credit(connector, args)
    return Written(rows[0].version, {"found_by": "credit block"}) if rows and not rows[0].fields["Blocked"] else None


def _find_cancel(connector: Connector, args: Any, effect_key: str) -> Written | None:
    """A document is cancelled once: SAP names the one that did it."""
    sap = _sap(connector)
    rows = _billing(connector, args)
    if not rows or rows[0].fields.get("BillingDocumentIsCancelled") is not True:
        return None
    by = sap.look("billing.cancellations", billing=args.billing)
    return Written(rows[0].version, {"found_by": "cancellation", "by": by[0].key if by else ""})


def _find_invoice_cancel(connector: Connector, args: Any, effect_key: str) -> Written | None:
    rows = _invoice(connector, args)
    if not rows or rows[0].fields.get("IsReversed") is not True:
        return None
    return Written(rows[0].version, {"found_by": "reversal", "by": rows[0].fields.get("ReverseDocument")})


def _find_invoice_release(connector: Connector, args: Any, effect_key: str) -> Written | None:
    rows = _invoice(connector, args)
    blocked = not rows or rows[0].fields.get("PaymentBlockingReason")
    return None if blocked else Written(rows[0].version, {"found_by": "block"})


def _find_reverse(connector: Connector, args: Any, effect_key: str) -> Written | None:
    rows = _entry(connector, args)
    return Written(rows[0].version, {"found_by": "reversal"}) if rows and rows[0].fields["Reversed"] else None


def _find_block(connector: Connector, args: Any, effect_key: str) -> Written | None:
    rows = _item(connector, args)
    if not rows:
        raise NotFound(f"SAP has no item {args.item} of {journal.key_of(args)}.", status=404)
    there = rows[0].fields["PaymentBlockingReason"] == args.block
    return Written(rows[0].version, {"found_by": "block"}) if there else None


WRITES: tuple[Write, ...] = (
    Write(
        "credit_block.release",
        ReleaseArguments,
        "Release the credit block of a sales order",
        observe=_credit,
        predict=effects.predict_release,
        undo=effects.undo_release,
        risk=Risk.HIGH,
        reversible=Reversible.NO,
        find=_find_release,
        amount=effects.amount_order,
    ),
    Write(
        "order.set_delivery_block",
        BlockArguments,
        "Set or remove the delivery block of a sales order",
        observe=_order,
        predict=effects.predict_delivery_block,
        undo=effects.undo_delivery_block,
        amount=effects.amount_order,
    ),
    Write(
        "order.set_billing_block",
        BlockArguments,
        "Set or remove the billing block of a sales order",
        observe=_order,
        predict=effects.predict_billing_block,
        undo=effects.undo_billing_block,
        amount=effects.amount_order,
    ),
    Write(
        "order.set_shipping",
        ShippingArguments,
        "Ship a sales order another way",
        observe=_order,
        predict=effects.predict_shipping,
        undo=effects.undo_shipping,
    ),
    Write(
        "condition.set_rate",
        RateArguments,
        "Correct a price or surcharge of an order's item",
        observe=_condition,
        predict=effects.predict_rate,
        undo=effects.undo_rate,
        amount=effects.amount_rate,
    ),
    Write(
        "billing.cancel",
        BillingKey,
        "Cancel a billing document",
        observe=_billing,
        predict=effects.predict_cancel,
        undo=effects.undo_cancel,
        risk=Risk.HIGH,
        financial=True,
        reversible=Reversible.NO,
        find=_find_cancel,
        settle_seconds=ASYNCHRONOUS_SECONDS,
        amount=effects.amount_billing,
    ),
    Write(
        "supplier_invoice.release",
        InvoiceReleaseArguments,
        "Release a blocked supplier invoice for payment",
        observe=_invoice,
        predict=effects.predict_invoice_release,
        undo=effects.undo_invoice_release,
        risk=Risk.HIGH,
        reversible=Reversible.NO,
        find=_find_invoice_release,
        amount=effects.amount_invoice,
    ),
    Write(
        "supplier_invoice.cancel",
        InvoiceCancelArguments,
        "Cancel a supplier invoice",
        observe=_invoice,
        predict=effects.predict_invoice_cancel,
        undo=effects.undo_cancel,
        risk=Risk.HIGH,
        financial=True,
        reversible=Reversible.NO,
        find=_find_invoice_cancel,
        settle_seconds=ASYNCHRONOUS_SECONDS,
        amount=effects.amount_invoice,
    ),
    Write(
        "journal.reverse",
        ReversalArguments,
        "Reverse a journal entry",
        observe=lambda connector, args: reversals.observe(_sap(connector), args),
        predict=reversals.predict,
        undo=reversals.undo,
        risk=Risk.HIGH,
        financial=True,
        reversible=Reversible.NO,
        find=_find_reverse,
        settle_seconds=ASYNCHRONOUS_SECONDS,
        amount=effects.amount_entry,
    ),
    Write(
        "payment_block.set",
        PaymentBlockArguments,
        "Block an open item for payment, or let it go",
        observe=_item,
        predict=effects.predict_block,
        undo=effects.undo_block,
        find=_find_block,
        settle_seconds=ASYNCHRONOUS_SECONDS,
        amount=effects.amount_item,
    ),
    Write(
        "idoc.send",
        outgoing.IdocArguments,
        "Send an IDoc and follow it until it is posted",
        observe=lambda connector, args: outgoing.observe(_sap(connector), args),
        predict=effects.predict_idoc,
        undo=effects.undo_idoc,
        risk=Risk.HIGH,
        reversible=Reversible.NO,
        find=lambda connector, args, key: outgoing.find(_sap(connector), args, key),
        settle_seconds=ASYNCHRONOUS_SECONDS,
    ),
)
