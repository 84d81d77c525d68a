"""The arithmetic of the chain: canonical text and SHA-256, the same on every machine and database."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

GENESIS = hashlib.sha256(b"goldseam ledger, version 1").hexdigest()


def canonical(value: Any) -> str:
    """Return ``value`` as the one JSON text that all processes agree on (sorted keys, no spaces, text as UTF-8).

    Raises ``ValueError`` for NaN and infinities, which JSON cannot carry. Dates become ISO-8601 in UTC, decimals text.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain)


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical text of ``value``, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def link(columns: Mapping[str, Any]) -> str:
    """Return the hash of one ledger entry: the digest of all its columns but ``hash``, the previous hash among them.

    Empty columns are left out, so that a column added later does not change the hash of what was written before it.
    """
    told = {name: value for name, value in columns.items() if name != "hash" and value not in (None, "")}
    return digest({**told, "at": moment(told["at"])})


def moment(value: datetime) -> str:
    """Return an aware time as text with microseconds, in UTC."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return moment(value)
    return str(value)
