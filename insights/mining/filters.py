"""A filter says which cases of a log a question is about: read from a query string, told in one canonical form."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.dateparse import parse_date, parse_datetime

from audit.errors import Invalid
from insights.mining.attributes import column, held, typed
from insights.models import EventLog

# How a span of time chooses cases.
TIMES = ("started", "ended", "within", "touching")
MOST_TERMS = 50
MOST_TEXT = 1000
_ATTRIBUTE = re.compile(r"(attribute|not|min|max)\.(.+)", re.DOTALL)
_LISTS = ("variant", "with", "without", "repeats", "start", "end")
_PAIRS = (("follows_from", "follows_to"), ("edge_from", "edge_to"))
_SINGLE = ("from", "to", "time", "min_seconds", "max_seconds")

Pair = tuple[str, str]


@dataclass(frozen=True)
class Filter:
    """Which cases: every part that is given must hold. Immutable; two filters that mean the same are equal.

    An attribute's values are alternatives, and so are variants, starts and ends; activities ``including`` must all
    occur. An empty text means "not filled in". Bounds include their ends, but the end of a span of time.
    """

    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    not_attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    minima: tuple[tuple[str, float], ...] = ()
    maxima: tuple[tuple[str, float], ...] = ()
    begin: datetime | None = None
    until: datetime | None = None
    time: str = "started"
    variants: tuple[int, ...] = ()
    including: tuple[str, ...] = ()
    excluding: tuple[str, ...] = ()
    repeats: tuple[str, ...] = ()
    follows: tuple[Pair, ...] = ()
    edges: tuple[Pair, ...] = ()
    starts: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    min_seconds: float | None = None
    max_seconds: float | None = None

    def __bool__(self) -> bool:
        return bool(self.pairs())

    def pairs(self) -> list[tuple[str, str]]:
        """Return it as the parameters of a query string, in canonical order."""
        found = [(f"attribute.{name}", value) for name, values in self.attributes for value in values]
        found += [(f"not.{name}", value) for name, values in self.not_attributes for value in values]
        found += [(f"min.{name}", _told(value)) for name, value in self.minima]
        found += [(f"max.{name}", _told(value)) for name, value in self.maxima]
        for key, at in (("from", self.begin), ("to", self.until)):
            found += [(key, at.isoformat().replace("+00:00", "Z"))] if at else []
        if (self.begin or self.until) and self.time != "started":
            found.append(("time", self.time))
        found += [("variant", str(one)) for one in self.variants]
        lists = (self.including, self.excluding, self.repeats, self.starts, self.ends)
        for key, named in zip(("with", "without", "repeats", "start", "end"), lists, strict=True):
            found += [(key, one) for one in named]
        for (first, then), couples in zip(_PAIRS, (self.follows, self.edges), strict=True):
            found += [pair for one, other in couples for pair in ((first, one), (then, other))]
        for key, bound in (("min_seconds", self.min_seconds), ("max_seconds", self.max_seconds)):
            found += [(key, _told(bound))] if bound is not None else []
        return found

    def query(self) -> str:
        """Return the canonical query string; empty for everything. Equal filters have equal strings."""
        return urlencode(self.pairs())

    def also(self, **changes: Any) -> "Filter":
        """Return this filter narrowed: tuples are added to, single values are replaced."""
        merged: dict[str, Any] = {
            name: canonical((*getattr(self, name), *value)) if isinstance(value, tuple) else value
            for name, value in changes.items()
        }
        return replace(self, **merged)


EVERYTHING = Filter()


def canonical(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return ``values`` in one order and each once."""
    return tuple(sorted(set(values)))


@dataclass
class _Reading:
    """A query string being read: what was found wrong so far."""

    log: EventLog
    errors: dict[str, list[str]] = field(default_factory=dict)

    def wrong(self, key: str, message: str) -> None:
        self.errors.setdefault(key[:100], []).append(message)

    def attribute(self, key: str, name: str, types: tuple[str, ...] = ()) -> bool:
        known = {one.name: one.type for one in reversed(held(self.log))}
        if name not in known:
            self.wrong(key, "This log has no attribute of that name.")
        elif types and known[name] not in types:
            self.wrong(key, f"This attribute is a {known[name]}; a range needs a number.")
        else:
            return True
        return False

    def typed(self, key: str, name: str, given: list[str]) -> None:
        kind = column(self.log, name)[2]
        for one in given:
            try:
                typed(kind, one) if one else None
            except ValueError:
                self.wrong(key, f"This attribute is a {kind}, which “{one[:100]}” is not.")

    def amount(self, key: str, text: str, least: float = -math.inf) -> float | None:
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not math.isfinite(found) or found < least:
            self.wrong(key, "A number is needed here." if least < 0 else "A number from 0 up is needed here.")
            return None
        return found

    def moment(self, key: str, text: str) -> datetime | None:
        try:
            day = parse_date(text)
            at = datetime(day.year, day.month, day.day, tzinfo=UTC) if day else parse_datetime(text.replace(" ", "+"))
            at = at if at is None else (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            at = None
        if at is None:
            self.wrong(key, "A day (2026-11-03) or an ISO-8601 time (2026-11-03T12:00:00Z) is needed here.")
        return at


def parse(
    log: EventLog,
    query: QueryDict | Mapping[str, list[str]] | str,
    *,
    also: Iterable[str] = (),
    activities: Iterable[str] | None = None,
) -> Filter:
    """Read a filter of ``log`` from a query string; ``also`` names the parameters that belong to the page itself.

    ``activities``: the log's, to refuse a name that none of them has. Raises ``Invalid`` that names every parameter
    that cannot be meant: an unknown one too, because to leave it out would answer about more than was asked.
    """
    given = QueryDict(query) if isinstance(query, str) else query
    values = dict(given.lists()) if isinstance(given, QueryDict) else {key: list(one) for key, one in given.items()}
    values = {key: found for key, found in values.items() if key not in set(also)}
    reading = _Reading(log)
    _check_sizes(reading, values)
    found = Filter(**_attributes(reading, values), **_plain(reading, values))
    _check_unknown(reading, values)
    if activities is not None:
        _check_activities(reading, found, set(activities))
    if found.begin and found.until and found.begin >= found.until:
        reading.wrong("to", "The end must lie after the beginning.")
    if reading.errors:
        raise Invalid("Some parts of the filter cannot be meant.", reading.errors)
    return found


def _check_sizes(reading: _Reading, values: Mapping[str, list[str]]) -> None:
    if sum(len(found) for found in values.values()) > MOST_TERMS:
        raise Invalid(f"A filter has at most {MOST_TERMS} parts.", {"filter": [f"At most {MOST_TERMS} parts."]})
    for key, found in values.items():
        if any(len(one) > MOST_TEXT for one in (key, *found)):
            reading.wrong(key, f"At most {MOST_TEXT} characters.")


def _attributes(reading: _Reading, values: Mapping[str, list[str]]) -> dict[str, Any]:
    texts: dict[str, list[Any]] = {"attribute": [], "not": []}
    bounds: dict[str, list[Any]] = {"min": [], "max": []}
    for key, given in values.items():
        matched = _ATTRIBUTE.fullmatch(key)
        if not matched:
            continue
        how, name = matched.groups()
        if how in texts and reading.attribute(key, name):
            reading.typed(key, name, given)
            texts[how].append((name, canonical(given)))
        elif how in bounds and reading.attribute(key, name, ("number",)):
            # Forms send every field: an empty bound is none.
            bounds[how] += [(name, bound) for one in given if one and (bound := reading.amount(key, one)) is not None]
    return {
        "attributes": canonical(texts["attribute"]),
        "not_attributes": canonical(texts["not"]),
        "minima": canonical(bounds["min"]),
        "maxima": canonical(bounds["max"]),
    }


def _plain(reading: _Reading, values: Mapping[str, list[str]]) -> dict[str, Any]:
    single = {key: [one for one in values.get(key, []) if one] for key in _SINGLE}
    for key, given in single.items():
        if len(given) > 1:
            reading.wrong(key, "This can be given once.")
    last = {key: given[-1] for key, given in single.items() if given}
    time = last.get("time", "started")
    if time not in TIMES:
        reading.wrong("time", f"One of {', '.join(TIMES)}.")
    lists = {key: canonical(one for one in values.get(key, []) if one) for key in _LISTS}
    begin = reading.moment("from", last["from"]) if "from" in last else None
    until = reading.moment("to", last["to"]) if "to" in last else None
    return {
        "begin": begin,
        "until": until,
        "time": time if begin or until else "started",
        "variants": _variants(reading, lists["variant"]),
        "including": lists["with"],
        "excluding": lists["without"],
        "repeats": lists["repeats"],
        "starts": lists["start"],
        "ends": lists["end"],
        "follows": _couples(reading, values, *_PAIRS[0]),
        "edges": _couples(reading, values, *_PAIRS[1]),
        "min_seconds": reading.amount("min_seconds", last["min_seconds"], 0) if "min_seconds" in last else None,
        "max_seconds": reading.amount("max_seconds", last["max_seconds"], 0) if "max_seconds" in last else None,
    }


def _variants(reading: _Reading, given: tuple[str, ...]) -> tuple[int, ...]:
    found = [int(one) for one in given if one.isascii() and one.isdigit() and 0 < int(one[:12]) < 2**31]
    if len(found) < len(given):
        reading.wrong("variant", "The number of a variant is needed here, as the list of variants tells it.")
    return canonical(found)


def _couples(reading: _Reading, values: Mapping[str, list[str]], first: str, then: str) -> tuple[Pair, ...]:
    ones, others = values.get(first, []), values.get(then, [])
    if len(ones) != len(others):
        reading.wrong(first, f"Each {first} needs a {then}, in the same order.")
        return ()
    for one, other in zip(ones, others, strict=True):
        if bool(one) != bool(other):
            reading.wrong(first, f"Name both {first} and {then}.")
    return canonical((one, other) for one, other in zip(ones, others, strict=True) if one and other)


def _check_unknown(reading: _Reading, values: Mapping[str, list[str]]) -> None:
    known = {*_LISTS, *_SINGLE, *(key for couple in _PAIRS for key in couple)}
    for key in values:
        if key not in known and not _ATTRIBUTE.fullmatch(key):
            reading.wrong(key, "There is no such parameter.")


def _check_activities(reading: _Reading, found: Filter, known: set[str]) -> None:
    named = {
        "with": found.including,
        "without": found.excluding,
        "repeats": found.repeats,
        "start": found.starts,
        "end": found.ends,
        "follows_from": tuple(one for couple in found.follows for one in couple),
        "edge_from": tuple(one for couple in found.edges for one in couple),
    }
    for key, given in named.items():
        for one in given:
            if one not in known:
                reading.wrong(key, f"This log has no activity “{one[:100]}”.")


def _told(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
