"""Access tokens: fetched once, kept in this process's memory, and thrown away when a system refuses them."""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# A token that ends in the middle of a call is worth nothing.
MARGIN_SECONDS = 60.0


@dataclass(frozen=True)
class Token:
    """One access token, with the address it is for where the token server names one."""

    value: str = field(repr=False)
    # Monotonic seconds; a system that names no end (Salesforce) is asked again when it answers 401.
    ends_at: float | None = None
    base: str = ""

    @property
    def usable(self) -> bool:
        """Tell whether it lasts long enough for another call."""
        return self.ends_at is None or time.monotonic() < self.ends_at - MARGIN_SECONDS


_tokens: dict[str, Token] = {}
_locks: dict[str, threading.Lock] = {}
_guard = threading.Lock()


def key_of(*parts: str) -> str:
    """Name a token by everything it depends on, secret included, without keeping the secret."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


def token_for(key: str, fetch: Callable[[], Token]) -> Token:
    """Return the kept token, or fetch one; of many threads one fetches and the others wait for it."""
    with _guard:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        token = _tokens.get(key)
        if token is None or not token.usable:
            token = _tokens[key] = fetch()
        return token


def forget(key: str, token: Token) -> None:
    """Throw away a refused token, unless another thread has a newer one already."""
    with _guard:
        if _tokens.get(key) == token:
            del _tokens[key]


def forget_all() -> None:
    """Throw away every token, as after a restart."""
    with _guard:
        _tokens.clear()
