"""The words of a filter and the values among them: numbers, texts, dates and times as an address writes them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NoReturn

from insights.feed import edm
from insights.feed.edm import EdmType
from insights.feed.problems import FeedError

_SPLIT = re.compile(
    r"""(?P<space>[ \t]+)
    |(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,12})?)?(?:Z|z|[+-]\d\d:\d\d))
    |(?P<guid>[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12})
    |(?P<date>\d{4}-\d\d-\d\d(?!\d))
    |(?P<number>-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?)
    |(?P<text>'(?:[^']|'')*')
    |(?P<name>[A-Za-z_][A-Za-z0-9_.]*)
    |(?P<mark>[(),/:])""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True)
class Literal:
    """A value as it stands in the address."""

    value: Any
    type: EdmType


@dataclass(frozen=True)
class Token:
    """One word of the filter, what sort of word it is, and where it begins."""

    sort: str
    text: str
    at: int


def tokens(text: str) -> Iterator[Token]:
    """Yield the words of a filter and an end. Raises ``FeedError`` at what is no word."""
    at = 0
    while at < len(text):
        found = _SPLIT.match(text, at)
        if found is None:
            raise FeedError(f"$filter cannot be read at character {at + 1}: “{text[at : at + 20]}”.", target="$filter")
        sort = str(found.lastgroup)
        if sort != "space":
            yield Token(sort, found.group(), at)
        at = found.end()
    yield Token("end", "", len(text))


_WORDS = {
    "true": Literal(True, edm.BOOLEAN),
    "false": Literal(False, edm.BOOLEAN),
    "null": Literal(None, edm.NULL),
}


def literal_of(word: Token) -> Literal | None:
    """Return the value that a word is, ``None`` for one that is none. Raises ``FeedError`` for an impossible one."""
    if word.sort == "name":
        return _WORDS.get(word.text)
    if word.sort not in ("time", "date", "number", "text", "guid"):
        return None
    try:
        return _read(word)
    except (ValueError, OverflowError, ArithmeticError):
        raise FeedError(f"“{word.text[:40]}” is not a possible value.", target="$filter") from None


def _read(word: Token) -> Literal:
    if word.sort == "text":
        return Literal(edm.unpack(edm.STRING, word.text[1:-1].replace("''", "'")), edm.STRING)
    if word.sort == "guid":
        return Literal(word.text.lower(), edm.GUID)
    if word.sort == "date":
        return Literal(date.fromisoformat(word.text), edm.DATE)
    if word.sort == "time":
        return Literal(_time(word.text), edm.TIME)
    if re.fullmatch(r"-?\d+", word.text):
        return Literal(edm.unpack(edm.INT, int(word.text)), edm.INT)
    number = Decimal(word.text)
    # Beyond what a double can hold nothing here is.
    return Literal(number, edm.DECIMAL) if abs(number) < Decimal(10) ** 308 else _impossible()


def _impossible() -> NoReturn:
    raise ValueError("out of range")


def _time(text: str) -> datetime:
    text = text.upper().replace("Z", "+00:00")
    whole, dot, rest = text.partition(".")
    if dot:
        # Python reads six digits of a second; OData may write twelve.
        digits, sign, offset = re.split(r"([+-])", rest, maxsplit=1)
        text = f"{whole}.{digits[:6].ljust(6, '0')}{sign}{offset}"
    return datetime.fromisoformat(text).astimezone(UTC)


def parse_literal(text: str) -> Literal:
    """Return the one value that ``text`` is. Raises ``FeedError``."""
    found = list(tokens(text))
    value = literal_of(found[0]) if len(found) == 2 else None
    if value is None:
        raise FeedError(f"“{text[:60]}” is not one value.")
    return value
