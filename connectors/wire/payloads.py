"""The JSON that other systems answer with: bounded, and with nothing in it that a database would refuse.

What is told to us (hooks, signals) is read by ``audit.strictjson``, which refuses more: a sender can mend its
text, while a record that stands in another system has to be readable as it is.
"""

import re
from typing import Any

from audit import plainjson

# Identifiers of 64 bits must come through without loss; more digits are nobody's number. Objects and values cost many
# times what they take in the text: as many as this keep the whole answer within some 100 MB.
LIMITS = plainjson.Limits(depth=64, digits=64, containers=200_000, values=500_000)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class BadPayload(ValueError):
    """The text is not JSON that can be relied on."""


def loads_answer(body: bytes) -> Any:
    """Read an answer. Raises ``BadPayload`` for broken text, duplicate names, NaN, absurd depth, sizes or numbers.

    Characters that no database stores (NUL, halves of a pair) are replaced by U+FFFD.
    """
    try:
        text = plainjson.decoded(body, "utf-8-sig")
        value = plainjson.read(text, LIMITS)
    except plainjson.Unreadable as bad:
        raise BadPayload(str(bad)) from None
    return _storable(value) if plainjson.may_be_unstorable(text) else value


def _storable(value: Any) -> Any:
    if isinstance(value, dict):
        return {storable_text(name): _storable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_storable(part) for part in value]
    return storable_text(value) if isinstance(value, str) else value


def storable_text(text: str) -> str:
    """Return ``text`` with U+FFFD in the place of each character that a database would refuse."""
    if text.isascii() and "\x00" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text)
