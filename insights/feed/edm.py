"""The primitive types of the feed: how each is called in the metadata, written in JSON and in an address."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

Write = Callable[[Any], str]
_INT64 = 2**63


def _text(value: Any) -> str:
    return json.dumps(str(value), ensure_ascii=False)


def _time(value: Any) -> str:
    return f'"{instant(value)}"'


def instant(value: datetime) -> str:
    """Return a time as OData writes it: UTC, with as many digits of a second as it has."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


@dataclass(frozen=True)
class EdmType:
    """One primitive type. ``facets`` are its attributes in the metadata; ``number`` types compare with each other."""

    name: str
    write: Write
    facets: tuple[tuple[str, str], ...] = ()
    number: bool = False
    # With IEEE754Compatible=true numbers that a double cannot hold travel as text.
    wide: bool = False
    forms: tuple[type, ...] = field(default=(str,))

    def json(self, value: Any, *, compatible: bool = False) -> str:
        """Return ``value`` as JSON text."""
        if value is None:
            return "null"
        written = self.write(value)
        return f'"{written}"' if compatible and self.wide else written

    def __str__(self) -> str:
        return self.name


STRING = EdmType("Edm.String", _text)
BOOLEAN = EdmType("Edm.Boolean", lambda value: "true" if value else "false", forms=(bool,))
INT = EdmType("Edm.Int64", lambda value: str(int(value)), number=True, wide=True, forms=(int,))
DECIMAL = EdmType(
    "Edm.Decimal",
    lambda value: format(Decimal(value), "f"),
    facets=(("Precision", "18"), ("Scale", "2")),
    number=True,
    wide=True,
    forms=(Decimal, int),
)
DOUBLE = EdmType("Edm.Double", lambda value: json.dumps(float(value)), number=True, forms=(float, int))
DATE = EdmType("Edm.Date", lambda value: f'"{value.isoformat()}"', forms=(date,))
TIME = EdmType("Edm.DateTimeOffset", _time, facets=(("Precision", "6"),), forms=(datetime,))
GUID = EdmType("Edm.Guid", _text)
NULL = EdmType("null", lambda _value: "null", forms=(type(None),))


def pack(value: Any) -> Any:
    """Return a value as plain JSON for a skip token; ``unpack`` is its inverse."""
    if isinstance(value, datetime):
        return instant(value)
    return str(value) if isinstance(value, date | Decimal) else value


def unpack(kind: EdmType, value: Any) -> Any:
    """Return what ``pack`` was given. Raises ``ValueError`` for what cannot be of this type."""
    if value is None:
        return None
    if kind is TIME:
        at = datetime.fromisoformat(_a(str, value))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    if kind is DATE:
        return date.fromisoformat(_a(str, value))
    if kind is DECIMAL:
        return _decimal(_a(str, value))
    if kind is DOUBLE:
        return float(_a((int, float), value))
    if kind is INT:
        number = int(_a(int, value))
        if not -_INT64 <= number < _INT64:
            raise ValueError("out of range")
        return number
    return _a(bool if kind is BOOLEAN else str, value)


def _a(form: type | tuple[type, ...], value: Any) -> Any:
    if not isinstance(value, form) or (isinstance(value, bool) and form is not bool):
        raise ValueError("another type was expected")
    if isinstance(value, str) and "\x00" in value:
        raise ValueError("no text here holds U+0000")
    return value


def _decimal(text: str) -> Decimal:
    if len(text) > 40:
        raise ValueError("too long for a number")
    try:
        number = Decimal(text)
    except ArithmeticError as error:
        raise ValueError("not a number") from error
    if not number.is_finite():
        raise ValueError("not a number")
    return number
