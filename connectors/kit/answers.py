"""From an HTTP answer to an exact failure: one table for every kind of system."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from connectors.base import (
    ConnectorError,
    Locked,
    NotFound,
    RateLimited,
    Refused,
    Unanswered,
    Unauthorized,
    VersionConflict,
)
from connectors.transport import NotJson, Reply

LONGEST_WAIT = 86_400.0


@dataclass(frozen=True)
class Explained:
    """What a system's error body says, in its own words, without traces of its code."""

    message: str
    code: str = ""
    locked: bool = False  # somebody is editing the record, or two writes collided: short waits help
    limited: float | None = None  # a limit was reached although the status does not say so: seconds to wait
    missing: bool = False  # the record is not there, whatever the status
    refused: bool = False  # a business rule said no, whatever the status: nothing was done
    conflict: bool = False  # the record has changed since it was read, whatever the status


Explain = Callable[[Reply], Explained]


def raise_for(reply: Reply, *, label: str, wrote: bool, explain: Explain) -> None:
    """Raise what went wrong, or return where nothing did.

    For a write every 5xx is ``Unanswered``, 503 with Retry-After too: the commit may have come before it.
    A web page is no answer of the system, so whatever its status, it proves nothing about the record.
    """
    if 200 <= reply.status < 300:
        if reply.is_page and reply.body:
            raise Unanswered(f"{label} answered with a web page instead of data.", status=reply.status, code="html")
        return
    raise failure(reply, label=label, wrote=wrote, explain=explain)


def failure(reply: Reply, *, label: str, wrote: bool, explain: Explain) -> ConnectorError:
    """Return the failure that an answer outside 2xx means."""
    status, wait = reply.status, retry_after(reply.headers.get("retry-after", ""), reply.headers.get("date", ""))
    if status == 401:
        return Unauthorized(f"{label} does not accept the credentials.", status=401)
    if status == 429:
        return RateLimited(f"{label} asks to wait.", status=429, retry_after=wait)
    if reply.is_page:
        return Unanswered(f"{label} answered {status} with a web page instead of data.", status=status, code="html")
    said = _explained(reply, explain)
    message = f"{label}: {said.message}" if said.message else f"{label} answered {status}."
    if 300 <= status < 400:
        message = f"{label} answered {status} and points elsewhere; redirects are not followed."
    if said.limited is not None:
        wait = wait or said.limited
    kind = _kind(status, said, wrote=wrote, waiting=wait is not None)
    return kind(message, status=status, code=said.code, retry_after=wait)


def _kind(status: int, said: Explained, *, wrote: bool, waiting: bool) -> type[ConnectorError]:
    """Name the failure; what the body says goes before what the status says."""
    if said.limited is not None:
        return RateLimited
    if said.locked:
        return Locked
    if said.refused:
        return Refused
    if said.conflict:
        return VersionConflict
    if status == 503 and waiting and not wrote:
        return RateLimited
    if status >= 500 or status == 408:
        return Unanswered
    if status == 412:
        return VersionConflict
    return NotFound if said.missing or status in (404, 410) else Refused


def retry_after(text: str, date: str = "") -> float | None:
    """Read a Retry-After header: seconds or an HTTP date; ``None`` where there is none that can be read.

    A date is held against the answer's own ``date``, where it has one: the system's clock may not be ours. Of several
    numbers, as proxies join them, the longest counts.
    """
    numbers = [_number(part) for part in text.split(",")]
    if None not in numbers:
        seconds = max(number for number in numbers if number is not None)
    else:
        until, told = _moment(text), _moment(date)
        if until is None:
            return None
        seconds = (until - (told or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _explained(reply: Reply, explain: Explain) -> Explained:
    try:
        said = explain(reply)
    except (NotJson, KeyError, TypeError, ValueError, AttributeError, IndexError):
        return Explained("")
    return replace(said, message=said.message[:1000], code=said.code[:100])
