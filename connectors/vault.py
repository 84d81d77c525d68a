"""Secrets at rest: AES-256-GCM under a key of their own, which is sealed under the key-encryption key.

A sealed text is bound to its table, row and name: moved to another row it does not open.
``CREDENTIAL_KEY`` may hold several keys, separated by commas: the first seals, all of them open.
"""

import hashlib
import secrets
from base64 import b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import models

VERSION = "v1"
_NONCE = 12


class CannotOpen(Exception):
    """A sealed text does not open: another key, another row, or it was changed."""


# What a sealed value that belongs to no row is bound to: no row's secret opens in its place.
_VALUE = b"value of an argument"


def seal(row: models.Model, name: str, text: str) -> str:
    """Encrypt ``text`` as the secret ``name`` of a saved ``row``."""
    return _sealed(text, _bound(row, name))


def seal_value(text: str) -> str:
    """Encrypt an argument's value, which goes from a plan to its copies and belongs to none of their rows."""
    return _sealed(text, _VALUE)


def open_value(sealed: str) -> str:
    """Decrypt what ``seal_value`` made. Raises ``CannotOpen``."""
    return _opened(sealed, _VALUE, "value")


def _sealed(text: str, bound: bytes) -> str:
    key_id, master = _keys()[0]
    data_key = AESGCM.generate_key(256)
    wrapped, sealed = _encrypt(master, data_key, bound), _encrypt(data_key, text.encode(), bound)
    return ".".join((VERSION, key_id, _text(wrapped), _text(sealed)))


def open_sealed(row: models.Model, name: str, sealed: str) -> str:
    """Decrypt what ``seal`` made for the same row and name. Raises ``CannotOpen``."""
    return _opened(sealed, _bound(row, name), f"secret {name}")


def _opened(sealed: str, bound: bytes, what: str) -> str:
    try:
        version, key_id, wrapped, content = sealed.split(".")
        master = dict(_keys())[key_id]
        if version != VERSION:
            raise CannotOpen(f"The {what} was sealed in a form that is not known here.")
        return _decrypt(_decrypt(master, _bytes(wrapped), bound), _bytes(content), bound).decode()
    except KeyError:
        raise CannotOpen(
            f"The {what} was sealed under a key that is not in CREDENTIAL_KEY. Put that key behind the first one,"
            " with a comma between them, or enter it anew."
        ) from None
    except (ValueError, InvalidTag):
        raise CannotOpen(f"The {what} does not open: it was changed or belongs to another row.") from None


def needs_resealing(sealed: str) -> bool:
    """Tell whether a secret stands under an older key than the first."""
    return sealed.split(".")[1:2] != [_keys()[0][0]]


def _keys() -> list[tuple[str, bytes]]:
    keys = []
    for text in settings.CREDENTIAL_KEY.split(","):
        try:
            key = _bytes(text.strip())
        except ValueError:
            key = b""
        if len(key) != 32:
            raise CannotOpen("CREDENTIAL_KEY must be 32 bytes in URL-safe base64.")
        keys.append((hashlib.sha256(b"goldseam key id" + key).hexdigest()[:8], key))
    return keys


def _bound(row: models.Model, name: str) -> bytes:
    if row.pk is None:
        raise CannotOpen("A row must be saved before it can hold a secret.")
    return f"{row._meta.db_table}|{row.pk}|{name}".encode()


def _encrypt(key: bytes, content: bytes, bound: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, content, bound)


def _decrypt(key: bytes, content: bytes, bound: bytes) -> bytes:
    return AESGCM(key).decrypt(content[:_NONCE], content[_NONCE:], bound)


def _text(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    # Strict: a wrong separator between two keys must not pass for the first of them alone.
    return b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
