"""One reader of JSON for all that comes from outside: within limits, and only what every reader would read alike.

How a refusal is worded for whom, and what becomes of characters that cannot be stored, is left to whoever asks.
"""

import json
import math
import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import Any

# Escapes of what no database stores: NUL, and halves of a pair (which two of them together are not).
_UNSTORABLE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


class Fault(Enum):
    """Why a text was not read."""

    ENCODING = auto()
    SYNTAX = auto()
    TWICE = auto()  # a key stands twice in one object: readers differ in which one counts
    NUMBER = auto()
    DEPTH = auto()
    SIZE = auto()


class Unreadable(ValueError):
    """The text is no JSON, or more than is taken. Its words are a clause: no capital, no full stop."""

    def __init__(self, fault: Fault, words: str) -> None:
        super().__init__(words)
        self.fault = fault


@dataclass(frozen=True)
class Limits:
    """How much is read: objects and lists within each other, digits of a number, objects and lists, values in all.

    ``containers`` and ``values`` are counted before any of them is made; 0: as many as there are.
    """

    depth: int
    digits: int
    containers: int = 0
    values: int = 0


def decoded(body: bytes, encoding: str = "utf-8") -> str:
    """Return a body's text. Raises ``Unreadable`` where it is not UTF-8."""
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unreadable(Fault.ENCODING, f"it is not UTF-8 (byte {error.start})") from None


def read(text: str, limits: Limits) -> Any:
    """Return what a JSON text says.

    Raises ``Unreadable`` for broken text, a key that stands twice, NaN, infinities, and what exceeds the limits.
    """
    containers = text.count("{") + text.count("[")
    if limits.containers and containers > limits.containers:
        raise Unreadable(Fault.SIZE, f"it holds more than {limits.containers:,} objects and lists")
    # Each comma and each opening is at most one value more.
    if limits.values and containers + text.count(",") > limits.values:
        raise Unreadable(Fault.SIZE, f"it holds more than {limits.values:,} values")
    try:
        value = _decoder(limits.digits).decode(text)
    except json.JSONDecodeError as error:
        where = f"(line {error.lineno}, column {error.colno})"
        raise Unreadable(Fault.SYNTAX, f"not JSON: {error.msg} {where}") from None
    except RecursionError:
        raise _too_deep(limits) from None
    if containers > limits.depth:
        _hold_depth(value, limits)
    return value


def may_be_unstorable(text: str) -> bool:
    """Tell whether a JSON text may hold characters that a database would refuse; ``False`` is certain."""
    return bool(_UNSTORABLE.search(text))


@cache
def _decoder(digits: int) -> json.JSONDecoder:
    def integer(text: str) -> int:
        if len(text.lstrip("-")) > digits:
            raise _too_long(digits)
        return int(text)

    def fraction(text: str) -> float:
        if sum(character.isdigit() for character in text) > digits:
            raise _too_long(digits)
        value = float(text)
        if not math.isfinite(value):
            raise Unreadable(Fault.NUMBER, "a number is too large")
        return value

    return json.JSONDecoder(
        object_pairs_hook=_object, parse_int=integer, parse_float=fraction, parse_constant=_constant
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # One pass: counting each key would let a large hostile object hold the process for minutes.
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Unreadable(Fault.TWICE, f"the key {key[:100]!r} stands twice in one object")
            seen.add(key)
    return found


def _constant(text: str) -> float:
    raise Unreadable(Fault.NUMBER, f"{text} is no JSON number")


def _too_long(digits: int) -> Unreadable:
    return Unreadable(Fault.NUMBER, f"a number has more than {digits} digits")


def _too_deep(limits: Limits) -> Unreadable:
    return Unreadable(Fault.DEPTH, f"it is nested more than {limits.depth} levels deep")


def _hold_depth(value: Any, limits: Limits) -> None:
    """Walk level by level, holding only the containers: a large flat batch costs one pass."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > limits.depth:
            raise _too_deep(limits)
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
