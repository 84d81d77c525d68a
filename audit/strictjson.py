"""JSON as it should be: what different readers would read differently is refused, not guessed at."""

import json
import re
from typing import IO, Any

from django.conf import settings
from rest_framework.parsers import BaseParser

from audit.errors import Invalid, Refusal

MAX_DEPTH = 32
MAX_DIGITS = 30
# Each costs some sixty bytes, even where it stands in the text as two.
MAX_CONTAINERS = 200_000
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class BadJson(Invalid):
    """The text is no JSON, or none that every reader would read alike."""

    code = "bad_json"

    def __init__(self, message: str) -> None:
        super().__init__(message, {"body": [message]})


class TooLarge(Refusal):
    """The body is larger than this installation takes."""

    status = 413
    code = "too_large"


def loads(raw: bytes) -> Any:
    """Return what the JSON text ``raw`` (UTF-8) says.

    Raises ``BadJson`` for broken text, duplicate keys, NaN and infinities, more than 32 levels or 200,000 objects and
    lists, numbers of more than 30 digits, and characters that PostgreSQL cannot store (NUL, half characters).
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJson(f"The body is not UTF-8 (byte {error.start}).") from error
    containers = text.count("{") + text.count("[")
    if containers > MAX_CONTAINERS:
        raise BadJson(f"The body holds more than {MAX_CONTAINERS:,} objects and lists.")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadJson(f"Not JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from error
    except RecursionError as error:
        raise BadJson(_TOO_DEEP) from error
    if containers > MAX_DEPTH:
        _check_depth(value)
    if "\\u0000" in text or _SURROGATE.search(text):
        _check_text(value)
    return value


_TOO_DEEP = f"The body is nested more than {MAX_DEPTH} levels deep."


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # One pass: counting each key would let a large hostile object hold the process for minutes.
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BadJson(f"The key {key[:100]!r} stands twice in one object.")
            seen.add(key)
    return found


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise BadJson(f"A number has more than {MAX_DIGITS} digits.")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if sum(character.isdigit() for character in text) > MAX_DIGITS or value in (float("inf"), float("-inf")):
        raise BadJson(f"A number has more than {MAX_DIGITS} digits or is too large.")
    return value


def _constant(text: str) -> float:
    raise BadJson(f"{text} is no JSON number.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant
)


def _check_depth(value: Any) -> None:
    """Walk level by level, holding only the containers: a large flat batch costs one pass."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise BadJson(_TOO_DEEP)
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]


def _check_text(value: Any) -> None:
    if isinstance(value, dict):
        for key, part in value.items():
            _check_text(key)
            _check_text(part)
    elif isinstance(value, list):
        for part in value:
            _check_text(part)
    elif isinstance(value, str):
        if "\x00" in value:
            raise BadJson("A text holds the character U+0000, which cannot be stored.")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise BadJson("A text holds half a character (an unpaired surrogate).")


def read_limited(stream: IO[bytes], length: int | None = None) -> bytes:
    """Return the whole body. Raises ``TooLarge`` past ``MAX_BODY_BYTES``, before it is held in memory."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if length is not None and length > limit:
        raise TooLarge(f"The body has {length} bytes; at most {limit} are taken.")
    raw = stream.read(limit + 1)
    if len(raw) > limit:
        raise TooLarge(f"The body has more than {limit} bytes.")
    return raw


class StrictJSONParser(BaseParser):
    """A parser for the API that takes only strict JSON. Subclasses change ``media_type``."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """Return the body's value."""
        request = (parser_context or {}).get("request")
        sent = request.META.get("CONTENT_LENGTH") if request is not None else None
        raw = read_limited(stream, int(sent) if sent and sent.isdigit() else None)
        return loads(raw)
