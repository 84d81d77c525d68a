"""The IDocs that the simulated SAP system sends: XML over HTTP for orders and bills that come or change.

Facts (wire: sap, IDoc XML over HTTP): the root is the basic type, the control record EDI_DC40 stands first, DIRECT 1 is
outbound; E1EDK01, E1EDKA1, E1EDK02 and E1EDS01 are header, partner, reference and total. A minus stands behind its
amount. Duplicates are possible and carry the same DOCNUM. ORDERS05 and INVOIC02 are the basic types whose segments are
known there; which message type an installation sends for a changed order is its own customizing.
"""

from __future__ import annotations

from decimal import Decimal
from xml.sax.saxutils import escape

from connectors.simulator.news import Change, Message
from connectors.simulator.store import Fields

SENDER, PORT, RECEIVER = "S4DCLNT100", "SAPS4D", "GOLDSEAM"
CLIENT = "100"
# Set of records → basic type, message type, its number's field.
TYPES = {
    "A_SalesOrder": ("ORDERS05", "ORDERS", "SalesOrder"),
    "A_BillingDocument": ("INVOIC02", "INVOIC", "BillingDocument"),
}


def message_of(change: Change) -> Message | None:
    """Write the IDoc of a document that came or is another now; ``None`` where none is sent."""
    if change.entity not in TYPES or change.after is None:
        return None
    # Sixteen digits that the same change always has: a number of its own would not outlive a crash before it is noted.
    number = f"{change.uuid('idoc').int % 10**16:016d}"
    headers = {"Content-Type": "text/xml; charset=utf-8"}
    return Message(number, written(change, number).encode(), headers)


def written(change: Change, number: str) -> str:
    """Write the XML."""
    basic, kind, key = TYPES[change.entity]
    made = change.time.replace("-", "").replace(":", "")
    control = {
        "TABNAM": "EDI_DC40", "MANDT": CLIENT, "DOCNUM": number, "DIRECT": "1", "IDOCTYP": basic, "MESTYP": kind,
        "SNDPOR": PORT, "SNDPRT": "LS", "SNDPRN": SENDER, "RCVPOR": RECEIVER, "RCVPRT": "LS", "RCVPRN": RECEIVER,
        "CREDAT": made[:8], "CRETIM": made[9:15],
    }  # fmt: skip
    record = change.record
    segments = [
        ("EDI_DC40", control),
        ("E1EDK01", {"CURCY": record["TransactionCurrency"], "BELNR": str(record[key]).zfill(10)}),
        ("E1EDKA1", {"PARVW": "AG", "PARTN": str(record["SoldToParty"]).zfill(10)}),
        *_reference(record),
        ("E1EDS01", {"SUMID": "010", "SUMME": _amount(str(record["TotalNetAmount"]))}),
    ]
    body = "".join(_segment(name, fields) for name, fields in segments)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{basic}><IDOC BEGIN="1">{body}</IDOC></{basic}>\n'


def _reference(record: Fields) -> list[tuple[str, Fields]]:
    reference = record.get("PurchaseOrderByCustomer") or record.get("DocumentReferenceID")
    return [("E1EDK02", {"QUALF": "001", "BELNR": reference})] if reference else []


def _segment(name: str, fields: Fields) -> str:
    inner = "".join(f"<{field}>{escape(str(value))}</{field}>" for field, value in fields.items())
    return f'<{name} SEGMENT="1">{inner}</{name}>'


def _amount(text: str) -> str:
    """Write an amount with its minus behind it."""
    return f"{abs(Decimal(text))}-" if Decimal(text) < 0 else text
