"""How each write of SAP goes out: the condition, the body or parameters, and what its answer means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from connectors.base import NotFound, Record, Refused, VersionConflict, Write, Written
from connectors.kinds.sap import journal, odata, order_sending, outgoing
from connectors.kinds.sap.client import READ
from connectors.kinds.sap.settings import BILLING, CREDIT, SALES, SUPPLIER, listed
from connectors.kit.rest import before_writing

if TYPE_CHECKING:
    from connectors.kinds.sap.connector import Sap

CLOSED = (
    "The period of the posting date is closed and nothing was posted: have finance open it, or plan again with a"
    " posting date in an open period."
)
_FIELDS = {
    "order.set_delivery_block": ("DeliveryBlockReason", "block"),
    "order.set_billing_block": ("HeaderBillingBlockReason", "block"),
    "order.set_shipping": ("ShippingCondition", "condition"),
}


@dataclass(frozen=True)
class Use:
    """One use of a write: on which line, with what, under which key, for which version."""

    sap: Sap
    operation: Write
    args: Any
    effect_key: str
    version: str

    def seen(self) -> list[Record]:
        """Read the records afresh and hold the first against the version that was seen. Raises ``VersionConflict``."""
        label = self.sap.label
        with before_writing():
            records = self.operation.observe(self.sap, self.args)
        if not records:
            raise NotFound(f"{label} has no record for {self.operation.name}.", status=404)
        if self.version and records[0].version != self.version:
            raise VersionConflict(f"{label}: {records[0].key} was changed after it was read.", status=412)
        return records

    def patch(
        self, entity: str, key: Mapping[str, Any], body: Mapping[str, Any], version: str, *, once: bool = True
    ) -> Written:
        """Change fields of one record; a version that is no ETag was compared already and is not sent.

        Without ``once`` the same key changes several records, so SAP is not to take the second for a repeat.
        """
        root = self.sap.root_of(self.sap.service(SALES))
        headers = {"Content-Type": odata.JSON, **(self.sap.repeatable(self.effect_key) if once else {})}
        if version and not version.startswith(READ):
            headers["If-Match"] = version
        url = f"{root}/{odata.address(entity, key)}"
        reply = self.sap.change("PATCH", url, root, json=dict(body), headers=headers, effect_key=self.effect_key)
        return Written(reply.headers.get("etag", ""), self.sap.said(reply), self.sap.trace.request_id)

    def function(self, service: str, name: str, parameters: Mapping[str, str]) -> Written:
        """Call a function import: its parameters stand in the address, never in the body."""
        root = self.sap.root_of(self.sap.service(service))
        headers = self.sap.repeatable(self.effect_key)
        reply = self.sap.change(
            "POST", f"{root}/{name}", root, params=parameters, headers=headers, effect_key=self.effect_key
        )
        return Written(result=self.sap.said(reply), request_id=self.sap.trace.request_id)


def send(sap: Sap, operation: Write, args: Any, *, effect_key: str, version: str) -> Written:
    """Send one change in the way that its operation needs; of a closed period it is said what can be done."""
    try:
        return SENDERS[operation.name](Use(sap, operation, args, effect_key, version))
    except Refused as refused:
        if refused.code.upper() not in listed(sap.settings.closed_period_codes.upper()):
            raise
        raise Refused(f"{refused} {CLOSED}", status=refused.status, code=refused.code) from None


def _order(use: Use) -> Written:
    field, argument = _FIELDS[use.operation.name]
    # An order is never changed without a condition: without a version, what stands now may be overwritten.
    version = use.version or use.seen()[0].version
    return use.patch("A_SalesOrder", {"SalesOrder": use.args.order}, {field: getattr(use.args, argument)}, version)


def _release(use: Use) -> Written:
    use.seen()
    parameters = {
        "SalesDocument": odata.literal(use.args.order),
        "SDDocumentCategory": odata.literal(use.args.category),
    }
    return use.function(CREDIT, "ReleaseCreditBlock", parameters)


def _rate(use: Use) -> Written:
    condition = use.seen()[0]
    key = {name: condition.fields[name] for name in odata.KEYS["A_SalesOrderItemPrElement"]}
    body = {"ConditionRateValue": format(Decimal(use.args.rate), "f")}
    return use.patch("A_SalesOrderItemPrElement", key, body, condition.version)


def _cancel(use: Use) -> Written:
    use.seen()
    return use.function(BILLING, "Cancel", {"BillingDocument": odata.literal(use.args.billing)})


def _invoice_key(args: Any) -> dict[str, str]:
    return {"SupplierInvoice": odata.literal(args.invoice), "FiscalYear": odata.literal(args.year)}


def _invoice_cancel(use: Use) -> Written:
    use.seen()
    named = {"ReversalReason": odata.literal(use.args.reason), "PostingDate": odata.day_literal(use.args.posting_date)}
    return use.function(SUPPLIER, "Cancel", {**_invoice_key(use.args), **named})


def _invoice_release(use: Use) -> Written:
    use.seen()
    named = {"DiscountDaysHaveToBeShifted": odata.literal(use.args.shift_discount_days)}
    return use.function(SUPPLIER, "Release", {**_invoice_key(use.args), **named})


def _reverse(use: Use) -> Written:
    use.seen()
    return journal.reverse(use.sap, use.args, use.effect_key)


def _block(use: Use) -> Written:
    use.seen()
    return journal.set_block(use.sap, use.args, use.effect_key)


SENDERS: dict[str, Callable[[Use], Written]] = {
    **dict.fromkeys(_FIELDS, _order),
    "credit_block.release": _release,
    "condition.set_rate": _rate,
    "billing.cancel": _cancel,
    "supplier_invoice.cancel": _invoice_cancel,
    "supplier_invoice.release": _invoice_release,
    "journal.reverse": _reverse,
    "payment_block.set": _block,
    "idoc.send": lambda use: outgoing.send(use.sap, use.args, use.effect_key),
    **order_sending.SENDERS,
}
