"""Signatures of what is delivered: held against the raw bytes, in a time that tells nothing."""

import base64
import hashlib
import hmac


def equal(wanted: str, shown: str) -> bool:
    """Tell whether what a sender shows is what is wanted. What it shows may hold any letter at all."""
    return hmac.compare_digest(wanted.encode(), shown.encode(errors="surrogateescape"))


def sha256(key: bytes, signed: bytes) -> bytes:
    """Return the HMAC-SHA256 of what is signed."""
    return hmac.new(key, signed, hashlib.sha256).digest()


def standard(key: bytes, identifier: str, timestamp: int, body: bytes) -> str:
    """Return a signature as Standard Webhooks 1.0 writes it: ``v1,`` and base64 of id, seconds and raw body."""
    signed = f"{identifier}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(sha256(key, signed)).decode()
