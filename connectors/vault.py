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


def seal(row: models.Model, name: str, text: str) -> str:
    """Encrypt ``text`` as the secret ``name`` of a saved ``row``."""
    key_id, master = _keys()[0]
    data_key = AESGCM.generate_key(256)
    bound = _bound(row, name)
    wrapped, sealed = _encrypt(master, data_key, bound), _encrypt(data_key, text.encode(), bound)
    return ".".join((VERSION, key_id, _text(wrapped), _text(sealed)))


def open_sealed(row: models.Model, name: str, sealed: str) -> str:
    """Decrypt what ``seal`` made for the same row and name. Raises ``CannotOpen``."""
    try:
        version, key_id, wrapped, content = sealed.split(".")
        master = dict(_keys())[key_id]
        if version != VERSION:
            raise CannotOpen(f"The secret {name} was sealed in a form that is not known here.")
        bound = _bound(row, name)
        return _decrypt(_decrypt(master, _bytes(wrapped), bound), _bytes(content), bound).decode()
    except KeyError:
        raise CannotOpen(f"The secret {name} was sealed under a key that is not in CREDENTIAL_KEY.") from None
    except (ValueError, InvalidTag):
        raise CannotOpen(f"The secret {name} does not open: it was changed or belongs to another row.") from None


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
