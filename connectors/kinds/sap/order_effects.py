"""What rejecting, taking up again and replacing an order changes, and how it is taken back. Pure functions.

Rejected items ask for no stock and no credit any more; taken up again or entered anew they do. Whether all of it is
there by then, SAP alone knows: that is foreseen as a side effect, and compared.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from connectors.base import Change, Observed, Record, Refused, Undo
from connectors.kinds.sap import orders
from connectors.kinds.sap.effects import ORDER, Amount, change, number, the
from connectors.kinds.sap.orders import CONFIRMED, EXPOSURE, LINE, ORDERED, REASON, REJECTED, WORTH

DELIVERED = ("B", "C")  # of an item's DeliveryStatus: in part, and whole


def to_reject(records: Observed, numbers: Sequence[str] = ()) -> list[Record]:
    """Return the items that would be rejected: those named, or all, that are not yet. Raises ``Refused``.

    What has left the warehouse is not rejected: it has to come back.
    """
    found = [item for item in named(records, numbers) if not orders.reason_of(item)]
    if not found:
        raise Refused("SAP: the order has no item left that could be rejected.", code="rejected")
    refuse_delivered(found)
    return found


def to_reopen(records: Observed, numbers: Sequence[str], reason: str) -> list[Record]:
    """Return the items that would be taken up again: those named, or all, that are rejected for ``reason``."""
    found = [item for item in named(records, numbers) if orders.reason_of(item) == reason]
    if not found:
        raise Refused(f"SAP: the order has no item that is rejected for {reason}.", code="rejected")
    return found


def named(records: Observed, numbers: Sequence[str]) -> list[Record]:
    """Return the items with these numbers, or all. Raises ``Refused`` where one is not there."""
    items = orders.items_of([the(records, ORDER), *records])
    wanted = {orders.bare(one) for one in numbers}
    found = [item for item in items if not wanted or orders.item_number(item) in wanted]
    if missing := wanted - {orders.item_number(item) for item in found}:
        raise Refused(f"SAP: the order has no item {min(missing)}.", status=404, code="item")
    return found


def refuse_delivered(items: Sequence[Record]) -> None:
    """Raise ``Refused`` where something of the items has been delivered."""
    for item in items:
        if item.fields.get("DeliveryStatus") in DELIVERED:
            raise Refused(f"SAP: item {item.key} is delivered, whole or in part: it cannot be cancelled.", code="goods")


# --- rejecting and taking up again ---------------------------------------------------------------
def predict_reject(args: Any, records: Observed) -> list[Change]:
    """Each item gets the reason; stock and credit of it are let go."""
    return _rejection(records, to_reject(records, args.items), args.reason)


def predict_withdraw(args: Any, records: Observed) -> list[Change]:
    """Each item of the order that we entered gets the reason."""
    the(records, orders.DOCUMENT)
    return _rejection(records, to_reject(records), args.reason)


def predict_reopen(args: Any, records: Observed) -> list[Change]:
    """The items lose their reason; stock and credit are asked for again."""
    return _rejection(records, to_reopen(records, args.items, args.reason), "")


def _rejection(records: Observed, items: Sequence[Record], reason: str) -> list[Change]:
    order, every = the(records, ORDER), orders.items_of(records)
    numbers = {orders.item_number(item) for item in items}
    changes = [change(item, REASON, reason) for item in items]
    for line in records:
        if line.entity == LINE and orders.item_number(line) in numbers:
            after = Decimal(0) if reason else number(line.fields.get(ORDERED))
            changes.append(change(line, CONFIRMED, after, side_effect=True))
    others = [bool(orders.reason_of(item)) for item in every if orders.item_number(item) not in numbers]
    left = [*others, *([bool(reason)] * len(items))]
    state = "C" if all(left) else "B" if any(left) else "A"
    by = worth_of(items) * (-1 if reason else 1)
    worth = number(order.fields.get(WORTH)) + by
    changes += [change(order, REJECTED, state, side_effect=True), change(order, WORTH, worth, side_effect=True)]
    return [*changes, *_exposed(records, {str(order.fields.get("SoldToParty") or ""): by}, order)]


def worth_of(items: Sequence[Record]) -> Decimal:
    """Return what the items come to."""
    return sum((number(item.fields.get("NetAmount")) for item in items), Decimal(0))


def _exposed(records: Observed, by: dict[str, Decimal], order: Record) -> list[Change]:
    """Say what becomes of each customer's exposure, where it is shown in the order's currency."""
    changes = []
    for row in records:
        amount = next((value for name, value in by.items() if orders.bare(name) == row.key), Decimal(0))
        alike = row.fields.get("Currency") == order.fields.get("TransactionCurrency")
        if row.entity == EXPOSURE and alike and amount:
            after = number(row.fields.get("CreditExposure")) + amount
            changes.append(change(row, "CreditExposure", after, side_effect=True))
    return changes


def undo_reject(args: Any, records: Observed, effect_key: str) -> Undo:
    """Take exactly those items up again."""
    return _reopen(records, to_reject(records, args.items), args.reason)


def undo_withdraw(args: Any, records: Observed, effect_key: str) -> Undo:
    """Take the items of the order that we entered up again."""
    return _reopen(records, to_reject(records), args.reason)


def _reopen(records: Observed, items: Sequence[Record], reason: str) -> Undo:
    numbers = [orders.item_number(item) for item in items]
    return Undo("order.reopen", {"order": the(records, ORDER).key, "items": numbers, "reason": reason})


def undo_reopen(args: Any, records: Observed, effect_key: str) -> Undo:
    """Reject exactly those items again."""
    numbers = [orders.item_number(item) for item in to_reopen(records, args.items, args.reason)]
    return Undo("order.reject", {"order": args.order, "items": numbers, "reason": args.reason})


def amount_items(args: Any, records: Observed) -> Amount:
    """What the items come to that are rejected for the reason, or are not rejected."""
    found = named(_old(records), args.items)
    return _amount(records, [item for item in found if orders.reason_of(item) in ("", args.reason)])


def amount_replace(args: Any, records: Observed) -> Amount:
    """What the items come to that are rejected already; the others count where they are rejected."""
    found = named(_old(records), args.items)
    return _amount(records, [item for item in found if orders.reason_of(item)])


def amount_ours(args: Any, records: Observed) -> Amount:
    """What the order that we entered comes to."""
    return _amount(records, orders.items_of(records))


def _amount(records: Observed, items: Sequence[Record]) -> Amount:
    return str(worth_of(items)), str(the(records, ORDER).fields.get("TransactionCurrency") or "")


# --- replacing -----------------------------------------------------------------------------------
def _old(records: Observed) -> list[Record]:
    order = the(records, ORDER)
    return [order, *orders.items_of(records, order.key)]


def wanted_head(args: Any, order: Record) -> dict[str, Any]:
    """Return the header's fields that the replacement is to have: as the order's, but for what is put right."""
    right = {
        "SalesOrganization": args.sales_organization,
        "DistributionChannel": args.distribution_channel,
        "OrganizationDivision": args.division,
        "SoldToParty": args.sold_to,
    }
    return {name: right.get(name) or order.fields.get(name) or "" for name in orders.KEPT}


def predict_replace(args: Any, records: Observed) -> list[Change]:
    """One order replaces this one: what it says, item by item; price, stock and credit are SAP's to find."""
    order, replaced = the(records, ORDER), the(records, orders.REPLACEMENT)
    if replaced.fields["Orders"]:
        raise Refused(f"SAP: order {replaced.fields['SalesOrder']} replaces {order.key} already.", code="replaced")
    items = named(_old(records), args.items)
    refuse_delivered(items)
    head = wanted_head(args, order)
    changes = [change(replaced, "Orders", 1)]
    changes += [change(replaced, name, value) for name, value in head.items() if value]
    changes.append(change(replaced, WORTH, worth_of(items), side_effect=True))
    for item in items:
        changes += _foreseen_item(records, item)
    taken = worth_of(items)
    freed = worth_of([item for item in items if not orders.reason_of(item)])
    before, after = str(order.fields.get("SoldToParty") or ""), str(head["SoldToParty"])
    by = {before: -freed}
    by[after] = by.get(after, Decimal(0)) + taken
    return [*changes, *_exposed(records, by, order)]


def _foreseen_item(records: Observed, item: Record) -> list[Change]:
    own = orders.item_number(item)
    place = next(row for row in records if row.entity == orders.REPLACED_ITEM and row.key.rpartition("/")[2] == own)
    quantity = number(item.fields.get("RequestedQuantity"))
    changes = [change(place, "Material", item.fields.get("Material")), change(place, "RequestedQuantity", quantity)]
    changes.append(change(place, "NetAmount", number(item.fields.get("NetAmount")), side_effect=True))
    line = next((row for row in records if row.entity == LINE and orders.item_number(row) == own), None)
    confirmed = number(line.fields.get(CONFIRMED)) if line else Decimal(0)
    # Of an item that is rejected already SAP no longer says what it had.
    return [*changes, change(place, CONFIRMED, confirmed, side_effect=True)] if confirmed else changes


def undo_replace(args: Any, records: Observed, effect_key: str) -> Undo:
    """Reject the order that is entered under this key."""
    return Undo("order.withdraw", {"order": args.order, "reference": effect_key, "reason": args.reason})
