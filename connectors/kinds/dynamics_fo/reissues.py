"""Invoices issued anew: the wrong one is credited first, then the right one is posted; all three stay linked.

No such act comes with F&O: posting a corrected invoice is a bound action or a custom service of the environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field, StringConstraints

from connectors.base import (
    Change,
    Connector,
    NotFound,
    Observed,
    Record,
    Refused,
    Reversible,
    Risk,
    Undo,
    VersionConflict,
    Write,
    Written,
)
from connectors.kinds.dynamics_fo.effects import CUSTOMER, INVOICE, NOTE, Amount, cents, change, first, moved, the
from connectors.kinds.dynamics_fo.odata import COMPANY, NAMESPACE, address
from connectors.kinds.dynamics_fo.reads import InCompany, InvoiceKey, Mark, Money, Reason
from connectors.kit.rest import before_writing

if TYPE_CHECKING:
    from connectors.kinds.dynamics_fo.connector import DynamicsFO

CHAIN, LINE = "InvoiceChain", "SalesInvoiceLines"
NO_ETAG = "*"
Account = Annotated[str, StringConstraints(max_length=60, pattern=r"^[^*\r\n\t]*$")]


class ReissueArguments(InvoiceKey):
    """Issue a credited invoice anew, with one line at another price or billed to another account."""

    line: int = Field(default=0, ge=0, description="The line whose price was wrong; 0: none.")
    price: Annotated[Money, Field(ge=0)] = Field(default=Decimal(0), description="What it should have been.")
    customer: Account = Field(default="", description="The account to bill; empty: the one that was billed.")
    reason: Reason


class TakeBackArguments(InCompany):
    """Credit the invoice that was issued anew under a reference."""

    reference: Mark
    reason: Reason


# --- what is looked at -----------------------------------------------------------------------------
def _fo(connector: Connector) -> DynamicsFO:
    return cast("DynamicsFO", connector)


def chain_of(system: str, invoice: Record, documents: Sequence[Record]) -> Record:
    """Sum up an invoice, the credit notes for it and what replaces it; what was reversed does not count."""
    live = [row for row in documents if row.fields.get("IsReversed") != "Yes"]
    amounts = [(row, cents(row.fields.get("InvoiceAmount"))) for row in live]
    credited = -sum((amount for _, amount in amounts if amount < 0), Decimal(0))
    replacing = [(row, amount) for row, amount in amounts if amount > 0]
    reissued = sum((amount for _, amount in replacing), Decimal(0))
    billed = cents(invoice.fields["TotalInvoiceAmount"])
    fields = {
        "Billed": float(billed),
        "Credited": float(credited),
        "Reissued": float(reissued),
        "Net": float(billed - credited + reissued),
        "BilledTo": replacing[-1][0].fields.get("CustomerAccount") if replacing else "",
        "CreditNotes": ", ".join(str(row.fields["FreeTextNumber"]) for row, amount in amounts if amount < 0),
        "Replacements": ", ".join(str(row.fields["FreeTextNumber"]) for row, _ in replacing),
    }
    return Record(system, CHAIN, invoice.key, "", fields)


def _seen(fo: DynamicsFO, company: str, number: Any) -> list[Record]:
    """The invoice, what became of it, its lines and the documents that name it."""
    invoice = fo.look("invoice.get", company=company, invoice=number)
    if not invoice:
        return []
    key = {"company": company, "invoice": number}
    documents = fo.look("credit_notes.by_invoice", **key)
    lines = fo.look("invoice_lines.list", **key)
    return [invoice[0], chain_of(fo.name, invoice[0], documents), *lines, *documents]


def _reissued(connector: Connector, args: Any) -> list[Record]:
    fo = _fo(connector)
    records = _seen(fo, args.company, args.invoice)
    if not records:
        return []
    return [*records, *_customers(fo, args.company, _billed_to(args, records))]


def _customers(fo: DynamicsFO, company: str, account: Any) -> list[Record]:
    return fo.look("customer.get", company=company, customer=account) if account else []


def _taken_back(connector: Connector, args: Any) -> list[Record]:
    """The replacement, the invoice that it replaces with what became of it, and the customer."""
    fo = _fo(connector)
    found = [row for row in fo.notes(args.company, args.reference) if cents(row.fields.get("InvoiceAmount")) > 0]
    if not found:
        return []
    replaced = _seen(fo, args.company, found[0].fields["CorrectedInvoiceId"])
    others = [row for row in replaced if row.key != found[0].key]
    return [found[0], *others, *_customers(fo, args.company, found[0].fields.get("CustomerAccount"))]


# --- what is foreseen --------------------------------------------------------------------------------
def _billed_to(args: Any, records: Observed) -> str:
    return str(args.customer or the(records, INVOICE).fields.get("InvoiceCustomerAccountNumber") or "")


def total_of(args: Any, records: Observed) -> Decimal:
    """What the new invoice comes to: the old one with its line at the new price, taxed at the same rate."""
    invoice = the(records, INVOICE).fields
    total, tax = cents(invoice["TotalInvoiceAmount"]), cents(invoice.get("TotalTaxAmount"))
    net = total - tax
    if not args.line:
        return total
    lines = [row for row in records if row.entity == LINE and row.fields.get("LineNumber") == args.line]
    if not lines:
        raise NotFound(f"Invoice {args.invoice} has no line {args.line}.", status=404)
    worth = cents(Decimal(str(lines[0].fields["Quantity"])) * args.price)
    after = net - cents(lines[0].fields["LineAmount"]) + worth
    return after + (cents(tax * after / net) if net else Decimal(0))


def predict_reissue(args: Any, records: Observed) -> list[Change]:
    """The right invoice stands instead; once the wrong one is credited, what is billed is what is right."""
    chain, invoice, total = the(records, CHAIN), the(records, INVOICE).fields, total_of(args, records)
    to = _billed_to(args, records)
    # The credit goes first: what of it is still to come is in this balance already.
    rest = cents(invoice["TotalInvoiceAmount"]) - cents(invoice["CreditedAmount"])
    by = total - rest if to == invoice.get("InvoiceCustomerAccountNumber") else total
    return [
        change(chain, "Reissued", total),
        change(chain, "BilledTo", to),
        change(chain, "Net", total, side_effect=True),
        *moved(first(records, CUSTOMER), "OpenBalance", by),
    ]


def undo_reissue(args: Any, records: Observed, effect_key: str) -> Undo:
    """Credit the invoice that carries our key."""
    reason = f"Undo: {args.reason}"[:250]
    return Undo("reissue.reverse", {"company": args.company, "reference": effect_key, "reason": reason})


def amount_reissue(args: Any, records: Observed) -> Amount:
    """What is billed anew."""
    return str(total_of(args, records)), str(the(records, INVOICE).fields["CurrencyCode"])


def predict_take_back(args: Any, records: Observed) -> list[Change]:
    """The replacement is marked as reversed, and is billed no more."""
    replacement = the(records, NOTE)
    changes = [change(replacement, "IsReversed", "Yes")]
    if replacement.fields["IsReversed"] == "Yes":
        return changes
    amount, chain = cents(replacement.fields["InvoiceAmount"]), first(records, CHAIN)
    if chain is not None:
        changes.append(change(chain, "Reissued", cents(chain.fields["Reissued"]) - amount))
        changes.append(change(chain, "Net", cents(chain.fields["Net"]) - amount, side_effect=True))
    return [*changes, *moved(first(records, CUSTOMER), "OpenBalance", -amount)]


def undo_take_back(args: Any, records: Observed, effect_key: str) -> Undo | None:
    """What was billed anew and credited again is billed by a person."""
    return None


def amount_take_back(args: Any, records: Observed) -> Amount:
    """What the replacement was about."""
    fields = the(records, NOTE).fields
    return str(cents(fields["InvoiceAmount"])), str(fields["CurrencyCode"])


# --- what is looked for after an unknown outcome ------------------------------------------------------
def _find_reissue(connector: Connector, args: Any, effect_key: str) -> Written | None:
    found = _fo(connector).notes(args.company, effect_key)
    if not found:
        return None
    return Written(found[0].version, {"found_by": "reference", "invoice": found[0].fields.get("FreeTextNumber")})


def _find_take_back(connector: Connector, args: Any, effect_key: str) -> Written | None:
    mine = [row for row in _taken_back(connector, args) if row.fields.get("ReversalReference") == effect_key]
    return Written(mine[0].version, {"found_by": "reference"}) if mine else None


WRITES: tuple[Write, ...] = (
    Write(
        "invoice.reissue",
        ReissueArguments,
        "Issue a credited invoice anew",
        observe=_reissued,
        predict=predict_reissue,
        undo=undo_reissue,
        risk=Risk.HIGH,
        financial=True,
        reversible=Reversible.UNTIL_PERIOD_CLOSE,
        find=_find_reissue,
        amount=amount_reissue,
    ),
    Write(
        "reissue.reverse",
        TakeBackArguments,
        "Credit an invoice that was issued anew",
        observe=_taken_back,
        predict=predict_take_back,
        undo=undo_take_back,
        risk=Risk.HIGH,
        financial=True,
        reversible=Reversible.NO,
        find=_find_take_back,
        amount=amount_take_back,
    ),
)
ACTIONS = {"invoice.reissue": (INVOICE, "ReissueInvoice"), "reissue.reverse": (NOTE, "CreditFreeTextInvoice")}


# --- sending -------------------------------------------------------------------------------------------
def _body(args: Any, effect_key: str) -> dict[str, Any]:
    body: dict[str, Any] = {"Reason": args.reason, "Reference": effect_key}
    if isinstance(args, ReissueArguments):
        if args.line:
            body |= {"LineNumber": args.line, "SalesPrice": float(args.price)}
        if args.customer:
            body["InvoiceAccount"] = args.customer
    return body


def _target(fo: DynamicsFO, operation: Write, args: Any, version: str) -> Record:
    """Read what is written to, in the version that was seen. Raises ``NotFound``, ``VersionConflict``, ``Refused``."""
    found = operation.observe(fo, args)
    if not found:
        raise NotFound(f"{fo.label} has no record for {operation.name}.", status=404)
    target = found[0]
    if version not in ("", NO_ETAG, target.version):
        raise VersionConflict(f"{target.entity} {target.key} was changed by someone.", status=412)
    if operation.name == "invoice.reissue":
        left = cents(target.fields["TotalInvoiceAmount"]) - cents(target.fields["CreditedAmount"])
        if left:
            told = f"{left} of invoice {args.invoice} is not credited: credit it first, or the customer owes twice."
            raise Refused(f"{fo.label}: {told}", status=409, code="order")
    return target


def send(fo: DynamicsFO, operation: Write, args: Any, *, service: str, effect_key: str, version: str) -> Written:
    """Post by the environment's bound action, or by the custom service that the connection names for it."""
    with before_writing():
        target = _target(fo, operation, args, version)
    body, root = _body(args, effect_key), fo.settings.environment_url
    if service:
        field = "InvoiceNumber" if target.entity == INVOICE else "FreeTextNumber"
        body |= {"company": args.company, "invoiceId": target.fields[field]}
        reply = fo.send("POST", f"{root}/api/services/{service}", json=body, effect_key=effect_key)
        fo.content(reply)
        return Written(result={"service": service}, request_id=fo.trace.request_id)
    entity, action = ACTIONS[operation.name]
    key: Mapping[str, Any] = {COMPANY: args.company, **target.fields}
    url = f"{root}/data/{address(entity, key)}/{NAMESPACE}.{action}"
    headers = {"If-Match": version or NO_ETAG}
    params = {"cross-company": "true"}
    reply = fo.send("POST", url, params=params, json=body, headers=headers, effect_key=effect_key)
    value = fo.content(reply)
    said = {"invoice": value["value"]} if isinstance(value, dict) and "value" in value else {}
    return Written(result=said, request_id=fo.trace.request_id)
