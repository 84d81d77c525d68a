"""What replaces names and values when a step log comes in, before anything of it is written down.

A person becomes a keyed hash: the key is derived (HKDF) from ``CREDENTIAL_KEY``, which every installation has for
itself and which never stands in the database. A value becomes its class, and a number that means the same value only
within one session of one import: it is hashed under a key that lives in memory while the file is read and is then gone.
"""

import hashlib
import hmac
import re
import secrets

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_INFO = b"goldseam task log pseudonyms v1"
LONGEST_LABEL = 80
MOST_LABELS = 50_000
# Shorter values are the same by chance: yes, 10, EUR.
SHORTEST_VALUE = 4
_MAIL = re.compile(r"[^\s@<>()\[\],;:\"']+@[^\s@<>()\[\],;:\"']+")
_DIGITS = re.compile(r"\d+")
_NUMBER = re.compile(r"[+-]?[\d.,'  ]*\d[\d.,'  ]*\s*(?:%|[A-Z]{3}|[€$£¥])?")
_DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}(?:[T ]\d{1,2}:\d{2}.*)?")
_ADDRESS = re.compile(r"(https?://[^/?#\s]*[^?#\s]*)[?#]\S*", re.IGNORECASE)
CLASSES = ("empty", "number", "date", "email", "text")


def person_key() -> bytes:
    """Return the key for people of this installation."""
    first = settings.CREDENTIAL_KEY.split(",")[0].strip().encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(first)


def person(name: str, key: bytes) -> str:
    """Return the pseudonym of a user name: the same in every log of this installation, and meaningless outside."""
    return hmac.new(key, name.strip().lower().encode(), hashlib.sha256).hexdigest()[:16]


def class_of(value: str) -> str:
    """Return what sort of value it is; the one thing that is kept of it."""
    text = value.strip()
    if not text:
        return "empty"
    if len(text) <= 60 and _DATE.fullmatch(text):
        return "date"
    if len(text) <= 60 and _NUMBER.fullmatch(text):
        return "number"
    return "email" if _MAIL.fullmatch(text) else "text"


class Matcher:
    """Tells equal values within one session apart from others, for as long as this import lasts."""

    def __init__(self) -> None:
        # Never written down: afterwards nobody can try values against the numbers.
        self._key = secrets.token_bytes(32)

    def of(self, session: str, value: str) -> int:
        """Return a number for ``value`` in ``session``; 0 for what is too short to mean anything."""
        text = " ".join(value.split())
        if len(text) < SHORTEST_VALUE:
            return 0
        said = f"{len(session)}:{session}{text}".encode("utf-8", "surrogatepass")
        mark = hmac.new(self._key, said, hashlib.sha256).digest()
        # 63 bits, never 0.
        return int.from_bytes(mark[:8], "big") >> 1 | 1


class Labels:
    """Names of windows and fields without what may be a value in them: digits, addresses, the step's own value."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, text: str, *secret: str) -> str:
        """Return the label of ``text``; whatever of ``secret`` stands in it is left out."""
        lower = text.lower()
        words = [word for word in secret if len(word) > 2 and word.lower() in lower]
        if words:
            return label(text, *words)
        if text not in self._known:
            if len(self._known) > MOST_LABELS:
                self._known.clear()
            self._known[text] = label(text)
        return self._known[text]


def label(text: str, *secret: str) -> str:
    """Return the name of a window or a field without what may be a value in it: digits, addresses, the step's own."""
    said = " ".join(text.split())
    for value in secret:
        if word := " ".join(value.split()):
            said = re.sub(re.escape(word), "…", said, flags=re.IGNORECASE)
    said = _ADDRESS.sub(r"\1", said)
    return _DIGITS.sub("#", _MAIL.sub("…", said))[:LONGEST_LABEL].strip()
