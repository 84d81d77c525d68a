"""The records of a system that an administrator opens to changes: which entity, which of its fields, found by what.

One a line: ``VendorInvoiceHeaders(InvoicePaymentReleaseDate, ReleaseDateComment) by HeaderReference mark Remarks:60``.
Without parentheses every field is open. ``by`` names the fields of the key where the system has keys of its own.
``mark`` names the text field that takes our mark when a record is made, and how many letters fit into it.

What may be found is opened by lines of its own: ``Order(Status, AccountId) by OrderReferenceNumber``. In parentheses
stands what is read of a record, behind ``by`` the fields that it is found by, with what each holds where that is no
text (``AccountId:id``), and behind ``key`` the fields of the key where the kind does not know them.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from connectors.base import Blocked

MOST_LINES = 200
LONGEST_MARK = 64
SHORTEST_MARK = 16
_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,99}"
_NAMES = rf"{_NAME}(?:\s*,\s*{_NAME})*"
_LINE = re.compile(
    rf"(?P<entity>{_NAME})\s*(?:\(\s*(?P<fields>{_NAMES})\s*\))?(?:\s+by\s+(?P<key>{_NAMES}))?"
    rf"(?:\s+mark\s+(?P<mark>{_NAME})(?::(?P<length>\d{{1,3}}))?)?"
)
_HELD = rf"{_NAME}(?:\s*:\s*[A-Za-z]\w{{0,79}})?"
_FINDABLE = re.compile(
    rf"(?P<entity>{_NAME}(?:(?:;v=\d{{1,4}})?/{_NAME})?)\s*(?:\(\s*(?P<fields>{_NAMES})\s*\))?"
    rf"\s+by\s+(?P<by>{_HELD}(?:\s*,\s*{_HELD})*)(?:\s+key\s+(?P<key>{_NAMES}))?",
    re.ASCII,
)
MOST_FIELDS = 100
# What a field that is found by may hold; beside these stands the name of an enum, with a capital.
SORTS = ("text", "number", "whole", "yes_no", "date", "time", "id")


@dataclass(frozen=True)
class Opened:
    """One entity whose records may be changed: by its name, its fields (none named: all), its key and its mark."""

    entity: str
    fields: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    mark: str = ""
    mark_letters: int = LONGEST_MARK

    def closed(self, names: Iterable[str]) -> list[str]:
        """Return the fields among ``names`` that are not open."""
        known = {name.casefold() for name in self.fields}
        return sorted(name for name in names if known and name.casefold() not in known)

    def mark_of(self, effect_key: str) -> str:
        """Return what stands in the marked field for an effect: its key, or a digest of it where that is too long."""
        if len(effect_key) <= self.mark_letters:
            return effect_key
        return hashlib.sha256(effect_key.encode()).hexdigest()[: self.mark_letters]


@dataclass(frozen=True)
class Findable:
    """One entity whose records may be found: by which fields and what each holds, and what is read of a record."""

    entity: str
    by: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    key: tuple[str, ...] = ()


Line = TypeVar("Line", Opened, Findable)


@lru_cache(maxsize=64)
def opened_of(text: str) -> Mapping[str, Opened]:
    """Read the setting, by the entities' names in small letters. Raises ``ValueError``, which says what is wrong."""
    return _by_entity(text, _opened)


@lru_cache(maxsize=64)
def findable_of(text: str) -> Mapping[str, Findable]:
    """Read what may be found, by the entities' names in small letters. Raises ``ValueError``, which says what is wrong.

    Which entities have a path, which fields an enum and which entity a key that is not known, its kind says.
    """
    return _by_entity(text, _findable)


def _by_entity(text: str, read: Callable[[str], Line]) -> dict[str, Line]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > MOST_LINES:
        raise ValueError(f"at most {MOST_LINES} lines")
    found: dict[str, Line] = {}
    for line in lines:
        one = read(line)
        if one.entity.casefold() in found:
            raise ValueError(f"{one.entity} stands in two lines")
        found[one.entity.casefold()] = one
    return found


def _opened(line: str) -> Opened:
    parts = _LINE.fullmatch(line)
    if parts is None:
        raise ValueError(f"“{line[:80]}” cannot be read: write Entity(Field, Field) by KeyField mark TextField:60")
    letters = int(parts["length"] or LONGEST_MARK)
    if not SHORTEST_MARK <= letters <= LONGEST_MARK:
        raise ValueError(f"{parts['entity']}: a mark has from {SHORTEST_MARK} to {LONGEST_MARK} letters")
    return Opened(parts["entity"], _listed(parts["fields"]), _listed(parts["key"]), parts["mark"] or "", letters)


def _findable(line: str) -> Findable:
    parts = _FINDABLE.fullmatch(line)
    if parts is None:
        raise ValueError(f"“{line[:80]}” cannot be read: write Entity(Field, Field) by Field, Field:number")
    held = (part.partition(":") for part in _listed(parts["by"]))
    by = {name.strip(): sort.strip() or SORTS[0] for name, _, sort in held}
    fields, key = _listed(parts["fields"]), _listed(parts["key"])
    for name, sort in by.items():
        if sort not in SORTS and not sort[0].isupper():
            raise ValueError(f"{parts['entity']}: {name} holds “{sort}”; write {', '.join(SORTS[:-1])} or {SORTS[-1]}")
    if len({*by, *fields, *key}) > MOST_FIELDS:
        raise ValueError(f"{parts['entity']}: at most {MOST_FIELDS} fields")
    return Findable(parts["entity"], by, fields, key)


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def the_open(opened: Mapping[str, Opened], entity: str, fields: Iterable[str], connection: str) -> Opened:
    """Return the entity if these of its fields may be changed. Raises ``Blocked``, which says what may."""
    one = opened.get(entity.casefold())
    if one is None:
        known = ", ".join(sorted(found.entity for found in opened.values())) or "none"
        raise Blocked(f"{connection} may not change {entity}: open to changes are {known}.", code="entity")
    if closed := one.closed(fields):
        raise Blocked(
            f"{connection} may not change {closed[0]} of {one.entity}: open are {', '.join(one.fields)}.", code="entity"
        )
    return one
