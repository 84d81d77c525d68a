"""Outbound Messages of the simulated org, sent where and when somebody wishes it (wire: outbound messages)."""

from __future__ import annotations

import hashlib
import http.client
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from connectors.simulator.messages import Refusal
from connectors.simulator.salesforce import sobjects
from connectors.simulator.store import Fields, Record, Store

ORGANIZATION = "00Dgs0000000001EAA"
ACTION = "04kgs0000000001AAA"
MOST = 100
ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n <soapenv:Body>\n'
    '  <notifications xmlns="http://soap.sforce.com/2005/09/outbound">\n'
    "   <OrganizationId>{organization}</OrganizationId>\n   <ActionId>{action}</ActionId>\n   {session}\n"
    "{notifications}\n  </notifications>\n </soapenv:Body>\n</soapenv:Envelope>\n"
)


def tell(store: Store, wish: Fields) -> Fields:
    """Send a message about the records that ``wish`` names to ``wish["url"]``; say what came back.

    The data is the record as it stands at sending time. The id of a notification follows from the record's version:
    the same wish again is a redelivery. An answer without the acknowledgement counts as a failure, whatever its status.
    """
    entity, keys, url = str(wish.get("entity") or "Case"), wish.get("keys"), str(wish.get("url") or "")
    if not isinstance(keys, list) or not 0 < len(keys) <= MOST:
        raise Refusal(400, f"'keys' must be a list of 1 to {MOST} ids.")
    if urlsplit(url).scheme not in ("http", "https"):
        raise Refusal(400, "'url' must be the address of a hook.")
    sobject = sobjects.sobject_named(entity)
    with store.read() as session:
        records = [sobjects.get(session, sobject, str(key)) for key in keys]
    status, body = post(url, message(records, session_id=str(wish.get("session") or "")))
    return {"status": status, "acknowledged": acknowledged(status, body)}


def acknowledged(status: int, body: bytes) -> bool:
    """Tell whether a whole message was taken: a 200 without the word for it counts as a failure."""
    return status == 200 and b"<Ack>true</Ack>" in body


def message(records: list[Record], *, session_id: str = "") -> bytes:
    """Write one envelope with a notification for each record; a session id only where it was switched on."""
    session = f"<SessionId>{escape(session_id)}</SessionId>" if session_id else '<SessionId xsi:nil="true"/>'
    notifications = "\n".join(_notification(record) for record in records)
    text = ENVELOPE.format(organization=ORGANIZATION, action=ACTION, session=session, notifications=notifications)
    return text.encode()


def notification_id(record: Record) -> str:
    """Return the id of the notification about a record as it stands: of one version it is the same each time."""
    version = hashlib.sha256(f"{record.key}:{record.fields.get('SystemModstamp')}".encode()).hexdigest()[:12]
    return sobjects.full_id(f"04l{version}")


def _notification(record: Record) -> str:
    told = {name: value for name, value in record.fields.items() if value is not None}  # an empty field is left out
    fields = "".join(f"<sf:{name}>{_text(value)}</sf:{name}>" for name, value in told.items())
    return (
        f"   <Notification><Id>{notification_id(record)}</Id>"
        f'<sObject xsi:type="sf:{record.entity}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">'
        f"{fields}</sObject></Notification>"
    )


def _text(value: Any) -> str:
    """Write a value as SOAP does: small booleans, and times that end in Z."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return escape(f"{text[:-5]}Z" if text.endswith("+0000") else text)


def post(url: str, body: bytes) -> tuple[int, bytes]:
    """Send a message; answers status and body. Raises ``Refusal`` where nobody takes it."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=10)
    try:
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
        connection.request("POST", parts.path, body=body, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(100_000)
    except (OSError, http.client.HTTPException) as failure:
        raise Refusal(502, f"Nobody took the message: {type(failure).__name__}") from None
    finally:
        connection.close()
