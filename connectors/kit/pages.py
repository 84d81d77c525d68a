"""Where a system shows its records to people: links that a kind declares, held against the connection's own host."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from pydantic import Field, StringConstraints

from connectors.wire.roots import WithoutSlash

# What another system told of its record: its name of the kind of record, and the key that finds it again.
Naming = Callable[[str, Mapping[str, Any]], tuple[str, str] | None]
# A template that has none of its own applies to every kind of record.
ANY = "*"
_LONGEST = 500
FrontEnd = Annotated[str, StringConstraints(max_length=200, pattern=r"^(https?://\S+)?$"), WithoutSlash]
_PLACE = re.compile(r"\{(entity|key|first)\}")


def _nothing(event: str, payload: Mapping[str, Any]) -> None:
    """Name no record."""


@dataclass(frozen=True)
class Pages:
    """What a kind of system knows of its own front end.

    ``base`` and ``front`` name settings of the connection: the system's address, and that of its front end where it
    differs. A template is what stands behind it, with ``{entity}``, ``{key}`` and ``{first}``: the key up to its first
    slash, which may be a company.
    """

    base: str
    templates: Mapping[str, str]
    front: str = "front_end_url"
    # Which record an event that the system sent is about.
    names: Naming = field(default=_nothing)


@dataclass(frozen=True)
class Page:
    """A link to a record. ``exact``: it opens that record; else the form in which its key is to be searched for."""

    url: str
    exact: bool


def front_end() -> Any:
    """Return the setting of a kind whose front end may have an address of its own."""
    words = "Where people open records, if that is another address. Links to records lead there."
    return Field(default="", title="Front-end address", description=words, json_schema_extra={"link": True})


def page(pages: Pages, config: Mapping[str, Any], entity: str, key: str) -> Page | None:
    """Return the link to a record, ``None`` where the kind knows none or the address is not one to be trusted.

    Keys come from outside: whatever they hold, the link keeps the scheme and host that the connection is set up with.
    """
    template = pages.templates.get(entity) or pages.templates.get(ANY)
    root = str(config.get(pages.front) or config.get(pages.base) or "").rstrip("/")
    if not template or not key or not root:
        return None
    values = {"entity": entity, "key": key, "first": key.partition("/")[0]}
    filled = _PLACE.sub(lambda place: quote(values[place[1]], safe=""), template)
    url = root + filled
    return Page(url, "{key}" in template) if _trusted(url, root) else None


def _trusted(url: str, root: str) -> bool:
    try:
        made, given = urlsplit(url), urlsplit(root)
        same = (made.scheme, made.hostname, made.port) == (given.scheme, given.hostname, given.port)
    except ValueError:
        return False
    plain = "@" not in made.netloc and "\\" not in url and not any(letter.isspace() for letter in url)
    return same and plain and made.scheme in ("http", "https") and bool(made.hostname) and len(url) <= _LONGEST
