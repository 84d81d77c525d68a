"""Sales orders of the simulated SAP system: entered with their items, rejected and taken up again.

A rejected item asks for no stock and no credit: its confirmed quantity goes, and the order's value leaves the
customer's exposure. Taken up again, or entered anew, it gets what is left by then.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from connectors.simulator.sap.tables import SETS, SYSTEM, USED, Kind, Set, decimal_text, put, refused, rows_of
from connectors.simulator.store import SIDE_EFFECT, Fields, Record, Session

ORDER, ITEM, LINE = SETS["A_SalesOrder"], SETS["A_SalesOrderItem"], SETS["A_SalesOrderScheduleLine"]
PRICE, PARTNER = SETS["A_SalesOrderItemPrElement"], SETS["A_SalesOrderHeaderPartner"]
QUANTITY, CONFIRMED = "ScheduleLineOrderQuantity", "ConfdOrderQtyByMatlAvailCheck"
# What SAP works out by itself and lets nobody enter (wire: API_SALES_ORDER_SRV, sap:creatable).
OWN = frozenset(
    {"TotalNetAmount", "CreationDate", "LastChangeDateTime", "TotalCreditCheckStatus", "OverallSDProcessStatus",
     "OverallSDDocumentRejectionSts", "NetAmount", "DeliveryStatus", "ConditionAmount"}
)  # fmt: skip
NEEDED = ("SalesOrderType", "SalesOrganization", "DistributionChannel", "OrganizationDivision", "SoldToParty")


def _below(session: Session, found: Set, order: str, item: str = "") -> list[Record]:
    rows = (row for row in session.records(SYSTEM, found.name) if row.fields["SalesOrder"] == order)
    return [row for row in rows if not item or row.fields["SalesOrderItem"] == item]


# --- rejecting, and taking up again ------------------------------------------------------------
def set_rejection(session: Session, item: Record, reason: str) -> Record:
    """Give an item a reason for rejection, or take it away; what is delivered is rejected no more."""
    if item.fields["DeliveryStatus"] in ("B", "C"):
        raise refused(f"Item {item.fields['SalesOrderItem']} has already been delivered", 400, "V1/518")
    saved = put(session, item, {"SalesDocumentRjcnReason": reason}, kind="update")
    order, number = str(item.fields["SalesOrder"]), str(item.fields["SalesOrderItem"])
    for line in _below(session, LINE, order, number):
        free = Decimal(0) if reason else _available(session, item, Decimal(line.fields[QUANTITY]))
        put(session, line, {CONFIRMED: free}, kind=SIDE_EFFECT)
    _follow(session, order)
    return saved


def _available(session: Session, item: Record, wanted: Decimal) -> Decimal:
    """Return how much of what is wanted is there beyond what other items have; without a stock record, all of it."""
    material = item.fields["Material"]
    stock = next((row for row in session.records(SYSTEM, "StockSet") if row.fields["Material"] == material), None)
    if stock is None:
        return wanted
    places = {
        (row.fields["SalesOrder"], row.fields["SalesOrderItem"])
        for row in session.records(SYSTEM, ITEM.name)
        if row.fields["Material"] == material and row.key != item.key
    }
    taken = [
        Decimal(line.fields[CONFIRMED])
        for line in session.records(SYSTEM, LINE.name)
        if (line.fields["SalesOrder"], line.fields["SalesOrderItem"]) in places
    ]
    return max(min(wanted, Decimal(stock.fields["Quantity"]) - sum(taken, Decimal(0))), Decimal(0))


def _follow(session: Session, number: str) -> None:
    """Let the header follow its items: what it is worth, and whether anything of it is left."""
    order = session.get(SYSTEM, ORDER.name, ORDER.key_text({"SalesOrder": number}))
    items = _below(session, ITEM, number)
    if order is None:
        return
    left = [row for row in items if not row.fields["SalesDocumentRjcnReason"]]
    worth = sum((Decimal(row.fields["NetAmount"]) for row in left), Decimal(0))
    state = "C" if not left else "B" if len(left) < len(items) else "A"
    changes = {"TotalNetAmount": worth, "OverallSDDocumentRejectionSts": state}
    put(session, order, {**changes, "OverallSDProcessStatus": "A" if left else "C"}, kind=SIDE_EFFECT)


# --- entering ----------------------------------------------------------------------------------
def create(session: Session, body: Fields) -> Record:
    """Enter an order with its items, partners and prices (wire: deep insert); all of it, or nothing."""
    head, inner = _parted(ORDER, body, {"to_Item", "to_Partner"})
    if missing := [name for name in NEEDED if not head.get(name)]:
        raise refused(f"Enter a value for {missing[0]}", 400, "V1/382")
    if not inner["to_Item"]:
        raise refused("The order has no items", 400, "V1/481")
    number = str(session.next_number("sap:order", 8_000_001))
    head |= {"SalesOrder": number, "CreationDate": session.time[:10], "OverallSDDocumentRejectionSts": "A"}
    fields = ORDER.complete({**head, "TotalNetAmount": "0", "OverallSDProcessStatus": "A"})
    order = session.put(SYSTEM, ORDER.name, ORDER.key_text(fields), fields, kind="create")
    for place, row in enumerate(inner["to_Item"], 1):
        _enter_item(session, order, place, row)
    for row in inner["to_Partner"] or [{"PartnerFunction": "SP", "Customer": head["SoldToParty"]}]:
        _enter(session, PARTNER, {**_parted(PARTNER, row, set())[0], "SalesOrder": number})
    _follow(session, number)
    return _checked(session, number)


def _enter(session: Session, found: Set, row: Fields) -> Record:
    fields = found.complete(row)
    return session.put(SYSTEM, found.name, found.key_text(fields), fields, kind=SIDE_EFFECT)


def _enter_item(session: Session, order: Record, place: int, given: Fields) -> None:
    row, inner = _parted(ITEM, given, {"to_PricingElement"})
    if not row.get("Material"):
        raise refused(f"Enter a material for item {place * 10}", 400, "V1/041")
    key = {"SalesOrder": order.fields["SalesOrder"], "SalesOrderItem": str(row.get("SalesOrderItem") or place * 10)}
    money = {"TransactionCurrency": order.fields["TransactionCurrency"]}
    quantity = Decimal(decimal_text(row.get("RequestedQuantity"), 2, "RequestedQuantity"))
    prices = inner["to_PricingElement"] or _listed_price(session, str(row["Material"]))
    worth = Decimal(0)
    for step, price in enumerate(prices, 11):
        fields = _parted(PRICE, price, set())[0]
        rate = Decimal(decimal_text(fields.get("ConditionRateValue"), 3, "ConditionRateValue"))
        per = Decimal(decimal_text(fields.get("ConditionQuantity"), 2, "ConditionQuantity")) or Decimal(1)
        amount = Decimal(decimal_text(rate * quantity / per, 2))
        worth += amount
        at = {"PricingProcedureStep": str(step), "PricingProcedureCounter": "1", "ConditionAmount": amount}
        _enter(session, PRICE, {**fields, **key, **at, **money, "ConditionQuantity": per})
    item = _enter(session, ITEM, {**row, **key, **money, "NetAmount": worth, "DeliveryStatus": "A"})
    confirmed = _available(session, item, quantity)
    _enter(session, LINE, {**key, "ScheduleLine": "1", QUANTITY: quantity, CONFIRMED: confirmed})


def _listed_price(session: Session, material: str) -> list[Fields]:
    """Return what a material was sold at first, where an order brings no price of its own."""
    sold = {row.key for row in session.records(SYSTEM, ITEM.name) if row.fields["Material"] == material}
    for row in session.records(SYSTEM, PRICE.name):
        if "/".join(row.key.split("/")[:2]) in sold:
            return [{name: row.fields[name] for name in ("ConditionType", "ConditionRateValue", "ConditionQuantity")}]
    return []


def _checked(session: Session, number: str) -> Record:
    """Check the customer's credit with the new order in it; beyond the limit, the order is blocked."""
    order = session.get(SYSTEM, ORDER.name, ORDER.key_text({"SalesOrder": number}))
    assert order is not None  # noqa: S101 - it was entered a moment ago
    mine = [row.fields for row in rows_of(session, SETS[USED]) if row.key == order.fields["SoldToParty"].lstrip("0")]
    over = any(Decimal(row["CreditExposure"]) > Decimal(row["CreditLimit"]) > 0 for row in mine)
    return put(session, order, {"TotalCreditCheckStatus": "B" if over else "A"}, kind=SIDE_EFFECT)


def _parted(found: Set, body: Fields, navigations: set[str]) -> tuple[Fields, dict[str, list[Fields]]]:
    """Part a body into properties and what lies below it; refuse what cannot be entered."""
    inner = {name: _rows(name, body.get(name)) for name in navigations}
    fields = {name: value for name, value in body.items() if name not in navigations}
    for name in fields:
        if name not in found.properties:
            raise refused(f"Property '{name}' is invalid", code="/IWCOR/CX_OD_EP_UNKNOWN_PROPERTY")
        if name in OWN:
            raise refused(f"Property '{name}' cannot be entered", 400, "/IWBEP/CM_MGW_RT/023")
    return {name: _read(found.properties[name], value) for name, value in fields.items()}, inner


def _rows(name: str, value: Any) -> list[Fields]:
    rows = value.get("results") if isinstance(value, dict) else value
    if rows is None:
        return []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise refused(f"'{name}' is no list of entries", 400, "/IWCOR/CX_DS_EP_PROPERTY_ERROR")
    return rows


def _read(kind: Kind, value: Any) -> Any:
    """Read a value as version 2 writes it: amounts are texts, and a day is ``/Date(ms)/``."""
    if kind is Kind.DECIMAL and value is not None and not isinstance(value, str):
        raise refused("Amounts and quantities are texts in version 2", 400, "/IWCOR/CX_DS_EDM_FACET_ERROR")
    if kind is Kind.DATE and value is not None:
        return day_of(value)
    return value


def day_of(value: Any) -> str:
    """Read ``/Date(ms)/``."""
    text = str(value)
    if not text.startswith("/Date(") or not text.endswith(")/") or not text[6:-2].lstrip("-").isdigit():
        raise refused("A day is written as /Date(ms)/", 400, "/IWCOR/CX_DS_EDM_FACET_ERROR")
    return datetime.fromtimestamp(int(text[6:-2]) / 1000, UTC).date().isoformat()
