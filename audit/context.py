"""Where an action came from: carried beside the call, so that no signature has to."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Source:
    """The way in (console, api, admin, hook, task, command), the request's id, the caller's address and token."""

    channel: str = "system"
    request_id: str = ""
    address: str = ""
    token: str = ""


# The default is frozen, so sharing it is safe.
_source: ContextVar[Source] = ContextVar("goldseam_source", default=Source())  # noqa: B039


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


def with_token(prefix: str) -> None:
    """Add to the current source which token was shown; ends with the request that ``coming_from`` surrounds."""
    _source.set(replace(_source.get(), token=prefix))
