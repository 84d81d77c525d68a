"""Where an action came from: carried beside the call, so that no signature has to."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """The way in (console, api, admin, hook, task, command), the request's id and the caller's address."""

    channel: str = "system"
    request_id: str = ""
    address: str = ""


_source: ContextVar[Source] = ContextVar("goldseam_source", default=Source())


def current() -> Source:
    """Return the source of what is being done now."""
    return _source.get()


@contextmanager
def coming_from(source: Source) -> Iterator[None]:
    """Mark everything done inside as coming from ``source``."""
    token = _source.set(source)
    try:
        yield
    finally:
        _source.reset(token)
