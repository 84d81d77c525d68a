"""JSON as it should be: what different readers would read differently is refused, not guessed at."""

from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser

from audit import plainjson
from audit.errors import Invalid, Refusal

# An object or list costs some sixty bytes, even where it stands in the text as two.
LIMITS = plainjson.Limits(depth=32, digits=30, containers=200_000)


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
        text = plainjson.decoded(raw)
        value = plainjson.read(text, LIMITS)
    except plainjson.Unreadable as bad:
        words = str(bad)
        raise BadJson(f"{words[0].upper()}{words[1:]}.") from None
    if plainjson.may_be_unstorable(text):
        _check_text(value)
    return value


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
        """Return the body's value. Raises ``UnsupportedMediaType`` where it is compressed."""
        request = (parser_context or {}).get("request")
        coding = request.META.get("HTTP_CONTENT_ENCODING", "") if request is not None else ""
        if coding.strip().lower() not in ("", "identity"):
            raise UnsupportedMediaType(coding, "Send the body as it is: nothing compressed is unpacked here.")
        sent = request.META.get("CONTENT_LENGTH") if request is not None else None
        raw = read_limited(stream, int(sent) if sent and sent.isdigit() else None)
        return loads(raw)
