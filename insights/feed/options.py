"""Reads the system query options of an address: what is selected, in which order, from where and how many."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from insights.feed.edm import unpack
from insights.feed.problems import FeedError, not_offered
from insights.feed.sets import EntitySet, Property
from insights.feed.syntax import Node, parse_filter

PAGE = 1_000
LARGEST_PAGE = 5_000
_MOST = 2**31
_ORDERS = 6
_KNOWN = {"$select", "$filter", "$orderby", "$top", "$skip", "$count", "$skiptoken", "$format", "$schemaversion"}
_LEFT_OUT = {"$apply", "$expand", "$search", "$compute", "$deltatoken", "$index", "$levels", "$batch", "$root"}


@dataclass(frozen=True)
class Place:
    """Where the last page ended: the values that its last row is ordered by, and how many rows were sent so far."""

    values: tuple[Any, ...]
    sent: int
    size: int


@dataclass(frozen=True)
class Question:
    """What is asked of one entity set. ``order`` ends in the key, so that no two rows share a place."""

    chosen: tuple[Property, ...]
    whole: bool
    order: tuple[tuple[Property, bool], ...]
    where: Node | None = None
    top: int | None = None
    skip: int = 0
    count: bool = False
    place: Place | None = None
    size: int = PAGE


def question(entity_set: EntitySet, given: QueryDict, *, prefer: str = "") -> Question:
    """Return what ``given`` asks. Raises ``FeedError`` for what cannot be meant and what is not offered."""
    check_names(given, _KNOWN)
    order = _order(entity_set, given.get("$orderby", ""))
    place = _place(given.get("$skiptoken", ""), order)
    text = given.get("$filter", "").strip()
    if "$filter" in given and not text:
        raise FeedError("$filter is empty.", target="$filter")
    chosen = _chosen(entity_set, given.get("$select", ""))
    return Question(
        chosen=chosen or entity_set.properties,
        whole=not chosen,
        order=order,
        where=parse_filter(text, entity_set) if text else None,
        top=_number(given, "$top"),
        skip=_number(given, "$skip") or 0,
        count=_flag(given, "$count"),
        place=place,
        size=place.size if place else page_size(prefer),
    )


def check_names(given: QueryDict, known: set[str]) -> None:
    """Raise ``FeedError`` for an option that is given twice, is not offered, or does not exist."""
    for name, values in given.lists():
        if not name.startswith("$"):
            continue  # an option of the caller's own, which the standard lets us pass over
        if name in _LEFT_OUT:
            raise not_offered(f"The option {name}", target=name)
        if name not in known:
            raise FeedError(f"There is no option {name[:40]} here.", target=name[:40])
        if len(values) > 1:
            raise FeedError(f"{name} is given more than once.", target=name)


def page_size(prefer: str) -> int:
    """Return how many rows a page has: what ``Prefer: odata.maxpagesize`` asks for, within bounds."""
    for part in prefer.replace(";", ",").split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() in ("odata.maxpagesize", "maxpagesize") and value.strip('"').isdigit():
            return max(1, min(int(value.strip('"')[:9]), LARGEST_PAGE))
    return PAGE


def token(values: list[Any], sent: int, size: int) -> str:
    """Return where a page ended as one opaque word; ``values`` are plain JSON."""
    text = json.dumps([values, sent, size], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(text: str, order: tuple[tuple[Property, bool], ...]) -> Place | None:
    if not text:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        if len(raw) > 20_000:
            raise ValueError("too long")
        values, sent, size = json.loads(raw)
        if len(values) != len(order) or not all(isinstance(one, int) for one in (sent, size)):
            raise ValueError("made for another question")
        if not (0 <= sent < _MOST and 1 <= size <= LARGEST_PAGE):
            raise ValueError("out of range")
        for value, (one, _) in zip(values, order, strict=True):
            if value is None and not one.nullable:
                raise ValueError("a value is missing")
        read = tuple(unpack(one.type, value) for value, (one, _) in zip(values, order, strict=True))
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError):
        raise FeedError("$skiptoken was not given out for this question; start again.", target="$skiptoken") from None
    return Place(read, sent, size)


def _chosen(entity_set: EntitySet, text: str) -> tuple[Property, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or "*" in names:
        return ()
    wanted = {entity_set.column(name, target="$select").name for name in names}
    return tuple(one for one in entity_set.properties if one.name in wanted)


def _order(entity_set: EntitySet, text: str) -> tuple[tuple[Property, bool], ...]:
    """Return the properties to order by, each with whether it falls; the key stands at the end."""
    found: dict[str, tuple[Property, bool]] = {}
    for part in text.split(",") if text.strip() else []:
        words = part.split()
        if not words or len(words) > 2 or (len(words) == 2 and words[1] not in ("asc", "desc")):
            raise FeedError(f"$orderby cannot be read at “{part.strip()[:40]}”.", target="$orderby")
        if not words[0].isidentifier():
            raise not_offered("Ordering by anything but a property", target="$orderby")
        one = entity_set.column(words[0], target="$orderby")
        found.setdefault(one.name, (one, words[-1] == "desc"))
    if len(found) > _ORDERS:
        raise FeedError(f"$orderby takes at most {_ORDERS} properties.", target="$orderby")
    for name in entity_set.key:
        found.setdefault(name, (entity_set.by_name[name], False))
    return tuple(found.values())


def _number(given: QueryDict, name: str) -> int | None:
    if name not in given:
        return None
    text = str(given[name]).strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) >= _MOST:
        raise FeedError(f"{name} must be a whole number from 0 to {_MOST - 1}.", target=name)
    return int(text)


def _flag(given: QueryDict, name: str) -> bool:
    text = str(given.get(name, "false")).strip()
    if text not in ("true", "false"):
        raise FeedError(f"{name} is true or false.", target=name)
    return text == "true"
