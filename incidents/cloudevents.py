"""Read CloudEvents 1.0 (structured, binary, batch) and plain JSON into normal signals, with errors per field."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError

from audit import strictjson
from audit.errors import Invalid
from incidents.normal import UNBROKEN, NormalSignal, year_is_sane

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
MAX_BATCH = 1_000
DATA = frozenset(
    {"code", "entity_type", "entity_key", "attributes", "amount", "currency", "business_unit", "region", "text"}
)
CONTEXT = ("source", "id", "time", "type")
_OWN = frozenset({"specversion", *CONTEXT, "datacontenttype", "dataschema", "subject", "data", "data_base64"})
_EXTENSION = re.compile(r"[a-z0-9]{1,64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_CURRENCY = re.compile(r"[A-Z]{3}")
_JSON = re.compile(r"(application|text)/(json|[\w.+-]+\+json)(\s*;.*)?", re.IGNORECASE)
_UNKNOWN = "This field is not known here."
_MONEY = 'Write money as {"amount": "1234.50", "currency": "EUR"}.'
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # while the other fields of a refused event are looked at


@dataclass
class _Reader:
    """One event being read; collects what is wrong with it, field by field."""

    now: Callable[[], datetime]
    errors: dict[str, list[str]] = field(default_factory=dict)
    # Strict JSON has no broken letters; what stands in headers may have.
    unbroken: bool = True

    def wrong(self, name: str, message: str) -> None:
        self.errors.setdefault(name, []).append(message)

    def signal(self, context: Mapping[str, Any], data: Any, raw: dict[str, Any], prefix: str) -> NormalSignal | None:
        given: dict[str, Any] = {name: context[name] for name in CONTEXT if name in context}
        given["time"] = self._time(context.get("time"))
        if not isinstance(data, dict):
            self.wrong("data", "The data of the event must be an object.")
            data = {}
        for name in sorted(data.keys() - DATA):
            self.wrong(f"{prefix}{name}", _UNKNOWN)
        given |= {name: value for name, value in data.items() if name in DATA and value is not None}
        self._money(given, prefix)
        try:
            signal = NormalSignal.model_validate({**given, "raw": raw}, context=UNBROKEN if self.unbroken else None)
        except ValidationError as error:
            self._note(error, prefix)
            return None
        return None if self.errors else signal

    def _time(self, value: Any) -> Any:
        if value is None:
            return self.now()
        if isinstance(value, str) and _TIME.fullmatch(value):
            try:
                moment = datetime.fromisoformat(value.upper())
            except ValueError:
                moment = None
            if moment is not None and year_is_sane(moment):
                return moment
        self.wrong("time", "Write the time as in RFC 3339, such as 2026-11-03T12:00:00Z.")
        return _ANY_TIME

    def _money(self, given: dict[str, Any], prefix: str) -> None:
        money = given.pop("amount", None)
        if money is None:
            return
        if not isinstance(money, dict):
            # Beside it a currency may stand: then it is a plain number or text.
            money = {"amount": money, "currency": given.get("currency")}
        for name in sorted(money.keys() - {"amount", "currency"}):
            self.wrong(f"{prefix}amount.{name}", _UNKNOWN)
        amount, currency = money.get("amount"), money.get("currency")
        if isinstance(amount, bool) or not isinstance(amount, str | int | float):
            self.wrong(f"{prefix}amount", _MONEY)
        elif not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
            self.wrong(f"{prefix}amount.currency", _MONEY)
        else:
            given |= {"amount": amount, "currency": currency}

    def _note(self, error: ValidationError, prefix: str) -> None:
        for one in error.errors():
            name = ".".join(map(str, one["loc"])) or "body"
            place = name if name in CONTEXT or name == "body" else f"{prefix}{name}"
            if place in self.errors:
                continue  # said before, in plainer words
            self.wrong(place, one["msg"].removeprefix("Value error, "))


def read(
    media_type: str, body: Any, headers: Mapping[str, str], now: Callable[[], datetime]
) -> tuple[list[NormalSignal], bool]:
    """Return the signals of a request and whether it was a batch.

    ``now()`` stands in where an event has no time. Raises ``Invalid`` with every field that cannot be meant.
    """
    if media_type == STRUCTURED:
        return [_one(lambda reader: _structured(reader, body), now)], False
    if media_type == BATCH or isinstance(body, list):
        return _batch(body, now, _structured if media_type == BATCH else _single), True
    binary = {name[3:].lower(): value for name, value in headers.items() if name.lower().startswith("ce-")}
    if binary:
        return [_one(lambda reader: _binary(reader, binary, body), now)], False
    return [_one(lambda reader: _single(reader, body), now)], False


def _one(reading: Callable[[_Reader], NormalSignal | None], now: Callable[[], datetime]) -> NormalSignal:
    reader = _Reader(now)
    signal = reading(reader)
    if signal is None or reader.errors:
        raise Invalid("The event cannot be taken in as it is.", reader.errors)
    return signal


def _batch(
    body: Any, now: Callable[[], datetime], reading: Callable[[_Reader, Any], NormalSignal | None]
) -> list[NormalSignal]:
    if not isinstance(body, list):
        raise Invalid("A batch is a list of events.", {"body": ["Send a list of events."]})
    if len(body) > MAX_BATCH:
        raise Invalid(f"A batch holds at most {MAX_BATCH} events.", {"body": [f"{len(body)} events are too many."]})
    signals: list[NormalSignal] = []
    errors: dict[str, list[str]] = {}
    for number, event in enumerate(body):
        reader = _Reader(now)
        signal = reading(reader, event)
        if signal is not None and not reader.errors:
            signals.append(signal)
        errors |= {f"{number}.{name}": messages for name, messages in reader.errors.items()}
    if errors:
        raise Invalid("Nothing was taken in: some events of the batch cannot be meant.", errors)
    return signals


def _structured(reader: _Reader, event: Any) -> NormalSignal | None:
    if not isinstance(event, dict):
        reader.wrong("body", "An event is an object.")
        return None
    _check_version(reader, event.get("specversion"))
    for name in ("type", "source", "id"):
        if not isinstance(event.get(name), str) or not event[name].strip():
            reader.wrong(name, "A CloudEvent needs this as text.")
    for name, value in event.items():
        if name not in _OWN and not (_EXTENSION.fullmatch(name) and isinstance(value, str | int | bool | None)):
            reader.wrong(name, _UNKNOWN)
    if "data" in event and "data_base64" in event:
        reader.wrong("data_base64", "Send data or data_base64, not both.")
    data = event["data"] if "data" in event else _decoded(reader, event.get("data_base64"))
    _check_content_type(reader, event.get("datacontenttype"))
    return reader.signal(event, data, event, "data.")


def _binary(reader: _Reader, context: dict[str, str], data: Any) -> NormalSignal | None:
    plain = {name: unquote(value) for name, value in context.items()}
    _check_version(reader, plain.get("specversion"), "ce-specversion")
    for name in ("type", "source", "id"):
        if not plain.get(name, "").strip():
            reader.wrong(f"ce-{name}", "A CloudEvent needs this header.")
    if reader.errors:
        return None
    reader.unbroken = False
    return reader.signal(plain, data, {"headers": plain, "data": data}, "data.")


def _single(reader: _Reader, body: Any) -> NormalSignal | None:
    """Read plain JSON: the same members without ``specversion``, the data nested or beside them."""
    if not isinstance(body, dict):
        reader.wrong("body", "A signal is an object.")
        return None
    if "specversion" in body:
        return _structured(reader, body)
    if "data" in body:
        for name in sorted(body.keys() - {*CONTEXT, "data"}):
            reader.wrong(name, _UNKNOWN)
        return reader.signal(body, body["data"], body, "data.")
    flat = {name: value for name, value in body.items() if name not in CONTEXT}
    return reader.signal(body, flat, body, "")


def _check_version(reader: _Reader, version: Any, name: str = "specversion") -> None:
    if version != "1.0":
        reader.wrong(name, "This is CloudEvents 1.0: specversion must be 1.0.")


def _check_content_type(reader: _Reader, given: Any) -> None:
    if given is not None and not (isinstance(given, str) and _JSON.fullmatch(given.strip())):
        reader.wrong("datacontenttype", "The data must be JSON.")


def _decoded(reader: _Reader, text: Any) -> Any:
    if text is None:
        reader.wrong("data", "A signal needs data.")
        return {}
    try:
        return strictjson.loads(base64.b64decode(text, validate=True))
    except (TypeError, ValueError, binascii.Error, Invalid):
        reader.wrong("data_base64", "This is not JSON in base64.")
        return {}
