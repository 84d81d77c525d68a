"""What the simulated SAP system does when it is told to: changes, function imports, postings, and their messages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from connectors.simulator.fo.entities import COMPANY, ENTITY_SETS
from connectors.simulator.messages import Refusal
from connectors.simulator.sap import orders as sap_orders
from connectors.simulator.sap.tables import COMPANIES, SETS, SYSTEM, Set, decimal_text, get, nudge, put, refused
from connectors.simulator.store import SIDE_EFFECT, Fields, Record, Session

Act: TypeAlias = Callable[[Session, dict[str, str]], list[Fields]]


def locked(number: str, user: str) -> Refusal:
    """Say that somebody edits the document (wire: object lock)."""
    return refused(f"Sales document {number} is currently being processed by user {user}", 400, "V1/042")


def require_unlocked(session: Session, key: str) -> None:
    """Refuse while a person edits the document."""
    user = session.meta(f"sap:lock:{key}")
    if user:
        raise locked(key, user)


def require_open(session: Session, company: str, day: str) -> None:
    """Refuse to post into a closed period; the periods are those of F&O, for it is one business."""
    period = (day or datetime.now(UTC).date().isoformat())[:7]
    periods = ENTITY_SETS["FiscalPeriods"]
    key = periods.key_text({COMPANY: COMPANIES.get(company, company), "PeriodName": period})
    record = session.get("fo", periods.name, key)
    if record is not None and record.fields["Status"] == "Closed":
        raise refused(f"Posting period {period[5:].zfill(3)} {period[:4]} is not open", 400, "F5/201")


def patch(session: Session, found: Set, record: Record, body: Fields) -> Record:
    """Change the named properties; some may be, most may not."""
    require_unlocked(session, str(record.fields.get("SalesOrder") or record.key))
    if not found.updatable:
        raise refused(f"Update of entity set '{found.name}' is not supported", 405, "/IWFND/CM_MGW/004")
    for name in body:
        if name not in found.updatable:
            raise refused(f"Property '{name}' cannot be changed", 400, "/IWBEP/CM_MGW_RT/023")
    if found.name == "A_SalesOrderItemPrElement":
        return _reprice(session, record, body)
    if found is sap_orders.ITEM:
        return sap_orders.set_rejection(session, record, str(body["SalesDocumentRjcnReason"] or ""))
    return put(session, record, body, kind="update")


def _reprice(session: Session, record: Record, body: Fields) -> Record:
    """Change a rate; the condition's amount, the item and the order follow."""
    rate = Decimal(decimal_text(body["ConditionRateValue"], 3, "ConditionRateValue"))
    item = SETS["A_SalesOrderItem"]
    key = {name: record.fields[name] for name in item.keys}
    quantity = Decimal(get(session, item, key).fields["RequestedQuantity"])
    amount = Decimal(decimal_text(rate * quantity / (Decimal(record.fields["ConditionQuantity"]) or 1), 2))
    by = amount - Decimal(record.fields["ConditionAmount"])
    saved = put(session, record, {"ConditionRateValue": rate, "ConditionAmount": amount}, kind="update")
    nudge(session, item, key, "NetAmount", by)
    nudge(session, SETS["A_SalesOrder"], key, "TotalNetAmount", by)
    return saved


def release_credit_block(session: Session, given: dict[str, str]) -> list[Fields]:
    """Release an order's credit block; one that has none is refused (wire: release credit block)."""
    order = get(session, SETS["A_SalesOrder"], {"SalesOrder": given["SalesDocument"]})
    require_unlocked(session, order.key)
    if order.fields["TotalCreditCheckStatus"] != "B":
        raise refused(f"Sales document {order.key} is not blocked by credit management", 400, "UKM_O2C/025")
    put(session, order, {"TotalCreditCheckStatus": "D"}, kind="action:ReleaseCreditBlock")
    return [{"SalesDocument": order.fields["SalesOrder"]}]


def cancel_billing(session: Session, given: dict[str, str]) -> list[Fields]:
    """Cancel a billing document by one of its own; the answer is a collection (wire: cancel customer invoice)."""
    found = SETS["A_BillingDocument"]
    bill = get(session, found, {"BillingDocument": given["BillingDocument"]})
    require_unlocked(session, bill.key)
    if bill.fields["BillingDocumentIsCancelled"]:
        raise refused(f"Billing document {bill.key} has already been cancelled", 400, "VF/044")
    require_open(session, str(bill.fields["CompanyCode"]), "")
    put(session, bill, {"BillingDocumentIsCancelled": True}, kind="action:Cancel")
    number = str(session.next_number("sap:cancellation", 90_900_001))
    fields = {
        **bill.fields,
        "BillingDocument": number,
        "BillingDocumentType": "S1",
        "CancelledBillingDocument": bill.fields["BillingDocument"],
        "BillingDocumentIsCancelled": False,
        "LastChangeDateTime": session.time,
    }
    session.put(SYSTEM, found.name, found.key_text(fields), fields, kind=SIDE_EFFECT)
    return [{"BillingDocument": number, "SystemMessageType": "S", "SystemMessageIdentification": "VF"}]


def _supplier_invoice(session: Session, given: dict[str, str]) -> Record:
    key = {name: given[name] for name in ("SupplierInvoice", "FiscalYear")}
    record = get(session, SETS["A_SupplierInvoice"], key)
    require_unlocked(session, str(record.fields["SupplierInvoice"]))
    return record


def release_invoice(session: Session, given: dict[str, str]) -> list[Fields]:
    """Release a supplier invoice that is blocked for payment."""
    record = _supplier_invoice(session, given)
    if not record.fields["PaymentBlockingReason"]:
        raise refused(f"Invoice document {record.fields['SupplierInvoice']} is not blocked", 400, "M8/352")
    put(session, record, {"PaymentBlockingReason": ""}, kind="action:Release")
    return [{"Success": True}]


def cancel_invoice(session: Session, given: dict[str, str]) -> list[Fields]:
    """Cancel a supplier invoice by a reversal document."""
    record = _supplier_invoice(session, given)
    if record.fields["IsReversed"]:
        raise refused(f"Invoice document {record.fields['SupplierInvoice']} is already reversed", 400, "M8/358")
    day = given["PostingDate"].partition("T")[0]
    require_open(session, str(record.fields["CompanyCode"]), day)
    number = str(session.next_number("sap:invoice reversal", 5_190_000_001))
    changes = {"IsReversed": True, "ReverseDocument": number, "ReverseDocumentFiscalYear": day[:4]}
    put(session, record, changes, kind="action:Cancel")
    return [{"ReverseDocument": number, "FiscalYear": day[:4], "Success": True}]


# Function imports: what they are called with, all of it in the address (wire: function imports).
FUNCTIONS: dict[tuple[str, str], tuple[Act, set[str]]] = {
    ("API_SLS_DOC_WITH_CREDIT_BLOCK", "ReleaseCreditBlock"): (
        release_credit_block,
        {"SalesDocument", "SDDocumentCategory"},
    ),
    ("API_BILLING_DOCUMENT_SRV", "Cancel"): (cancel_billing, {"BillingDocument"}),
    ("API_SUPPLIERINVOICE_PROCESS_SRV", "Release"): (
        release_invoice,
        {"SupplierInvoice", "FiscalYear", "DiscountDaysHaveToBeShifted"},
    ),
    ("API_SUPPLIERINVOICE_PROCESS_SRV", "Cancel"): (
        cancel_invoice,
        {"SupplierInvoice", "FiscalYear", "ReversalReason", "PostingDate"},
    ),
}


def reverse_entry(session: Session, reversal: Fields) -> Fields:
    """Reverse a journal entry of FI itself (wire: FI reversal); refuses in the words of a RETURN table."""
    key = str(reversal.get("OBJ_KEY") or "")
    if len(key) != 18 or not key[:10].isdigit():
        raise refused("Document number is not valid", 400, "RW/609")
    document, company, year = key[:10].lstrip("0"), key[10:14], key[14:]
    rows = [
        row
        for row in session.records(SYSTEM, "A_OperationalAcctgDocItemCube")
        if (row.fields["CompanyCode"], row.fields["FiscalYear"], str(row.fields["AccountingDocument"]).lstrip("0"))
        == (company, year, document)
    ]
    if not rows:
        raise refused(f"Document {document} does not exist in company code {company}", 400, "F5/397")
    require_unlocked(session, document)
    if rows[0].fields["ReferenceDocumentType"] not in ("BKPF", "BKPFF"):
        raise refused("Reversal is not possible: the document was not created in accounting", 400, "F5A/067")
    if rows[0].fields["IsReversed"]:
        raise refused(f"Document {document} has already been reversed", 400, "F5/361")
    day = str(reversal.get("PSTNG_DATE") or "")
    # Without a day of its own a reversal is posted on that of the entry.
    require_open(session, company, f"{day[:4]}-{day[4:6]}-{day[6:]}" if day else rows[0].fields["PostingDate"] or "")
    number, posted = str(session.next_number("sap:reversal", 100_900_001)), day[:4] or year
    for index, row in enumerate(rows):
        changes = {"IsReversed": True, "ReverseDocument": number, "ReverseDocumentFiscalYear": posted}
        put(session, row, changes, kind="action:Reverse" if index == 0 else SIDE_EFFECT)
        _post_back(session, row, number, day)
    new = f"{int(number):010d}{company}{posted}"
    text = f"Document posted successfully: BKPFF {new} {reversal.get('OBJ_SYS', '')}"
    return {"OBJ_KEY": new, "RETURN": [{"TYPE": "S", "ID": "RW", "NUMBER": "605", "MESSAGE": text}]}


def _post_back(session: Session, row: Record, number: str, day: str) -> None:
    """Post one item of the reversal: the same account, the amount the other way round; each names the other."""
    found = SETS[row.entity]
    fields = {
        **row.fields,
        "AccountingDocument": number,
        "FiscalYear": day[:4] or row.fields["FiscalYear"],
        "PostingDate": f"{day[:4]}-{day[4:6]}-{day[6:]}" if day else row.fields["PostingDate"],
        "AmountInTransactionCurrency": decimal_text(-Decimal(row.fields["AmountInTransactionCurrency"]), 2),
        "ReverseDocument": row.fields["AccountingDocument"],
        "ReverseDocumentFiscalYear": row.fields["FiscalYear"],
        "IsReversed": False,
        "PaymentBlockingReason": "",
    }
    session.put(SYSTEM, found.name, found.key_text(fields), fields, kind=SIDE_EFFECT)


def set_payment_block(session: Session, key: dict[str, str], block: str) -> None:
    """Change the payment block of one item, as the message asked; an item that is not there changes nothing."""
    found = SETS["A_OperationalAcctgDocItemCube"]
    record = session.get(SYSTEM, found.name, found.key_text(key))
    if record is not None:
        put(session, record, {"PaymentBlockingReason": block}, kind="action:JournalEntryBulkChange")


def returned(refusal: Refusal) -> Fields:
    """Draw a refusal as a RETURN table: with the status 200 that says nothing (wire: BAPIs)."""
    message_class, _, number = refusal.code.rpartition("/")
    row: dict[str, Any] = {"TYPE": "E", "ID": message_class, "NUMBER": number, "MESSAGE": refusal.message}
    return {"RETURN": [row]}
