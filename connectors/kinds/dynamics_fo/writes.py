"""What can be changed in F&O: each write as data, with what it touches, foresees, leaves as a trace, and its undo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field

from connectors.base import Connector, Record, Reversible, Risk, Unanswered, Write, Written
from connectors.kinds.dynamics_fo import effects, reissues
from connectors.kinds.dynamics_fo.odata import COMPANY
from connectors.kinds.dynamics_fo.reads import (
    Code,
    CustomerKey,
    InCompany,
    InvoiceKey,
    Mark,
    Money,
    OrderKey,
    Reason,
    VendorInvoiceKey,
    VendorKey,
)

if TYPE_CHECKING:
    from connectors.kinds.dynamics_fo.connector import DynamicsFO

Price = Annotated[Money, Field(ge=0)]


class CreditArguments(InvoiceKey):
    """Credit the rest of an invoice."""

    reason: Reason


class ReversalArguments(InCompany):
    """Reverse the credit note that carries a reference."""

    reference: Mark
    reason: Reason


class ChargeArguments(OrderKey):
    """Set the amount of a charge line."""

    line: int = Field(ge=0)
    amount: Price


class HoldArguments(OrderKey):
    """Place or release a credit hold."""

    reason: Reason = ""


class PriceArguments(InCompany):
    """Set the price of an order line, found by its lot."""

    lot: Code
    price: Price


class WarehouseArguments(InCompany):
    """Ship an order line from another warehouse."""

    lot: Code
    warehouse: Code


class ModeArguments(OrderKey):
    """Ship an order another way."""

    mode: Code


class InvoiceHoldArguments(VendorInvoiceKey):
    """Hold a pending vendor invoice, or let it go on."""

    hold: Literal["Yes", "No"]


class VendorHoldArguments(VendorKey):
    """Stop payments to a vendor, or let them go on."""

    status: Literal["No", "Invoice", "All", "Payment"]


class CustomerHoldArguments(CustomerKey):
    """Stop deliveries to a customer, or let them go on."""

    status: Literal["No", "Invoice", "All", "Payment"]


@dataclass(frozen=True)
class Sending:
    """How a write goes out: a bound action, or where that is blank a PATCH of one field with one argument."""

    entity: str
    key: Mapping[str, str]  # field → argument
    action: str = ""
    field: str = ""
    argument: str = ""


# --- what is looked at ---------------------------------------------------------------------------
def _fo(connector: Connector) -> DynamicsFO:
    return cast("DynamicsFO", connector)


def _invoice(connector: Connector, args: Any) -> list[Record]:
    return _with_customer(
        _fo(connector), _fo(connector).look("invoice.get", company=args.company, invoice=args.invoice)
    )


def _with_customer(fo: DynamicsFO, found: list[Record]) -> list[Record]:
    if not found:
        return []
    account = _field(found[0], "InvoiceCustomerAccountNumber")
    customer = fo.look("customer.get", company=found[0].fields[COMPANY], customer=account)
    return [*found, *customer]


def _note(connector: Connector, args: Any) -> list[Record]:
    """The note, the invoice that it corrects and the customer."""
    fo = _fo(connector)
    notes = fo.notes(args.company, args.reference)
    if not notes:
        return []
    invoice = fo.look("invoice.get", company=args.company, invoice=_field(notes[0], "CorrectedInvoiceId"))
    return [notes[0], *_with_customer(fo, invoice)]


def _order(connector: Connector, args: Any) -> list[Record]:
    return _fo(connector).look("order.get", company=args.company, order=args.order)


def _charge(connector: Connector, args: Any) -> list[Record]:
    charges = _fo(connector).look("charges.list", company=args.company, order=args.order)
    mine = [charge for charge in charges if charge.fields.get("ChargeLineNumber") == args.line]
    return [*mine, *_order(connector, args)] if mine else []


def _line_and(connector: Connector, args: Any, read: str, argument: str, field: str) -> list[Record]:
    """The line, and what ``read`` finds by one of its fields."""
    fo = _fo(connector)
    line = fo.one(effects.LINE, {COMPANY: args.company, "InventoryLotId": args.lot})
    if line is None:
        return []
    return [line, *fo.look(read, company=args.company, **{argument: _field(line, field)})]


def _line(connector: Connector, args: Any) -> list[Record]:
    """The line and its order."""
    return _line_and(connector, args, "order.get", "order", "SalesOrderNumber")


def _line_and_stock(connector: Connector, args: Any) -> list[Record]:
    """The line and what of its item lies where."""
    return _line_and(connector, args, "on_hand.list", "item", "ItemNumber")


def _pending(connector: Connector, args: Any) -> list[Record]:
    """The pending invoice and its lines."""
    fo = _fo(connector)
    invoice = fo.look("vendor_invoice.get", company=args.company, reference=args.reference)
    key = {"company": args.company, "reference": args.reference}
    return [*invoice, *fo.look("vendor_invoice_lines.list", **key)] if invoice else []


def _vendor(connector: Connector, args: Any) -> list[Record]:
    return _fo(connector).look("vendor.get", company=args.company, vendor=args.vendor)


def _customer(connector: Connector, args: Any) -> list[Record]:
    return _fo(connector).look("customer.get", company=args.company, customer=args.customer)


def _field(record: Record, name: str) -> Any:
    """Return what leads to another record. Raises ``Unanswered`` where F&O leaves it out."""
    if not record.fields.get(name):
        raise Unanswered(f"Dynamics 365 F&O answered with {record.entity} {record.key} without {name}.", code="shape")
    return record.fields[name]


# --- what is looked for after an unknown outcome --------------------------------------------------
def _find_credit(connector: Connector, args: Any, effect_key: str) -> Written | None:
    notes = _fo(connector).notes(args.company, effect_key)
    return _found(notes, credit_note="FreeTextNumber")


def _find_reversal(connector: Connector, args: Any, effect_key: str) -> Written | None:
    notes = _fo(connector).notes(args.company, args.reference)
    mine = [note for note in notes if note.fields.get("ReversalReference") == effect_key]
    return _found(mine, credit_note="FreeTextNumber")


def _find_hold(connector: Connector, args: Any, effect_key: str) -> Written | None:
    mine = [order for order in _order(connector, args) if order.fields.get("CreditHoldReference") == effect_key]
    return _found(mine, credit_hold="CreditHold")


def _found(records: list[Record], **told: str) -> Written | None:
    """Tell of the first record that carries our mark, with the field that each name of ``told`` stands for."""
    if not records:
        return None
    result = {name: records[0].fields.get(field) for name, field in told.items()}
    return Written(version=records[0].version, result={"found_by": "reference", **result})


_INVOICE_KEY = {COMPANY: "company", "InvoiceNumber": "invoice"}
_ORDER_KEY = {COMPANY: "company", "SalesOrderNumber": "order"}
_LINE_KEY = {COMPANY: "company", "InventoryLotId": "lot"}
_POSTING = Reversible.UNTIL_PERIOD_CLOSE

DECLARED: tuple[tuple[Write, Sending], ...] = (
    (
        Write(
            "invoice.credit",
            CreditArguments,
            "Post a credit note for an invoice",
            observe=_invoice,
            predict=effects.predict_credit,
            undo=effects.undo_credit,
            risk=Risk.HIGH,
            financial=True,
            reversible=_POSTING,
            find=_find_credit,
            amount=effects.amount_credit,
        ),
        Sending(effects.INVOICE, _INVOICE_KEY, action="CreditInvoice"),
    ),
    (
        Write(
            "credit_note.reverse",
            ReversalArguments,
            "Reverse a credit note",
            observe=_note,
            predict=effects.predict_reversal,
            undo=effects.undo_reversal,
            risk=Risk.HIGH,
            financial=True,
            reversible=_POSTING,
            find=_find_reversal,
            amount=effects.amount_reversal,
        ),
        Sending(effects.NOTE, {}, action="ReverseCreditNote"),
    ),
    (
        Write(
            "charge.update",
            ChargeArguments,
            "Correct a charge on a sales order",
            observe=_charge,
            predict=effects.predict_charge,
            undo=effects.undo_charge,
            amount=effects.amount_charge,
        ),
        Sending(
            effects.CHARGE, {**_ORDER_KEY, "ChargeLineNumber": "line"}, field="FixedChargeAmount", argument="amount"
        ),
    ),
    (
        Write(
            "hold.release",
            HoldArguments,
            "Release the credit hold of a sales order",
            observe=_order,
            predict=effects.predict_release,
            undo=effects.undo_release,
            find=_find_hold,
            amount=effects.amount_order,
        ),
        Sending(effects.ORDER, _ORDER_KEY, action="ReleaseCreditHold"),
    ),
    (
        Write(
            "hold.place",
            HoldArguments,
            "Put a sales order on credit hold",
            observe=_order,
            predict=effects.predict_hold,
            undo=effects.undo_hold,
            find=_find_hold,
            amount=effects.amount_order,
        ),
        Sending(effects.ORDER, _ORDER_KEY, action="PlaceCreditHold"),
    ),
    (
        Write(
            "line.set_price",
            PriceArguments,
            "Correct the price of an order line",
            observe=_line,
            predict=effects.predict_price,
            undo=effects.undo_price,
            amount=effects.amount_price,
        ),
        Sending(effects.LINE, _LINE_KEY, field="SalesPrice", argument="price"),
    ),
    (
        Write(
            "line.set_warehouse",
            WarehouseArguments,
            "Ship an order line from another warehouse",
            observe=_line_and_stock,
            predict=effects.predict_warehouse,
            undo=effects.undo_warehouse,
        ),
        Sending(effects.LINE, _LINE_KEY, field="ShippingWarehouseId", argument="warehouse"),
    ),
    (
        Write(
            "order.set_delivery_mode",
            ModeArguments,
            "Change the mode of delivery of a sales order",
            observe=_order,
            predict=effects.predict_mode,
            undo=effects.undo_mode,
        ),
        Sending(effects.ORDER, _ORDER_KEY, field="DeliveryModeCode", argument="mode"),
    ),
    (
        Write(
            "vendor_invoice.set_hold",
            InvoiceHoldArguments,
            "Hold a pending vendor invoice, or let it go on",
            observe=_pending,
            predict=effects.predict_invoice_hold,
            undo=effects.undo_invoice_hold,
            amount=effects.amount_pending,
        ),
        Sending(
            effects.PENDING,
            {COMPANY: "company", "HeaderReference": "reference"},
            field="IsOnHold",
            argument="hold",
        ),
    ),
    (
        Write(
            "vendor.set_hold",
            VendorHoldArguments,
            "Stop payments to a vendor, or let them go on",
            observe=_vendor,
            predict=effects.predict_vendor_hold,
            undo=effects.undo_vendor_hold,
            risk=Risk.HIGH,
        ),
        Sending(
            effects.VENDOR,
            {COMPANY: "company", "VendorAccountNumber": "vendor"},
            field="OnHoldStatus",
            argument="status",
        ),
    ),
    (
        Write(
            "customer.set_hold",
            CustomerHoldArguments,
            "Stop deliveries to a customer, or let them go on",
            observe=_customer,
            predict=effects.predict_customer_hold,
            undo=effects.undo_customer_hold,
            risk=Risk.MEDIUM,
            amount=effects.amount_customer,
        ),
        Sending(
            effects.CUSTOMER,
            {COMPANY: "company", "CustomerAccount": "customer"},
            field="OnHoldStatus",
            argument="status",
        ),
    ),
)
WRITES: tuple[Write, ...] = (*(write for write, _ in DECLARED), *reissues.WRITES)
SENDINGS: dict[str, Sending] = {write.name: sending for write, sending in DECLARED}
