"""OData as F&O speaks it: wildcards inside eq, enums as typed literals, no `in` (wire: data entities)."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Any, TypeAlias

from connectors.simulator.fo.entities import ENUMS, EntitySet, Kind, Property, parse_moment
from connectors.simulator.messages import Refusal
from connectors.simulator.store import Fields

Predicate: TypeAlias = Callable[[Fields], bool]

ENUM_NAMESPACE = "Microsoft.Dynamics.DataEntities."
TOKEN = re.compile(
    r"\s*(?:(?P<enum>Microsoft\.Dynamics\.DataEntities\.\w+'(?:[^']|'')*')|(?P<text>'(?:[^']|'')*')"
    r"|(?P<moment>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d)?)?)|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>\w+)|(?P<mark>[(),=]))"
)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


@dataclass(frozen=True)
class Token:
    """One word of a filter and what sort of word it is."""

    sort: str
    text: str


def tokens_of(expression: str) -> list[Token]:
    """Cut a filter into tokens, or refuse with 400."""
    found: list[Token] = []
    position = 0
    expression = expression.rstrip()
    while position < len(expression):
        match = TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            raise Refusal(400, f"Syntax error at position {position} in '{expression}'.")
        found.append(Token(match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return found


def unquoted(text: str) -> str:
    """Take the quotes off a text literal; a doubled quote inside is one."""
    return text[1:-1].replace("''", "'")


@lru_cache(maxsize=4096)
def _wildcard(pattern: str) -> re.Pattern[str]:
    # Only the star is special to F&O; fnmatch would also read [ and ?.
    return re.compile(translate(re.sub(r"([\[?])", r"[\1]", pattern)), re.IGNORECASE)


class FilterParser:
    """Reads `or` over `and` over `not` over comparisons; a filter nested too deep is refused."""

    def __init__(self, entity: EntitySet, expression: str) -> None:
        self.entity = entity
        self.expression = expression
        self.tokens = tokens_of(expression)
        self.position = 0

    def parse(self) -> Predicate:
        """Read the whole filter."""
        try:
            predicate = self._any()
        except RecursionError:
            raise Refusal(400, "The filter is nested too deeply.") from None
        if self.position != len(self.tokens):
            raise self._syntax()
        return predicate

    def _syntax(self) -> Refusal:
        return Refusal(400, f"Syntax error at position {self.position} in '{self.expression}'.")

    def _take(self, *words: str) -> bool:
        if self.position < len(self.tokens) and self.tokens[self.position].text in words:
            self.position += 1
            return True
        return False

    def _next(self) -> Token:
        if self.position >= len(self.tokens):
            raise self._syntax()
        self.position += 1
        return self.tokens[self.position - 1]

    def _any(self) -> Predicate:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else lambda fields: any(part(fields) for part in parts)

    def _all(self) -> Predicate:
        parts = [self._not()]
        while self._take("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else lambda fields: all(part(fields) for part in parts)

    def _not(self) -> Predicate:
        if self._take("not"):
            inner = self._not()
            return lambda fields: not inner(fields)
        if self._take("("):
            inner = self._any()
            if not self._take(")"):
                raise self._syntax()
            return inner
        return self._comparison()

    def _comparison(self) -> Predicate:
        left, verb, right = self._next(), self._next(), self._next()
        if left.sort != "word" or verb.text not in COMPARE:
            raise self._syntax()
        return comparison(self.entity.property(left.text), verb.text, right)


def comparison(prop: Property, verb: str, literal: Token) -> Predicate:
    """Build one comparison; refuses literals of the wrong type, as the real service does."""
    name = prop.name
    if literal.text == "null":
        return lambda fields: verb == "ne"
    value = _literal(prop, literal)
    if prop.kind is Kind.ENUM and verb not in ("eq", "ne"):
        raise Refusal(400, f"The enum property '{name}' supports only eq and ne.")
    if prop.kind is Kind.TEXT:
        return _text_comparison(name, verb, value)
    compare = COMPARE[verb]
    if prop.kind is Kind.MOMENT:
        return lambda fields: compare(parse_moment(fields[name]), value)
    return lambda fields: compare(fields[name], value)


def _text_comparison(name: str, verb: str, value: str) -> Predicate:
    if "*" in value and verb in ("eq", "ne"):
        pattern = _wildcard(value)
        return lambda fields: (pattern.match(fields[name]) is not None) == (verb == "eq")
    compare, folded = COMPARE[verb], value.casefold()
    return lambda fields: compare(fields[name].casefold(), folded)


def _literal(prop: Property, literal: Token) -> Any:
    if prop.kind is Kind.ENUM and literal.sort == "enum":
        kind, _, rest = literal.text.removeprefix(ENUM_NAMESPACE).partition("'")
        symbol = unquoted(f"'{rest}")
        if kind == prop.enum and symbol in ENUMS[kind]:
            return symbol
    elif prop.kind is Kind.TEXT and literal.sort == "text":
        return unquoted(literal.text)
    elif prop.kind is Kind.MOMENT and literal.sort == "moment":
        moment = parse_moment(literal.text)
        if moment is not None:
            return moment
    elif prop.kind in (Kind.MONEY, Kind.NUMBER, Kind.INTEGER) and literal.sort == "number":
        return float(literal.text) if "." in literal.text else int(literal.text)
    raise Refusal(
        400, f"A binary operator with incompatible types was detected for property '{prop.name}' and {literal.text}."
    )


def parse_filter(entity: EntitySet, expression: str) -> Predicate:
    """Turn a `$filter` into a predicate over one entity's fields."""
    return FilterParser(entity, expression).parse()


def parse_order(entity: EntitySet, expression: str) -> list[tuple[str, bool]]:
    """Turn an `$orderby` into (property, descending) pairs."""
    order = []
    for part in expression.split(","):
        words = part.split()
        if not words or len(words) > 2 or (len(words) == 2 and words[1] not in ("asc", "desc")):
            raise Refusal(400, f"Syntax error in $orderby '{expression}'.")
        order.append((entity.property(words[0]).name, words[1:] == ["desc"]))
    return order


def parse_key(entity: EntitySet, text: str) -> Fields:
    """Read `(dataAreaId='usmf',SalesOrderNumber='SO-1')`; an Int64 key stands unquoted."""
    tokens = tokens_of(text)
    fields: Fields = {}
    for start in range(0, len(tokens), 4):
        group = tokens[start : start + 4]
        whole = len(group) in (3, 4) and group[0].sort == "word" and group[1].text == "="
        if not whole or (len(group) == 4 and group[3].text != ","):
            raise Refusal(400, f"Bad key '({text})' for entity '{entity.name}'.")
        prop = entity.property(group[0].text)
        fields[prop.name] = _literal(prop, group[2])
    if set(fields) != set(entity.keys):
        raise Refusal(400, f"The key of '{entity.name}' must name {', '.join(entity.keys)}.")
    return fields
