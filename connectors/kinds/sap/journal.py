"""Journal entries: read by their items, reversed by BAPI, changed by a message that is taken without an answer."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from connectors.base import Blocked, Record, Written
from connectors.kinds.sap import rfc
from connectors.kinds.sap.effects import number
from connectors.kinds.sap.settings import set_of

if TYPE_CHECKING:
    from connectors.kinds.sap.connector import Sap

ENTRY, ITEM = "JournalEntry", "JournalEntryItem"
SOAP_ACTION = "http://sap.com/xi/SAPSCORE/SFIN/JournalEntryBulkChangeRequest_In/JournalEntryBulkChangeRequest_InRequest"


def number_of(document: str) -> str:
    """Write a document number as functions take it: ten digits with leading zeros."""
    return document.zfill(10)


def key_of(args: Any) -> str:
    """Name a journal entry, whatever its leading zeros."""
    return f"{args.company}/{args.year}/{args.document.lstrip('0') or '0'}"


def items(sap: Sap, args: Any) -> list[Record]:
    """Fetch the items of a journal entry, by the names that this kind gives their fields."""
    service, entity = set_of(sap.settings.journal_set)
    fields = {"CompanyCode": args.company, "FiscalYear": args.year, "AccountingDocument": args.document}
    return [_item(sap, row) for row in sap.matching(service, entity, fields)]


def by_reference(sap: Sap, args: Any) -> list[Record]:
    """Fetch the items of all journal entries of a company and year that carry a reference."""
    service, entity = set_of(sap.settings.journal_set)
    named = {sap.settings.journal_reference_field: args.reference}
    rows = sap.matching(service, entity, {"CompanyCode": args.company, "FiscalYear": args.year, **named})
    return [_item(sap, row) for row in rows]


def _item(sap: Sap, row: Record) -> Record:
    parts = [row.fields.get(name) for name in ("AccountingDocument", "AccountingDocumentItem")]
    document, line = (str(part or "").lstrip("0") or "0" for part in parts)
    fields = {
        **row.fields,
        "PaymentBlockingReason": row.fields.get("PaymentBlockingReason") or "",
        "Reversed": row.fields.get(sap.settings.journal_reversed_field) in (True, "X", "true"),
    }
    key = f"{row.fields.get('CompanyCode')}/{row.fields.get('FiscalYear')}/{document}/{line}"
    return sap.versioned(Record(row.system, ITEM, key, row.version, fields, row.url))


def item(sap: Sap, args: Any) -> list[Record]:
    """Fetch the one item whose payment block is changed."""
    wanted = args.item.lstrip("0")
    return [row for row in items(sap, args) if row.key.rpartition("/")[2] == wanted]


def entry(sap: Sap, args: Any) -> list[Record]:
    """Fetch a journal entry as one record: what it is worth, and whether it is reversed."""
    rows = items(sap, args)
    if not rows:
        return []
    worth = sum((_debit(row) for row in rows), Decimal(0))
    fields = {
        "Reversed": all(row.fields["Reversed"] for row in rows),
        "Amount": str(worth),
        "Currency": rows[0].fields.get("TransactionCurrency") or "",
        "Items": len(rows),
    }
    return [sap.versioned(Record(sap.name, ENTRY, key_of(args), "", fields, "")), *rows]


def _debit(row: Record) -> Decimal:
    return max(number(row.fields.get("AmountInTransactionCurrency")), Decimal(0))


def reverse(sap: Sap, args: Any, effect_key: str) -> Written:
    """Reverse a posting of FI itself; what came from billing or invoice verification is cancelled there."""
    parameters = asked(sap, args)
    result = rfc.posted(sap, "BAPI_ACC_DOCUMENT_REV_POST", parameters, effect_key=effect_key)
    return Written(result=result, request_id=sap.trace.request_id)


def asked(sap: Sap, args: Any) -> dict[str, Any]:
    """Write what a reversal is asked for with. Raises ``Blocked`` where the connection has no logical system."""
    config = sap.settings
    if not config.logical_system:
        raise Blocked(f"{sap.name}: a reversal needs the logical system of the connection.", code="arguments")
    key = number_of(args.document) + args.company + args.year
    reversal = {
        "OBJ_TYPE": "BKPFF",
        "OBJ_SYS": config.logical_system,
        "OBJ_KEY": key,
        "OBJ_KEY_R": key,
        "COMP_CODE": args.company,
        "REASON_REV": args.reason,
    }
    if args.posting_date:
        reversal["PSTNG_DATE"] = args.posting_date.replace("-", "")
    return {"BUS_ACT": "RFBU", "REVERSAL": reversal, "RETURN": []}


def set_block(sap: Sap, args: Any, effect_key: str) -> Written:
    """Ask for another payment block. That it was taken says nothing: the item has to be read again."""
    config = sap.settings
    body = message(args, effect_key)
    headers = {"Content-Type": "text/xml; charset=utf-8", "Accept": "text/xml", "SOAPAction": f'"{SOAP_ACTION}"'}
    url = config.base_url + config.journal_change_path
    reply = sap.change("POST", url, "", raw=body, headers=headers, effect_key=effect_key)
    if reply.body.strip():
        # There is no answer to this message: what stands in its place may be a fault.
        rfc.taken(reply, sap.label)
    return Written(result={"taken": True, "message": message_id(effect_key)}, request_id=sap.trace.request_id)


def message_id(effect_key: str) -> str:
    """Make the id of a message of an effect key: the confirmation refers to it, and a repeat has the same."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"goldseam:{effect_key}").hex.upper()


def message(args: Any, effect_key: str) -> bytes:
    """Write the change of one item's payment block; without its flag nothing would change."""
    now, name = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), message_id(effect_key)
    head = "<MessageHeader><ID>{}</ID><CreationDateTime>{}</CreationDateTime></MessageHeader>"
    key = (
        f"<AccountingDocument>{number_of(args.document)}</AccountingDocument><CompanyCode>{escape(args.company)}"
        f"</CompanyCode><FiscalYear>{args.year}</FiscalYear>"
        f"<AccountingDocumentItemID>{args.item.zfill(3)}</AccountingDocumentItemID>"
    )
    change = (
        f"<PaymentBlockingReasonCode>{escape(args.block)}</PaymentBlockingReasonCode>"
        "<FieldValueChangeIsRequested>true</FieldValueChangeIsRequested>"
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:sfin="http://sap.com/xi/SAPSCORE/SFIN"><soapenv:Body><sfin:JournalEntryBulkChangeRequestMessage>'
        f"{head.format(name, now)}<JournalEntryDebtorCreditorItem>{head.format(name + '-1', now)}"
        f"<ItemKey>{key}</ItemKey><PaymentBlockingReasonCodeChange>{change}</PaymentBlockingReasonCodeChange>"
        "</JournalEntryDebtorCreditorItem></sfin:JournalEntryBulkChangeRequestMessage></soapenv:Body>"
        "</soapenv:Envelope>"
    ).encode()
