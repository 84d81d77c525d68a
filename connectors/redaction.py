"""What must never stand in a log, a row or an error: secrets, tokens, authorization headers, personal fields."""

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

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


def personal_fields() -> frozenset[str]:
    """Return the field names, in lower case, whose values are about a person (``REDACTED_FIELDS``)."""
    return frozenset(name.lower() for name in settings.REDACTED_FIELDS)


class Redactor:
    """Takes known secret values, secret-looking names and personal fields out of texts and data."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first: a secret that contains another one goes as a whole.
        long = [value for value in secrets if len(value) >= _SHORTEST]
        spelled = {form for value in long for form in _spellings(value)}
        self._secrets = sorted(spelled, key=len, reverse=True)
        self._personal = personal_fields()

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._secrets)}>"

    def text(self, text: str) -> str:
        """Return ``text`` without any known secret."""
        for value in self._secrets:
            text = text.replace(value, HIDDEN)
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


def _spellings(secret: str) -> set[str]:
    """Give a secret as it stands in a text, an address, a form and a JSON document."""
    return {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1]}
