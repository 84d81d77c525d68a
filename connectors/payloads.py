"""The JSON that other systems answer with: bounded, and with nothing in it that a database would refuse.

What is told to us (hooks, signals) is read by ``audit.strictjson``, which refuses more: a sender can mend its
text, while a record that stands in another system has to be readable as it is.
"""

import json
import math
import re
from typing import Any

DEPTH = 64
DIGITS = 64
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class BadPayload(ValueError):
    """The text is not JSON that can be relied on."""


def loads_answer(body: bytes) -> Any:
    """Read an answer. Raises ``BadPayload`` for broken text, duplicate names, NaN, absurd depth or numbers.

    Characters that no database stores (NUL, halves of a pair) are replaced by U+FFFD.
    """
    try:
        value = json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_whole,
            parse_float=_fraction,
        )
    except UnicodeDecodeError:
        raise BadPayload("not UTF-8") from None
    except RecursionError:
        raise BadPayload("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise BadPayload(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    return _storable(value, 0)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise BadPayload("a name stands twice in one object")
    return result


def _constant(text: str) -> Any:
    raise BadPayload(f"{text} is no number")


def _whole(text: str) -> int:
    # Identifiers of 64 bits must come through without loss; more is nobody's number.
    if len(text) > DIGITS:
        raise BadPayload("a number is too long")
    return int(text)


def _fraction(text: str) -> float:
    if len(text) > DIGITS or not math.isfinite(value := float(text)):
        raise BadPayload("a number is too large or too long")
    return value


def _storable(value: Any, depth: int) -> Any:
    if depth > DEPTH:
        raise BadPayload("nested too deeply")
    if isinstance(value, dict):
        return {storable_text(name): _storable(part, depth + 1) for name, part in value.items()}
    if isinstance(value, list):
        return [_storable(part, depth + 1) for part in value]
    return storable_text(value) if isinstance(value, str) else value


def storable_text(text: str) -> str:
    """Return ``text`` with U+FFFD in the place of each character that a database would refuse."""
    if text.isascii() and "\x00" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text)
