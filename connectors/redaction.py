"""What must never stand in a log, a row or an error: secrets, tokens, authorization headers, personal fields."""

import html
import json
import re
from base64 import b64encode
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from django.conf import settings

HIDDEN = "•••"
# Names whose values are secrets, whatever system they come from.
_SECRET_NAME = re.compile(
    r"(?i)(?:^|[_\-. ])(?:authorization|password|passwd|secret|token|cookie|assertion|signature"
    r"|api[_\-]?key|private[_\-]?key)s?$"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
# What services put into addresses to be let in.
_IN_ADDRESS = re.compile(
    r"(?i)([?&](?:access_token|token|sig|signature|api[_\-]?key|code|secret|client_secret|password)=)[^&\s\"'<>#]+"
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SHORTEST = 4  # a shorter secret would blank out half of every message
_PACKED_FROM = 8  # bytes; of fewer too little is left that could be nothing else


def personal_fields() -> frozenset[str]:
    """Return the field names, in lower case, whose values are about a person (``REDACTED_FIELDS``)."""
    return frozenset(name.lower() for name in settings.REDACTED_FIELDS)


class Redactor:
    """Takes known secret values, secret-looking names and personal fields out of texts and data."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known = _pattern(frozenset(value for value in secrets if len(value) >= _SHORTEST))
        self._personal = personal_fields()

    def __repr__(self) -> str:
        return f"<Redactor of {'some' if self._known else 'no'} secrets>"

    def text(self, text: str) -> str:
        """Return ``text`` without any known secret."""
        if self._known:
            text = self._known.sub(HIDDEN, text)
        text = _IN_ADDRESS.sub(lambda found: f"{found[1]}{HIDDEN}", text)
        return _BEARER.sub(lambda found: f"{found[1]} {HIDDEN}", text)

    def data(self, value: Any) -> Any:
        """Return a copy of JSON-like ``value`` without secrets and personal fields."""
        if isinstance(value, dict):
            return {
                self.text(str(name)): HIDDEN if self.hides(str(name)) else self.data(part)
                for name, part in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.data(part) for part in value]
        return self.text(value) if isinstance(value, str) else value

    def hides(self, name: str) -> bool:
        """Tell whether a field of this name must not be shown."""
        return name.lower() in self._personal or bool(_SECRET_NAME.search(_HUMP.sub("_", name)))


@lru_cache(maxsize=128)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    """Return what finds any of ``secrets``, however it is spelled; ``None`` where there are none."""
    # The longest first: a secret that contains another one goes as a whole.
    ordered = sorted(secrets, key=len, reverse=True)
    forms = ["".join(map(_letter, secret)) for secret in ordered] + [
        "".join(map(_letter, core)) for secret in ordered for core in _packed(secret)
    ]
    return re.compile("|".join(forms)) if forms else None


@lru_cache(maxsize=1024)
def _letter(letter: str) -> str:
    """Return what finds a letter as it stands in a text, an address, a form, JSON, HTML or what Python writes of it.

    Systems differ in what they escape (.NET: ``+`` in JSON, PHP: ``/``) and in the case of the digits that they use.
    """
    if letter.isascii() and letter.isalnum():
        return letter
    code = ord(letter)
    bytes_of_it = letter.encode(errors="replace")
    ways = [
        re.escape(html.escape(letter)),
        "".join(f"%{byte:02x}" for byte in bytes_of_it),
        re.escape(json.dumps(letter)[1:-1]),
        rf"\\u{code:04x}",
        rf"&\#(?:0*{code}|x0*{code:x});",
        *((rf"\\x{code:02x}", rf"\\?{re.escape(letter)}") if letter.isascii() else ()),
        *((r"\+",) if letter == " " else ("_",) if letter == "/" else ("-",) if letter == "+" else ()),
    ]
    plain = re.escape(letter)
    # Plain last: "%25" and "&amp;" begin with the letter that they stand for.
    return f"(?i:{'|'.join([*(way for way in ways if way != plain), plain])})"


def _packed(secret: str) -> list[str]:
    """Return what base64 makes of a secret wherever it stands in what is packed, as behind a user's name for Basic.

    The letters at both ends depend on what stands beside it, so they are left out.
    """
    raw = secret.encode(errors="replace")
    if len(raw) < _PACKED_FROM:
        return []
    cores = []
    for before in range(3):
        text = b64encode(b"." * before + raw).decode()
        end = (before + len(raw)) * 8 // 6
        cores.append(text[-(-before * 8 // 6) : end])
    return cores
