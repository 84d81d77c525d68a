"""What the simulated SAP system does later: messages without an answer, and IDocs on their way to 53 or 51."""

from __future__ import annotations

import time
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from connectors.simulator.messages import Exchange, Refusal
from connectors.simulator.sap.acts import set_payment_block
from connectors.simulator.sap.tables import SETS, SYSTEM, refused
from connectors.simulator.store import Fields, Record, Session, Store

QUEUE = "~queue"
WAITING, POSTED, FAILED = "64", "53", "51"


def local(element: Element) -> str:
    """Give an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def texts(element: Element) -> dict[str, str]:
    """Give every text below an element by its name; the last one wins."""
    return {local(part): (part.text or "").strip() for part in element.iter() if not len(part)}


def read_xml(body: bytes) -> Element:
    """Read a request's XML, or refuse."""
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        raise refused("The request is no well-formed XML.", 400, "SOAP/001") from None
    return root


def take_change(session: Session, body: bytes, effect_key: str | None) -> None:
    """Take a journal entry change; nothing is said of what becomes of it (wire: one-way)."""
    root = read_xml(body)
    items = [part for part in root.iter() if local(part) == "JournalEntryDebtorCreditorItem"]
    if not items:
        raise refused("The message holds no item.", 500, "SOAP/002")
    for item in items:
        found = texts(item)
        if found.get("FieldValueChangeIsRequested") != "true":
            continue  # without its flag nothing changes
        key = {
            "CompanyCode": found.get("CompanyCode", ""),
            "FiscalYear": found.get("FiscalYear", ""),
            "AccountingDocument": found.get("AccountingDocument", ""),
            "AccountingDocumentItem": found.get("AccountingDocumentItemID", ""),
        }
        _queue(session, "block", {**key, "block": found.get("PaymentBlockingReasonCode", "")}, effect_key)


def take_idoc(session: Session, body: bytes, effect_key: str | None) -> str:
    """Take an IDoc: received, not posted. Its number is drawn here, whatever the sender wrote."""
    root = read_xml(body)
    control = next((part for part in root.iter() if local(part) == "EDI_DC40"), None)
    if control is None:
        raise refused("No control record EDI_DC40.", 400, "E0/061")
    found, data = texts(control), texts(root)
    number = f"{session.next_number('sap:idoc', 900_001):016d}"
    status = SETS["IDocSet"]
    fields = status.complete(
        {
            "DocumentNumber": number,
            "MessageType": found.get("MESTYP", ""),
            "Status": WAITING,
            "StatusText": "IDoc ready to be transferred to application",
            "ArchiveKey": found.get("ARCKEY", ""),
            "SenderAddress": found.get("SNDLAD", ""),
        }
    )
    session.put(SYSTEM, status.name, status.key_text(fields), fields, kind="create")
    _queue(session, "idoc", {"number": number, "belnr": data.get("BELNR", "")}, effect_key)
    return number


def _queue(session: Session, kind: str, payload: Fields, effect_key: str | None) -> None:
    due = time.time() + float(session.meta("sap:delay", "0"))
    number = session.next_number("sap:queue", 1)
    fields = {"due": due, "kind": kind, "payload": payload, "effect_key": effect_key, "done": False}
    session.put(SYSTEM, QUEUE, f"{number:09d}", fields, kind=None)


def process(exchange: Exchange | None, store: Store, *, everything: bool = False) -> int:
    """Do what is due, each in a transaction of its own; says how much there was."""
    with store.read() as session:
        waiting = [row for row in session.records(SYSTEM, QUEUE) if not row.fields["done"]]
    due = [row for row in waiting if everything or row.fields["due"] <= time.time()]
    for row in due:
        with store.write(row.fields["effect_key"]) as session:
            _do(session, row)
            session.put(SYSTEM, QUEUE, row.key, {**row.fields, "done": True}, kind=None)
    if exchange is not None and any(row.fields["effect_key"] == exchange.effect_key for row in due):
        exchange.committed = True
    return len(due)


def _do(session: Session, row: Record) -> None:
    payload: dict[str, Any] = dict(row.fields["payload"])
    if row.fields["kind"] == "block":
        block = str(payload.pop("block"))
        set_payment_block(session, payload, block)
        return
    status = SETS["IDocSet"]
    record = session.get(SYSTEM, status.name, status.key_text({"DocumentNumber": payload["number"]}))
    if record is None:
        return
    try:
        text, state = _post(session, str(payload["belnr"])), POSTED
    except Refusal as refusal:
        text, state = refusal.message, FAILED
    session.put(
        SYSTEM, status.name, record.key, {**record.fields, "Status": state, "StatusText": text}, kind="side_effect"
    )


def _post(session: Session, number: str) -> str:
    """Post an IDoc's document: it must speak of an order that there is."""
    order = SETS["A_SalesOrder"]
    if number and session.get(SYSTEM, order.name, order.key_text({"SalesOrder": number})) is None:
        raise refused(f"Sales document {number} is not in the database", 400, "V1/302")
    return "Application document posted"
