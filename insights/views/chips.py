"""A filter in words: one chip for each part, with the filter that is left without it; and how a form adds a part."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from insights.mining.filters import Filter
from insights.mining.wording import duration

_SPANS = {"started": "Started", "ended": "Ended", "within": "Wholly", "touching": "Under way"}
_LISTS = {
    "including": "With {}",
    "excluding": "Without {}",
    "repeats": "{} more than once",
}
_PAIRS = {"edges": "{} directly before {}", "follows": "{} some time before {}"}
UNITS = {"minutes": 60.0, "hours": 3600.0, "days": 86400.0}


@dataclass(frozen=True)
class Chip:
    """One part of a filter in words, and what is left without it."""

    words: str
    without: Filter


def chips(filter: Filter) -> list[Chip]:
    """Return the parts of ``filter``."""
    return [*_attributes(filter), *_time(filter), *_activities(filter), *_lengths(filter)]


def _or(values: tuple[Any, ...]) -> str:
    return " or ".join(str(one) if one != "" else "nothing" for one in values)


def _attributes(filter: Filter) -> Iterator[Chip]:
    for part, words in (("attributes", "is"), ("not_attributes", "is not")):
        held = getattr(filter, part)
        for one in held:
            yield Chip(f"{one[0]} {words} {_or(one[1])}", _less(filter, part, one))
    for part, words in (("minima", "at least"), ("maxima", "at most")):
        for one in getattr(filter, part):
            yield Chip(f"{one[0]} {words} {one[1]:,g}", _less(filter, part, one))


def _less(filter: Filter, part: str, one: Any) -> Filter:
    left: dict[str, Any] = {part: tuple(other for other in getattr(filter, part) if other != one)}
    return replace(filter, **left)


def _time(filter: Filter) -> Iterator[Chip]:
    if filter.begin or filter.until:
        since = f" from {filter.begin:%Y-%m-%d %H:%M}" if filter.begin else ""
        until = f" before {filter.until:%Y-%m-%d %H:%M}" if filter.until else ""
        words = (_SPANS[filter.time] + since + until).replace(" 00:00", "")
        yield Chip(words, replace(filter, begin=None, until=None, time="started"))


def _activities(filter: Filter) -> Iterator[Chip]:
    if filter.variants:
        yield Chip(f"Variant {_or(filter.variants)}", replace(filter, variants=()))
    for part, words in (*_LISTS.items(), *_PAIRS.items()):
        for one in getattr(filter, part):
            told = one if isinstance(one, tuple) else (one,)
            yield Chip(words.format(*told), _less(filter, part, one))
    for part, words in (("starts", "Begins with"), ("ends", "Ends with")):
        if held := getattr(filter, part):
            none: dict[str, Any] = {part: ()}
            yield Chip(f"{words} {_or(held)}", replace(filter, **none))


def _lengths(filter: Filter) -> Iterator[Chip]:
    if filter.min_seconds is not None:
        yield Chip(f"Takes at least {duration(filter.min_seconds)}", replace(filter, min_seconds=None))
    if filter.max_seconds is not None:
        yield Chip(f"Takes at most {duration(filter.max_seconds)}", replace(filter, max_seconds=None))


# What a form says (f_…), as words of a filter's query; each needs what stands beside it.
_VERBS = {"with": "with", "without": "without", "repeats": "repeats", "start": "start", "end": "end"}
_COUPLES = {"edge": ("edge_from", "edge_to"), "follows": ("follows_from", "follows_to")}
_IS = {"is": "attribute", "not": "not", "min": "min", "max": "max"}


def added(form: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what a form adds to a filter, as parameters of its query string; nonsense is for the filter to refuse."""
    said: dict[str, list[str]] = {}
    verb, one, then = (form.get(key, "").strip() for key in ("f_do", "f_activity", "f_then"))
    if one and verb in _VERBS:
        said[_VERBS[verb]] = [one]
    elif one and verb in _COUPLES:
        first, second = _COUPLES[verb]
        said[first], said[second] = [one], [then]
    name, how = form.get("f_attribute", ""), form.get("f_is", "is")
    if name and how == "empty":
        said[f"attribute.{name}"] = [""]
    elif name and (value := form.get("f_value", "").strip()):
        said[f"{_IS.get(how, 'attribute')}.{name}"] = [value]
    said |= {key: [form[f"f_{key}"]] for key in ("from", "to") if form.get(f"f_{key}")}
    if "from" in said or "to" in said:
        said["time"] = [form.get("f_time") or "started"]
    return said | _spans(form)


def _spans(form: Mapping[str, str]) -> dict[str, list[str]]:
    size = UNITS.get(form.get("f_unit", ""), UNITS["days"])
    said = {}
    for key, name in (("f_least", "min_seconds"), ("f_most", "max_seconds")):
        if text := form.get(key, "").strip().replace(",", "."):
            try:
                said[name] = [repr(float(text) * size)]
            except ValueError:
                said[name] = [text]
    return said
