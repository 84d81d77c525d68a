"""IDocs as XML over HTTP: what SAP sends, cut into what it tells."""

import re
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element

from connectors.base import Inbound, Refused
from connectors.kinds.sap import xmltext
from connectors.kinds.sap.settings import SapConfig

CONTROL = "EDI_DC40"
MOST_IDOCS = 500
OUTBOUND = "1"  # out of SAP: towards us
# SAP writes the minus of an amount behind it.
_NEGATIVE = re.compile(r"(\d+(?:\.\d+)?)-\Z")
_NUMBER = re.compile(r"\d{1,16}\Z")


def inbound(body: bytes, settings: SapConfig) -> list[Inbound]:
    """Cut a body into its IDocs. Raises ``Refused`` where it is none, or another partner's."""
    try:
        root = xmltext.parsed(body)
    except xmltext.BadXml as bad:
        raise Refused(f"This is no IDoc: {bad}.", status=400, code="malformed") from None
    found = [part for part in root if xmltext.local(part) == "IDOC"]
    if not found:
        raise Refused(f"This is no IDoc: {xmltext.local(root)[:40]} has no IDOC.", status=400, code="shape")
    if len(found) > MOST_IDOCS:
        raise Refused(f"At most {MOST_IDOCS} IDocs at once.", status=413, code="too_many")
    return [_idoc(part, f"IDoc {number}", settings) for number, part in enumerate(found, 1)]


def _idoc(element: Element, where: str, settings: SapConfig) -> Inbound:
    first = next(iter(element), None)
    if first is None or xmltext.local(first) != CONTROL:
        raise Refused(f"{where} does not begin with {CONTROL}.", status=400, code="shape")
    control = {xmltext.local(part): xmltext.clean((part.text or "").strip()) for part in first}
    for name in ("DOCNUM", "MESTYP", "SNDPRN"):
        if not 0 < len(control.get(name, "")) <= 60:
            raise Refused(f"{where} has no {name}.", status=400, code="shape")
    if not _NUMBER.match(control["DOCNUM"]):
        raise Refused(f"{where}: DOCNUM is no number.", status=400, code="shape")
    if control.get("DIRECT") != OUTBOUND:
        raise Refused(f"{where} is not on its way out of SAP.", status=400, code="direction")
    if settings.idoc_sender and control["SNDPRN"] != settings.idoc_sender:
        raise Refused(f"{where} is of another sender.", status=401, code="partner")
    if settings.client and control.get("MANDT", settings.client) != settings.client:
        raise Refused(f"{where} is of another client.", status=401, code="client")
    payload = {**control, "DOCNUM": control["DOCNUM"].lstrip("0") or "0", "segments": _segments(list(element)[1:])}
    identity = ":".join((control["SNDPRN"], control.get("MANDT", ""), control["DOCNUM"].zfill(16)))
    return Inbound(identity, control["MESTYP"], payload, _created(control))


def _segments(elements: list[Element]) -> dict[str, list[dict[str, Any]]]:
    """Return segments by name, each with its fields and, by their names, the segments inside it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for element in elements:
        found.setdefault(xmltext.local(element), []).append(_fields(element))
    return found


def _fields(element: Element) -> dict[str, Any]:
    inner = [part for part in element if len(part) or part.get("SEGMENT")]
    fields: dict[str, Any] = {xmltext.local(part): _text(part) for part in element if part not in inner}
    return {**fields, **_segments(inner)}


def _text(element: Element) -> str:
    text = xmltext.clean((element.text or "").strip())
    negative = _NEGATIVE.match(text)
    return f"-{negative[1]}" if negative else text


def _created(control: dict[str, str]) -> datetime | None:
    """Return when the IDoc was made. It is told in the system's own time, taken for UTC: nothing says which."""
    try:
        return datetime.strptime(control.get("CREDAT", "") + control.get("CRETIM", ""), "%Y%m%d%H%M%S").replace(
            tzinfo=UTC
        )
    except ValueError:
        return None
