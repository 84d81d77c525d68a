"""Why a table that lies in the object store cannot be had."""

from audit.errors import Refusal

WAIT_SECONDS = 30


class StoreUnavailable(Refusal):
    """The store cannot be reached, refuses us, or is not named; the message says what to do.

    ``reason`` is one word for operators: ``unset``, ``settings``, ``connect``, ``credentials``, ``bucket``,
    ``damaged``, ``disk`` or ``fork``.
    """

    status = 503
    code = "store_unavailable"
    retry_after = WAIT_SECONDS

    def __init__(self, message: str, reason: str = "connect") -> None:
        super().__init__(message)
        self.reason = reason


class StoreDamaged(StoreUnavailable):
    """What the store holds is not what was put there: its size or its SHA-256 differs."""

    code = "store_damaged"

    def __init__(self, message: str) -> None:
        super().__init__(message, "damaged")


class ObjectMissing(Exception):
    """The store answers, and holds no object of that name."""
