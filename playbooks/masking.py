"""What of the evidence never stands in a prompt: fields about people, secrets, mail addresses and bank accounts.

Fields are known by name (``REDACTED_FIELDS``, and names that sound like secrets). Their values are looked for in every
text that a model would be sent, for a statement quotes the evidence.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.redaction import HIDDEN, Redactor

_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_ACCOUNT = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_SHORTEST = 2
_DEEPEST = 20


@dataclass(frozen=True)
class Mask:
    """Takes personal values out of texts."""

    values: frozenset[str]

    def text(self, text: str) -> str:
        """Return ``text`` without what must not leave."""
        for value in sorted(self.values, key=len, reverse=True):
            # As a word of its own: a region “DE” must not tear a hole into every text.
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", HIDDEN, text, flags=re.IGNORECASE)
        text = _ACCOUNT.sub(lambda found: HIDDEN if _is_account(found[0]) else found[0], _MAIL.sub(HIDDEN, text))
        return Redactor().text(text)

    def touches(self, values: Iterable[Any]) -> bool:
        """Tell whether any of these values would have to be hidden."""
        return any(self.text(str(value)) != str(value) for value in values)


def mask_of(variables: Mapping[str, Any]) -> Mask:
    """Return the mask of what is known of an incident: the values of every field that is hidden by its name."""
    return Mask(frozenset(_hidden(variables, Redactor(), 0)))


def _hidden(value: Any, redactor: Redactor, depth: int) -> Iterable[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for name, part in value.items():
            if redactor.hides(str(name)):
                yield from _texts(part)
            else:
                yield from _hidden(part, redactor, depth + 1)
    elif isinstance(value, Collection) and not isinstance(value, str | bytes):
        for part in value:
            yield from _hidden(part, redactor, depth + 1)


def _texts(value: Any) -> Iterable[str]:
    """Yield each plain value in what a hidden field holds; yes, no and nothing say nothing of anybody."""
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, Collection) and not isinstance(value, str | bytes):
        for part in value:
            yield from _texts(part)
    elif value is not None and not isinstance(value, bool) and len(text := str(value).strip()) >= _SHORTEST:
        yield text


def _is_account(text: str) -> bool:
    """Tell whether this is an IBAN: its check digits are right (ISO 13616)."""
    plain = text.replace(" ", "")
    digits = "".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])
    return int(digits) % 97 == 1
