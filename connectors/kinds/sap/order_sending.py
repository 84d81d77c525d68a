"""How orders are rejected, taken up again and replaced: item by item, and one order with its items in one request.

SAP takes one change to one item at a time: a change set of the service's version 4 may hold one update only (SAP note
3474176), and of version 2 nothing else is promised. So several items are several requests, and where SAP refuses one
of them, those before it are put back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from connectors.base import ConnectorError, Record, Refused, Unanswered, Written
from connectors.kinds.sap import odata, order_effects, orders
from connectors.kinds.sap.effects import ITEM, ORDER, the
from connectors.kinds.sap.settings import SALES
from connectors.kit.rest import before_writing

if TYPE_CHECKING:
    from connectors.kinds.sap.sending import Use

# What the replacement says as the order did; a day is written in another way than it is read.
_CARRIED = (
    "SalesOrderType", "CustomerPurchaseOrderType", "ShippingCondition", "ShippingType", "IncotermsClassification",
    "IncotermsLocation1", "CustomerPaymentTerms", "DeliveryBlockReason", "HeaderBillingBlockReason",
)  # fmt: skip
_DAYS = ("CustomerPurchaseOrderDate", "RequestedDeliveryDate")
_ITEM = ("SalesOrderItem", "Material", "MaterialByCustomer", "RequestedQuantity", "RequestedQuantityUnit")
_PARTNER = ("PartnerFunction", "Customer", "Supplier", "Personnel", "ContactPerson")
_PRICE = ("ConditionType", "ConditionRateValue", "ConditionCurrency", "ConditionQuantity", "ConditionQuantityUnit")


def _reject(use: Use) -> Written:
    records = use.seen()
    return _set(use, order_effects.to_reject(records, use.args.items), use.args.reason)


def _reopen(use: Use) -> Written:
    records = use.seen()
    return _set(use, order_effects.to_reopen(records, use.args.items, use.args.reason), "")


def _withdraw(use: Use) -> Written:
    return _set(use, order_effects.to_reject(use.seen()), use.args.reason)


def _set(use: Use, items: Sequence[Record], reason: str) -> Written:
    done: list[Record] = []
    last = Written()
    for item in items:
        try:
            last = _patch(use, item, reason)
        except ConnectorError as error:
            if done and not error.effect_possible:
                _put_back(use, done, error)
            raise
        done.append(item)
    return Written("", {**last.result, "items": [orders.item_number(item) for item in done]}, last.request_id)


def _patch(use: Use, item: Record, reason: str) -> Written:
    key = {name: str(item.fields[name]) for name in odata.KEYS[ITEM]}
    return use.patch(ITEM, key, {orders.REASON: reason}, item.version, once=False)


def _put_back(use: Use, done: Sequence[Record], error: ConnectorError) -> None:
    """Give the items that are changed already their old reason. Raises ``Unanswered`` where that fails, too."""
    try:
        for item in done:
            _patch(use, item, orders.reason_of(item))
    except ConnectorError:
        numbers = ", ".join(item.key for item in done)
        text = f"{error} Items {numbers} may have been changed before, and could not be put back."
        raise Unanswered(text, status=error.status, code="partly") from error


def _replace(use: Use) -> Written:
    """Enter the order, once the items of the old one are rejected: both together would ask for stock twice."""
    records = use.seen()
    order, replaced = the(records, ORDER), the(records, orders.REPLACEMENT)
    if replaced.fields["Orders"]:
        found = replaced.fields["SalesOrder"]
        raise Refused(f"{use.sap.label}: order {found} replaces {order.key} already.", code="replaced")
    items = order_effects.named([order, *orders.items_of(records, order.key)], use.args.items)
    if alive := [item.key for item in items if orders.reason_of(item) != use.args.reason]:
        text = f"{use.sap.label}: item {alive[0]} is not rejected for {use.args.reason} yet: both would be delivered."
        raise Refused(text, code="alive")
    with before_writing():
        body = _body(use, order, items)
    root = use.sap.root_of(use.sap.service(SALES))
    headers = {"Content-Type": odata.JSON, **use.sap.repeatable(use.effect_key)}
    reply = use.sap.change("POST", f"{root}/{ORDER}", root, json=body, headers=headers, effect_key=use.effect_key)
    result = use.sap.said(reply)
    content = use.sap.content(reply) if reply.body else {}
    row = content.get("d") if isinstance(content, dict) else None
    number = row.get("SalesOrder") if isinstance(row, dict) else None
    if not isinstance(number, str) or not number:
        raise Unanswered(f"{use.sap.label} does not say which order it entered.", status=reply.status, code="shape")
    return Written(reply.headers.get("etag", ""), {**result, "order": number}, use.sap.trace.request_id)


def _body(use: Use, order: Record, items: Sequence[Record]) -> dict[str, Any]:
    """Write the order with all that is below it; what has no value is left out, for SAP to find."""
    args, fields = use.args, order.fields
    head = _filled({**{name: fields.get(name) for name in _CARRIED}, **order_effects.wanted_head(args, order)})
    head |= {name: odata.day_value(fields[name]) for name in _DAYS if fields.get(name)}
    head[use.sap.settings.order_mark_field] = orders.mark(order.key, use.effect_key)
    prices = use.sap.look("conditions.list", order=args.order) if args.conditions else []
    head["to_Item"] = {"results": [_item(item, prices, args.conditions) for item in items]}
    # Another customer has partners of its own.
    if not args.sold_to or orders.bare(args.sold_to) == orders.bare(fields.get("SoldToParty")):
        partners = use.sap.look("partners.list", order=args.order)
        head["to_Partner"] = {
            "results": [_filled({name: row.fields.get(name) for name in _PARTNER}) for row in partners]
        }
    return head


def _item(item: Record, prices: Sequence[Record], kinds: Sequence[str]) -> dict[str, Any]:
    row = _filled({name: item.fields.get(name) for name in _ITEM})
    mine = [price for price in prices if orders.item_number(price) == orders.item_number(item)]
    carried = [price for price in mine if price.fields.get("ConditionType") in kinds]
    if carried:
        rows = [_filled({name: price.fields.get(name) for name in _PRICE}) for price in carried]
        row["to_PricingElement"] = {"results": rows}
    return row


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "")}


SENDERS: dict[str, Callable[[Use], Written]] = {
    "order.reject": _reject,
    "order.reopen": _reopen,
    "order.withdraw": _withdraw,
    "order.replace": _replace,
}
