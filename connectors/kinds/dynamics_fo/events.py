"""F&O business events: the envelope of 2019 and the current one, one at a time or several in an array."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from audit.proofs import canonical
from connectors.base import Inbound, Refused
from connectors.kit.batches import events_of

_DATE = re.compile(r"/Date\((-?\d{1,15})(?:[+-]\d{4})?\)/\Z")
_EMPTY_MS = -2208988800000  # 1900-01-01: no value
_EMPTY_DAY = "1900-01-01"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def inbound(body: bytes) -> list[Inbound]:
    """Cut a webhook's body into events. Raises ``Refused`` (400) where one of them is no business event."""
    return [_event(event, number) for number, event in enumerate(events_of(body))]


def _event(event: Any, number: int) -> Inbound:
    where = f"Event {number + 1}"
    if not isinstance(event, dict):
        raise Refused(f"{where} is not an object.", status=400, code="shape")
    name = event.get("BusinessEventId")
    if not isinstance(name, str) or not 0 < len(name) <= 200:
        raise Refused(f"{where} has no BusinessEventId: this is not a business event.", status=400, code="shape")
    payload = {field: _plain(value) for field, value in event.items()}
    if not payload.get("BusinessEventLegalEntity") and isinstance(payload.get("LegalEntity"), str):
        # The envelope of 2019 has no company of its own; the event's data has.
        payload["BusinessEventLegalEntity"] = payload["LegalEntity"]
    return Inbound(_identity(event, where), name, payload, _occurred(event, where))


def _identity(event: dict[str, Any], where: str) -> str:
    """EventId is unique per event; an envelope without one is known by its control number, else by its content."""
    given = event.get("EventId")
    if given is not None and given != "":
        if not isinstance(given, str) or len(given) > 200:
            raise Refused(f"{where}: EventId must be a text of at most 200 letters.", status=400, code="shape")
        return given
    control = event.get("ControlNumber")
    if isinstance(control, int) and not isinstance(control, bool) and control > 0:
        return f"{event['BusinessEventId']}:{control}"
    return hashlib.sha256(canonical(event).encode()).hexdigest()


def _occurred(event: dict[str, Any], where: str) -> datetime | None:
    text = event.get("EventTimeIso8601") or event.get("EventTime")
    if text in (None, ""):
        return None
    moment = moment_of(text) if isinstance(text, str) else None
    if moment is None and (not isinstance(text, str) or not (_DATE.match(text) or text.startswith(_EMPTY_DAY))):
        raise Refused(f"{where}: EventTime is not a time.", status=400, code="shape")
    return moment


def moment_of(text: str) -> datetime | None:
    """Read ``/Date(ms)/`` or ISO 8601 with up to seven decimals; ``None`` for 1900-01-01 and for what is no time."""
    if found := _DATE.match(text):
        milliseconds = int(found[1])
        if milliseconds == _EMPTY_MS:
            return None
        try:
            return _EPOCH + timedelta(milliseconds=milliseconds)
        except OverflowError:
            return None
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        return None
    try:
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        return None
    return None if moment.date().isoformat() == _EMPTY_DAY else moment


def _plain(value: Any) -> Any:
    """Turn Microsoft's dates into ISO 8601 and an empty date into nothing; leave the rest as it came."""
    if isinstance(value, str) and _DATE.match(value):
        moment = moment_of(value)
        return moment.isoformat().replace("+00:00", "Z") if moment else None
    return value
