"""Access tokens: fetched once, kept in this process's memory, and thrown away when a system refuses them."""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from connectors.base import ConnectorError

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


@dataclass
class _Place:
    """Where the threads that want one token meet."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    # What came of the last fetch, where it failed, and when that ended (monotonic seconds).
    failed: ConnectorError | None = None
    failed_at: float = 0.0


_tokens: dict[str, Token] = {}
_places: dict[str, _Place] = {}
_guard = threading.Lock()


def key_of(*parts: str) -> str:
    """Name a token by everything it depends on, secret included, without keeping the secret."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()


def token_for(key: str, fetch: Callable[[], Token]) -> Token:
    """Return the kept token, or fetch one; of many threads one fetches and the others wait for it.

    Where that fails, it has failed for all who waited: each trying after the other would hold the last for minutes.
    """
    begun = time.monotonic()
    with _guard:
        place = _places.setdefault(key, _Place())
    with place.lock:
        token = _tokens.get(key)
        if token is not None and token.usable:
            return token
        if place.failed is not None and place.failed_at > begun:
            raise again(place.failed)
        try:
            token = _tokens[key] = fetch()
        except ConnectorError as error:
            place.failed, place.failed_at = again(error), time.monotonic()
            raise
        place.failed = None
        return token


def again(error: ConnectorError) -> ConnectorError:
    """Return the same failure for another thread: an exception belongs to the one that it rises in."""
    return type(error)(str(error), status=error.status, code=error.code, retry_after=error.retry_after)


def forget(key: str, token: Token) -> None:
    """Throw away a refused token, unless another thread has a newer one already."""
    with _guard:
        if _tokens.get(key) == token:
            del _tokens[key]


def forget_all() -> None:
    """Throw away every token, as after a restart."""
    with _guard:
        _tokens.clear()
