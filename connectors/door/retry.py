"""What to do after a failed call: one table, read by the engine and shown to people."""

import hashlib
from dataclasses import dataclass

from django.conf import settings

from connectors.base import (
    Blocked,
    ConnectorError,
    Locked,
    NotFound,
    RateLimited,
    Refused,
    Unanswered,
    Unauthorized,
    Unreachable,
    VersionConflict,
)


@dataclass(frozen=True)
class Retry:
    """The decision: try again (when), look before sending again, or leave it to a person (with what to do)."""

    again: bool
    after_seconds: float | None
    read_back: bool
    park: bool
    guidance: str


@dataclass(frozen=True)
class Case:
    """One row of the table: which failures, how often, how long between, and what a person should do."""

    name: str
    errors: tuple[type[ConnectorError], ...]
    limit: int | None  # tries in all; None: RETRY_LIMIT
    base: float | None  # seconds before the second try, doubled each time; None: RETRY_BASE_SECONDS
    cap: float | None  # None: RETRY_CAP_SECONDS
    guidance: str


# The first row that fits decides. A limit of 0 means: no retry.
TABLE: tuple[Case, ...] = (
    Case(
        "blocked by our own rules",
        (Blocked,),
        0,
        None,
        None,
        "Look at the connection: is it enabled, is the operation allowed, is an emergency stop active, does its data"
        " class let this data through?",
    ),
    Case(
        "the target asks to wait (429, 503 with Retry-After)",
        (RateLimited,),
        20,
        None,
        None,
        "The target has been limiting us for long: raise the limit there, or replay later.",
    ),
    Case(
        "somebody is editing the record",
        (Locked,),
        5,
        2.0,
        30.0,
        "Ask who is editing the record to close it, then replay.",
    ),
    Case(
        "nothing was sent (refused, DNS, TLS)",
        (Unreachable,),
        None,
        None,
        None,
        "Check that the system is up and its address is right (Test connection), then replay.",
    ),
    Case(
        "sent, no answer (timeout, reset, 408, 5xx)",
        (Unanswered,),
        None,
        None,
        None,
        "Look in the target whether the change is there before replaying; the effect key stays the same.",
    ),
    Case(
        "the record has changed (412)",
        (VersionConflict,),
        0,
        None,
        None,
        "The record was changed by someone: plan again.",
    ),
    Case(
        "the credentials are not accepted (401)",
        (Unauthorized,),
        0,
        None,
        None,
        "Renew the connection's credentials, test it, then replay.",
    ),
    Case(
        "the record is not there (404)",
        (NotFound,),
        0,
        None,
        None,
        "Check that the record exists in the company that was asked; then plan again.",
    ),
    Case(
        "the target said no (400, 403, 409, 422, a business rule)",
        (Refused,),
        0,
        None,
        None,
        "Read the target's reason; correct it there or plan again. Sending the same again will be refused again.",
    ),
)


# Our own refusals that end by themselves: tried again for as long as it takes, because nothing was sent.
_PASSING = {
    "not_before": "Waits until the target's pause is over.",
    "budget": "Waits for the budget's next day, or until somebody raises it.",
    "rate": "Waits for its place in the connection's rate.",
    "breaker": "Waits until the system answers again; it is tried twice a minute.",
}


def decide(error: ConnectorError, *, wrote: bool, attempt: int, key: str = "") -> Retry:
    """Say what follows the failed try number ``attempt`` (from 1); ``wrote``: the try was a write.

    Waits are full jitter drawn from ``key`` and ``attempt``: workers spread out, and a test sees the same again.
    A wait that the target or a shared pause asked for is never shortened.
    """
    read_back = wrote and error.effect_possible
    if isinstance(error, Blocked) and error.retryable:
        return Retry(True, error.retry_after or 1.0, read_back, False, _PASSING[error.code])
    case = next((row for row in TABLE if isinstance(error, row.errors)), TABLE[-1])
    limit = settings.RETRY_LIMIT if case.limit is None else case.limit
    if attempt >= limit:
        return Retry(False, None, read_back, True, case.guidance)
    pause = _jitter(case, attempt, key)
    if error.retry_after is not None:
        # A little later than asked, each worker by another little: not all at the first instant.
        pause = error.retry_after + min(pause, 1.0)
    return Retry(True, pause, read_back, False, case.guidance)


def _jitter(case: Case, attempt: int, key: str) -> float:
    base = settings.RETRY_BASE_SECONDS if case.base is None else case.base
    cap = settings.RETRY_CAP_SECONDS if case.cap is None else case.cap
    span = min(cap, base * 2.0 ** min(max(attempt, 1), 30))
    draw = int.from_bytes(hashlib.sha256(f"{key}|{attempt}".encode()).digest()[:8], "big") / 2**64
    floor = base if case.base is not None else 0.0  # a lock never clears in no time
    return round(max(floor, draw * span), 3)
