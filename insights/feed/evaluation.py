"""Asks a parsed filter of a row in memory, for the sets that are mined rather than stored. Says the same as the ORM."""

from collections.abc import Callable
from datetime import UTC
from decimal import Decimal
from typing import Any

from insights.feed.sets import Row
from insights.feed.syntax import Among, Compare, Field, Function, Joined, Match, Node, Not
from insights.feed.words import Literal

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "tolower": lambda value: value.lower(),
    "toupper": lambda value: value.upper(),
    "trim": lambda value: value.strip(" "),
    "length": len,
    "year": lambda value: _utc(value).year,
    "month": lambda value: _utc(value).month,
    "day": lambda value: _utc(value).day,
    "hour": lambda value: _utc(value).hour,
    "date": lambda value: _utc(value).date(),
}
_MATCHES: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda value, text: text in value,
    "startswith": lambda value, text: value.startswith(text),
    "endswith": lambda value, text: value.endswith(text),
}


def holds(node: Node, row: Row) -> bool:
    """Tell whether ``row`` meets the condition ``node``."""
    match node:
        case Joined():
            found = (holds(part, row) for part in node.parts)
            return all(found) if node.word == "and" else any(found)
        case Not():
            return not holds(node.of, row)
        case Compare():
            return _compared(node.op, _value(node.left, row), _value(node.right, row))
        case Among():
            value = _value(node.of, row)
            return any(_compared("eq", value, choice.value) for choice in node.choices)
        case Match():
            text = _value(node.of, row)
            return text is not None and _MATCHES[node.how](text, node.text)
        case _:
            return _value(node, row) is True


def pinned(node: Node | None) -> dict[str, Any]:
    """Return the properties that every row must equal, with their values: such a set need not be made whole."""
    if isinstance(node, Joined) and node.word == "and":
        found: dict[str, Any] = {}
        for part in node.parts:
            found |= pinned(part)
        return found
    if isinstance(node, Compare) and node.op == "eq" and isinstance(node.left, Field):
        return {node.left.column.name: node.right.value} if isinstance(node.right, Literal) else {}
    return {}


def _compared(op: str, one: Any, other: Any) -> bool:
    if op in ("eq", "ne"):
        return bool(_plain(one) == _plain(other)) == (op == "eq")
    return one is not None and other is not None and _ORDER[op](_plain(one), _plain(other))


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _value(node: Node, row: Row) -> Any:
    match node:
        case Literal():
            return node.value
        case Field():
            return row[node.column.name]
        case Function():
            of = _value(node.of, row)
            return None if of is None else _FUNCTIONS[node.name](of)
        case _:
            return holds(node, row)


def _utc(value: Any) -> Any:
    return value.astimezone(UTC) if hasattr(value, "tzinfo") else value
