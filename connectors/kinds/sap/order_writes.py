"""Cancelling and replacing sales orders: each write as data. An order is cancelled by rejecting its items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field, StringConstraints

from connectors.base import Connector, Record, Reversible, Risk, Write, Written
from connectors.kinds.sap import order_effects, orders
from connectors.kinds.sap.reads import Digits, OrderKey

if TYPE_CHECKING:
    from connectors.kinds.sap.connector import Sap

MOST_ITEMS = 200
Reason = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{2}$")]
Items = Annotated[list[Digits], Field(max_length=MOST_ITEMS)]
# How long an order that was entered may take to be listed before "not found" is believed: twice would be worst here.
ENTERED_SECONDS = 60.0


class RejectArguments(OrderKey):
    """Cancel a sales order, or some of its items."""

    reason: Reason = Field(description="SalesDocumentRjcnReason, as customizing has it.")
    items: Items = Field(default_factory=list, description="Empty: all that are not rejected yet.")


class ReopenArguments(OrderKey):
    """Take cancelled items of a sales order up again."""

    reason: Reason = Field(description="For which they are rejected; items with another one stay as they are.")
    items: Items = Field(default_factory=list, description="Empty: all that are rejected for it.")


class ReplaceArguments(OrderKey):
    """Enter an order anew from a cancelled one, with what was wrong put right; empty: as it was."""

    items: Annotated[list[Digits], Field(min_length=1, max_length=MOST_ITEMS)]
    reason: Reason = Field(description="For which the old items are rejected, and the new ones if this is undone.")
    sales_organization: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{0,4}$")] = ""
    distribution_channel: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{0,2}$")] = ""
    division: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{0,2}$")] = ""
    sold_to: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{0,10}$")] = ""
    conditions: Annotated[list[Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,4}$")]], Field(max_length=20)] = (
        Field(default_factory=list, description="Condition types whose rates are carried over; SAP finds the others.")
    )


class WithdrawArguments(OrderKey):
    """Cancel the order that was entered in place of another."""

    reference: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="The effect key under which it was entered."
    )
    reason: Reason


def _sap(connector: Connector) -> Sap:
    return cast("Sap", connector)


def _whole(connector: Connector, args: Any) -> list[Record]:
    return orders.document(_sap(connector), args.order)


def _replaced(connector: Connector, args: Any) -> list[Record]:
    return orders.with_replacement(_sap(connector), args)


def _ours(connector: Connector, args: Any) -> list[Record]:
    return orders.ours(_sap(connector), args)


def _find_rejected(connector: Connector, args: Any, effect_key: str) -> Written | None:
    return orders.find_rejected(_sap(connector), args, effect_key)


def _find_reopened(connector: Connector, args: Any, effect_key: str) -> Written | None:
    return orders.find_reopened(_sap(connector), args, effect_key)


def _find_replacement(connector: Connector, args: Any, effect_key: str) -> Written | None:
    return orders.find_replacement(_sap(connector), args, effect_key)


def _find_withdrawn(connector: Connector, args: Any, effect_key: str) -> Written | None:
    return orders.find_withdrawn(_sap(connector), args, effect_key)


ORDER_WRITES: tuple[Write, ...] = (
    Write(
        "order.reject",
        RejectArguments,
        "Cancel a sales order by rejecting its items",
        observe=_whole,
        predict=order_effects.predict_reject,
        undo=order_effects.undo_reject,
        risk=Risk.MEDIUM,
        find=_find_rejected,
        amount=order_effects.amount_items,
    ),
    Write(
        "order.reopen",
        ReopenArguments,
        "Take rejected items of a sales order up again",
        observe=_whole,
        predict=order_effects.predict_reopen,
        undo=order_effects.undo_reopen,
        risk=Risk.MEDIUM,
        find=_find_reopened,
        amount=order_effects.amount_items,
    ),
    Write(
        "order.replace",
        ReplaceArguments,
        "Enter a cancelled sales order anew, with what was wrong put right",
        observe=_replaced,
        predict=order_effects.predict_replace,
        undo=order_effects.undo_replace,
        risk=Risk.HIGH,
        # Both orders stay in the books: one delivers, the other delivers nothing.
        reversible=Reversible.NET_ZERO,
        find=_find_replacement,
        settle_seconds=ENTERED_SECONDS,
        amount=order_effects.amount_replace,
    ),
    Write(
        "order.withdraw",
        WithdrawArguments,
        "Cancel the order that was entered in place of another",
        observe=_ours,
        predict=order_effects.predict_withdraw,
        undo=order_effects.undo_withdraw,
        risk=Risk.MEDIUM,
        find=_find_withdrawn,
        amount=order_effects.amount_ours,
    ),
)
