"""Outbound Messages: one SOAP envelope with up to a hundred records, acknowledged as a whole."""

from typing import Any
from xml.etree.ElementTree import Element

from connectors.base import HookAnswer, Inbound, Refused
from connectors.kinds.salesforce import soql, told
from connectors.kinds.salesforce.arguments import full_id
from connectors.kinds.salesforce.settings import SalesforceConfig
from connectors.wire import xmltext

MOST = 100
_SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
_OUTBOUND = "{http://soap.sforce.com/2005/09/outbound}"
_FIELD = "{urn:sobject.enterprise.soap.sforce.com}"
_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
# One word for the whole message: an empty 200 would count as a failure, and it would come again for a day.
ACKNOWLEDGED = HookAnswer(
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse>'
    b"</soapenv:Body></soapenv:Envelope>",
    "text/xml; charset=utf-8",
)


def looks_like(body: bytes) -> bool:
    """Tell XML from JSON by its first letter."""
    return body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def inbound(body: bytes, settings: SalesforceConfig) -> list[Inbound]:
    """Cut an envelope into its records. Raises ``Refused`` where it is none, or another organization's.

    Nothing but the records is kept: the session id, which Salesforce may send along, is never read.
    """
    message = _message(body)
    organization = message.findtext(f"{_OUTBOUND}OrganizationId", "").strip()
    if settings.organization_id and organization[:15] != settings.organization_id[:15]:
        raise Refused("This message is not of the organization of this connection.", status=401, code="organization")
    found = message.findall(f"{_OUTBOUND}Notification")
    if not found:
        raise Refused("The message holds no notification.", status=400, code="empty")
    if len(found) > MOST:
        raise Refused(f"At most {MOST} notifications at once.", status=413, code="too_many")
    return [_notification(part, f"Notification {number}", settings) for number, part in enumerate(found, 1)]


def _message(body: bytes) -> Element:
    try:
        root = xmltext.parsed(body)
    except xmltext.BadXml as bad:
        raise Refused(f"This is no outbound message: {bad}.", status=400, code="malformed") from None
    message = root.find(f"{_SOAP}Body/{_OUTBOUND}notifications") if root.tag == f"{_SOAP}Envelope" else None
    if message is None:
        raise Refused("This is no outbound message: it holds no notifications.", status=400, code="shape")
    return message


def _notification(part: Element, where: str, settings: SalesforceConfig) -> Inbound:
    identifier = part.findtext(f"{_OUTBOUND}Id", "").strip()
    record = part.find(f"{_OUTBOUND}sObject")
    # The prefix in front of the type may be any: only one schema names types here.
    entity = "" if record is None else record.get(f"{_XSI}type", "").strip().rpartition(":")[2]
    fields = {} if record is None else _fields(record)
    key = fields.get("Id")
    if not told.ID.match(identifier) or not told.OBJECT.match(entity):
        raise Refused(f"{where} has no id or no type.", status=400, code="shape")
    if not isinstance(key, str) or not told.ID.match(key):
        raise Refused(f"{where} does not name its record.", status=400, code="shape")
    reading, about = settings.readable(entity), {"notification": identifier}
    payload = told.payload(entity, key, fields=fields, form="outbound message", reading=reading, about=about)
    at = soql.moment_of(fields.get("SystemModstamp")) or soql.moment_of(fields.get("LastModifiedDate"))
    identity = f"{entity}:{full_id(key)}:{identifier}"
    return Inbound(told.external_id(entity, key, identity), f"record:{entity}", payload, at)


def _fields(record: Element) -> dict[str, Any]:
    """Return a record's fields; what is not there is empty, and what stands twice is a list."""
    fields: dict[str, Any] = {}
    for part in record:
        if not str(part.tag).startswith(_FIELD):
            continue
        name, value = xmltext.local(part), _value(part)
        fields[name] = [*_several(fields[name]), value] if name in fields else value
    return fields


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _value(part: Element) -> Any:
    if part.get(f"{_XSI}nil") in ("true", "1"):
        return None
    if len(part):
        return {xmltext.local(inner): _value(inner) for inner in part}
    return xmltext.clean(part.text or "")
