"""RFC-enabled functions over HTTP: called, judged by their RETURN table, and committed in the same session.

A function answers 200 although the business act failed; without BAPI_TRANSACTION_COMMIT nothing is saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.base import Blocked, ConnectorError, Locked, Refused, Unanswered, Unreachable
from connectors.kinds.sap import xmltext
from connectors.kinds.sap.settings import Style
from connectors.kit.rest import before_writing
from connectors.kit.sessions import Session
from connectors.transport import Reply

if TYPE_CHECKING:
    from connectors.kinds.sap.client import SapClient

COMMIT, ROLLBACK = "BAPI_TRANSACTION_COMMIT", "BAPI_TRANSACTION_ROLLBACK"
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"


@dataclass(frozen=True)
class Message:
    """One row of a RETURN table."""

    type: str
    code: str  # class and number, such as F5/201
    text: str

    @property
    def failed(self) -> bool:
        """Tell whether it says that the act was not done."""
        return self.type in ("E", "A", "X")


def fresh(sap: SapClient) -> Session:
    """Open a session of its own: a commit saves all that was done in one."""
    session, config = Session(), sap.settings
    if config.rfc_csrf:
        with before_writing():
            sap.renew(session, config.base_url + config.rfc_root)
    return session


def invoke(
    sap: SapClient,
    function: str,
    parameters: Mapping[str, Any],
    *,
    effect_key: str = "",
    session: Session | None = None,
) -> dict[str, Any]:
    """Call one function and return what it exports. Raises ``ConnectorError``.

    In a session that is given the token is not renewed: what was done in the old one would be lost unseen.
    """
    config = sap.settings
    root = config.base_url + config.rfc_root if config.rfc_csrf and session is None else ""
    session = session or fresh(sap)
    url = config.base_url + config.rfc_path.replace("{function}", function)
    headers: dict[str, str] = {}
    if config.rfc_session_header:
        name, _, value = config.rfc_session_header.partition(": ")
        headers[name] = value
    if config.rfc_style is Style.JSON:
        reply = sap.change(
            "POST", url, root, json=dict(parameters), headers=headers, effect_key=effect_key, session=session
        )
        answer = sap.content(reply)
        if not isinstance(answer, dict):
            raise Unanswered(f"{sap.label} answered {function} with something that is no result.", code="shape")
        return answer
    headers |= {"Content-Type": "text/xml; charset=utf-8", "Accept": "text/xml", "SOAPAction": f'"{function}"'}
    body = envelope(function, parameters, config.rfc_namespace)
    reply = sap.change("POST", url, root, raw=body, headers=headers, effect_key=effect_key, session=session)
    return exported(reply, function, sap.label)


def envelope(function: str, parameters: Mapping[str, Any], namespace: str) -> bytes:
    """Write a call as SOAP. Raises ``Blocked``: some letters no XML carries."""
    try:
        inner = "".join(xmltext.written(name, value) for name, value in parameters.items())
    except xmltext.BadXml as bad:
        raise Blocked(f"{function}: {bad}.", code="arguments") from None
    return (
        f'<?xml version="1.0" encoding="utf-8"?><soapenv:Envelope xmlns:soapenv="{_SOAP}"><soapenv:Body>'
        f'<f:{function} xmlns:f="{namespace}">{inner}</f:{function}></soapenv:Body></soapenv:Envelope>'
    ).encode()


def exported(reply: Reply, function: str, label: str) -> dict[str, Any]:
    """Read a SOAP answer. Raises ``Unanswered`` where it is none, ``Refused`` for a fault that says so with 200."""
    try:
        root = xmltext.parsed(reply.body)
    except xmltext.BadXml as bad:
        raise Unanswered(f"{label} answered {function} with {bad}.", status=reply.status, code="xml") from None
    body = next((part for part in root if xmltext.local(part) == "Body"), None)
    answer = next(iter(body), None) if body is not None else None
    if xmltext.local(root) != "Envelope" or answer is None:
        raise Unanswered(f"{label} answered {function} with no envelope.", status=reply.status, code="shape")
    name, found = xmltext.local(answer), xmltext.value_of(answer)
    if name == "Fault":
        text = str(found.get("faultstring") if isinstance(found, dict) else found)[:500]
        raise Refused(f"{label}: {text}", status=reply.status, code="fault")
    if not _of(name, function):
        raise Unanswered(f"{label} answered {function} with {name[:60]}.", status=reply.status, code="shape")
    if name.upper().endswith("EXCEPTION"):
        raise Refused(f"{label}: {function}: {str(found)[:300]}", status=reply.status, code="exception")
    return found if isinstance(found, dict) else {}


def taken(reply: Reply, label: str) -> None:
    """Hold what came in the place of no answer: a fault is a refusal, a page no word of SAP's."""
    try:
        root = xmltext.parsed(reply.body)
    except xmltext.BadXml as bad:
        raise Unanswered(f"{label} answered with {bad}.", status=reply.status, code="xml") from None
    fault = next((part for part in root.iter() if xmltext.local(part) == "Fault"), None)
    if fault is not None:
        found = xmltext.value_of(fault)
        text = str(found.get("faultstring") if isinstance(found, dict) else found)[:500]
        raise Refused(f"{label}: {text}", status=reply.status, code="fault")


def _of(name: str, function: str) -> bool:
    """Tell whether an answer is of the function that was called; some services call it without its BAPI_."""
    stem = _letters(name).removesuffix("RESPONSE").removesuffix("EXCEPTION")
    return stem != _letters(name) and len(stem) > 1 and _letters(function).endswith(stem)


def _letters(name: str) -> str:
    return "".join(letter for letter in name.upper() if letter.isalnum())


def returned(answer: Mapping[str, Any]) -> list[Message]:
    """Return the RETURN table of an answer, however it is written."""
    found: Any = next((value for name, value in answer.items() if name.upper() == "RETURN"), None)
    if isinstance(found, Mapping) and set(found) == {"item"}:
        found = found["item"]
    rows = [found] if isinstance(found, Mapping) else found if isinstance(found, list) else []
    return [
        _message({str(name).upper(): value for name, value in row.items()}) for row in rows if isinstance(row, dict)
    ]


def _message(row: Mapping[str, Any]) -> Message:
    code = f"{row.get('ID') or ''}/{str(row.get('NUMBER') or '').zfill(3)}"
    return Message(str(row.get("TYPE") or "").strip().upper(), code, " ".join(str(row.get("MESSAGE") or "").split()))


def held(sap: SapClient, answer: Mapping[str, Any], function: str, *, saving: bool = False) -> list[Message]:
    """Hold an answer against its RETURN table. Raises ``Locked`` or ``Refused``; after a commit only ``Unanswered``."""
    told = returned(answer)
    failed = [message for message in told if message.failed]
    if not failed:
        return told
    text = "; ".join(message.text or message.code for message in failed)[:1000]
    if saving:
        raise Unanswered(f"{sap.label}: {function}: {text}", status=200, code=failed[0].code[:100])
    kind = Locked if any(sap.is_lock(message.code, message.text) for message in failed) else Refused
    raise kind(f"{sap.label}: {text}", status=200, code=failed[0].code[:100])


def posted(sap: SapClient, function: str, parameters: Mapping[str, Any], *, effect_key: str) -> dict[str, Any]:
    """Call a function that changes something and save what it did, waiting for the update.

    An error row, or no RETURN table at all, is rolled back and told: ``Locked``, ``Refused`` or ``Unanswered``.
    """
    session = fresh(sap)
    answer = _within(sap, function, parameters, effect_key, session)
    try:
        told = held(sap, answer, function)
        if not told:
            raise Unanswered(f"{sap.label} answered {function} without a RETURN table.", status=200, code="shape")
    except ConnectorError:
        with suppress(ConnectorError):
            invoke(sap, ROLLBACK, {}, session=session)
        raise
    saved = _within(sap, COMMIT, {"WAIT": "X"}, effect_key, session)
    held(sap, saved, COMMIT, saving=True)
    result = {"messages": [message.text for message in told][:10]}
    keys = {name.lower(): str(value)[:60] for name, value in answer.items() if name.upper() == "OBJ_KEY" and value}
    return {**result, **keys}


def _within(
    sap: SapClient, function: str, parameters: Mapping[str, Any], effect_key: str, session: Session
) -> dict[str, Any]:
    """Call a function in a session. Where that has ended, nothing was saved: all of it can be done again."""
    try:
        return invoke(sap, function, parameters, effect_key=effect_key, session=session)
    except Refused as refused:
        if refused.code != "csrf":
            raise
        told = f"{sap.label}: the session ended before {function}; nothing was written."
        raise Unreachable(told, status=403, code="csrf") from None
