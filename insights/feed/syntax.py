"""Reads ``$filter``: a recursive-descent parser over an allow-list, bounded in length, depth and size.

The grammar is the part of OASIS OData 4.01, part 2, section 5.1.1 that clients of a report need. Names are resolved
against one entity set and types are checked here, so that whatever comes out can be asked of a database.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NoReturn

from insights.feed import edm
from insights.feed.edm import EdmType
from insights.feed.problems import FeedError, not_offered
from insights.feed.sets import EntitySet, Property
from insights.feed.words import Literal, Token, literal_of, tokens

LONGEST = 4_000
DEEPEST = 30
MOST_NODES = 300
MOST_CHOICES = 200
COMPARISONS = ("eq", "ne", "gt", "ge", "lt", "le")
MATCHES = ("contains", "startswith", "endswith")
# Of one argument: what it takes and what it gives.
FUNCTIONS: dict[str, tuple[tuple[EdmType, ...], EdmType]] = {
    "tolower": ((edm.STRING,), edm.STRING),
    "toupper": ((edm.STRING,), edm.STRING),
    "trim": ((edm.STRING,), edm.STRING),
    "length": ((edm.STRING,), edm.INT),
    "year": ((edm.TIME, edm.DATE), edm.INT),
    "month": ((edm.TIME, edm.DATE), edm.INT),
    "day": ((edm.TIME, edm.DATE), edm.INT),
    "hour": ((edm.TIME,), edm.INT),
    "date": ((edm.TIME,), edm.DATE),
}
_FOLDED: dict[str, Callable[[str], str]] = {"tolower": str.lower, "toupper": str.upper, "trim": str.strip}
_LEFT_OUT = {"add", "sub", "mul", "div", "divby", "mod", "has"}


@dataclass(frozen=True)
class Field:
    """The value of a property."""

    column: Property

    @property
    def type(self) -> EdmType:
        """Return the property's type."""
        return self.column.type


@dataclass(frozen=True)
class Function:
    """A function of one value."""

    name: str
    of: "Node"
    type: EdmType


@dataclass(frozen=True)
class Compare:
    """Two values compared; one of them may be null."""

    op: str
    left: "Node"
    right: "Node"
    type: EdmType = edm.BOOLEAN


@dataclass(frozen=True)
class Among:
    """A value in a list of literals."""

    of: "Node"
    choices: tuple[Literal, ...]
    type: EdmType = edm.BOOLEAN


@dataclass(frozen=True)
class Match:
    """A text that contains, starts or ends with a literal one."""

    how: str
    of: "Node"
    text: str
    type: EdmType = edm.BOOLEAN


@dataclass(frozen=True)
class Not:
    """The contrary."""

    of: "Node"
    type: EdmType = edm.BOOLEAN


@dataclass(frozen=True)
class Joined:
    """Conditions of which all (``and``) or any (``or``) must hold."""

    word: str
    parts: tuple["Node", ...]
    type: EdmType = edm.BOOLEAN


Node = Literal | Field | Function | Compare | Among | Match | Not | Joined


def parse_filter(text: str, entity_set: EntitySet) -> Node:
    """Return the condition that ``text`` says about the rows of ``entity_set``. Raises ``FeedError``."""
    if len(text) > LONGEST:
        raise FeedError(f"$filter is longer than {LONGEST} characters.", target="$filter")
    return _Parser(list(tokens(text)), entity_set).whole()


class _Parser:
    """Walks the tokens once, from left to right."""

    def __init__(self, words: list[Token], entity_set: EntitySet) -> None:
        self.words = words
        self.set = entity_set
        self.index = 0
        self.depth = 0
        self.nodes = 0

    def whole(self) -> Node:
        found = self.either()
        if self.here.sort != "end":
            self.stop("an operator or the end")
        return _condition(found)

    @property
    def here(self) -> Token:
        return self.words[self.index]

    def next(self) -> Token:
        word = self.words[self.index]
        self.index = min(self.index + 1, len(self.words) - 1)
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise FeedError(f"$filter has more than {MOST_NODES} words.", target="$filter")
        return word

    def takes(self, text: str) -> bool:
        if self.here.text == text and self.here.sort in ("name", "mark"):
            self.next()
            return True
        return False

    def needs(self, text: str) -> None:
        if not self.takes(text):
            self.stop(f"“{text}”")

    def stop(self, wanted: str) -> NoReturn:
        found = f"“{self.here.text[:40]}”" if self.here.text else "the end"
        raise FeedError(
            f"$filter: {wanted} was expected at character {self.here.at + 1}, not {found}.", target="$filter"
        )

    def either(self) -> Node:
        return self.joined("or", self.all_of)

    def all_of(self) -> Node:
        return self.joined("and", self.single)

    def joined(self, word: str, part: Any) -> Node:
        parts = [part()]
        while self.takes(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Joined(word, tuple(_condition(one) for one in parts))

    def single(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise FeedError(f"$filter is nested more than {DEEPEST} deep.", target="$filter")
        try:
            return Not(_condition(self.single())) if self.takes("not") else self.comparison()
        finally:
            self.depth -= 1

    def comparison(self) -> Node:
        left = self.value()
        word = self.here
        if word.sort != "name":
            return left
        if word.text in COMPARISONS:
            self.next()
            return _compared(word.text, left, self.value())
        if word.text == "in":
            self.next()
            return self.among(left)
        if word.text in _LEFT_OUT:
            raise not_offered(f"The operator {word.text}", target="$filter")
        return left

    def among(self, left: Node) -> Node:
        self.needs("(")
        choices: list[Literal] = []
        while True:
            choice = literal_of(self.next())
            if choice is None:
                self.stop("a value")
            choices.append(_fitted(left, choice))
            if len(choices) > MOST_CHOICES:
                raise FeedError(f"A list holds at most {MOST_CHOICES} values.", target="$filter")
            if not self.takes(","):
                break
        self.needs(")")
        return Among(left, tuple(choices))

    def value(self) -> Node:
        if self.takes("("):
            inner = self.either()
            self.needs(")")
            return inner
        word = self.next()
        literal = literal_of(word)
        if literal is not None:
            return literal
        if word.sort != "name":
            self.index = max(self.index - 1, 0)
            self.stop("a property, a function or a value")
        if self.takes("("):
            return self.function(word.text)
        if self.here.text == "/":
            raise not_offered("A path over related rows", target="$filter")
        return Field(self.set.column(word.text))

    def function(self, name: str) -> Node:
        if name not in FUNCTIONS and name not in MATCHES:
            raise not_offered(f"The function {name[:40]}", target="$filter")
        given = [self.either()]
        while self.takes(","):
            given.append(self.either())
        self.needs(")")
        return _match(name, given) if name in MATCHES else _function(name, given)


def _condition(node: Node) -> Node:
    if node.type is not edm.BOOLEAN:
        raise FeedError("$filter must say something that is true or false of a row.", target="$filter")
    return node


def _match(name: str, given: list[Node]) -> Node:
    if len(given) != 2 or any(one.type is not edm.STRING for one in given):
        raise FeedError(f"{name} takes two texts.", target="$filter")
    of, text = given
    if not isinstance(text, Literal):
        raise not_offered(f"{name} with a second text that is not written out", target="$filter")
    return Match(name, of, text.value)


def _function(name: str, given: list[Node]) -> Node:
    takes, gives = FUNCTIONS[name]
    if len(given) != 1 or given[0].type not in takes:
        raise FeedError(f"{name} takes one {' or '.join(map(str, takes))}.", target="$filter")
    if isinstance(given[0], Literal) and gives is edm.STRING:
        return Literal(_FOLDED[name](str(given[0].value)), gives)
    return Function(name, given[0], gives)


def _compared(op: str, left: Node, right: Node) -> Node:
    if isinstance(left, Literal) and not isinstance(right, Literal):
        flipped = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}.get(op, op)
        return _compared(flipped, right, left)
    if isinstance(right, Literal):
        right = _fitted(left, right)
    elif not _comparable(left.type, right.type):
        raise FeedError(f"{left.type} and {right.type} cannot be compared.", target="$filter")
    if left.type is edm.BOOLEAN and op not in ("eq", "ne"):
        raise FeedError("True and false have no order.", target="$filter")
    return Compare(op, left, right)


def _comparable(one: EdmType, other: EdmType) -> bool:
    return one is other or (one.number and other.number) or edm.NULL in (one, other)


def _fitted(left: Node, literal: Literal) -> Literal:
    """Return ``literal`` in the type of what it is compared with, where that loses nothing."""
    if left.type is edm.TIME and literal.type is edm.DATE:
        day: date = literal.value
        return Literal(datetime(day.year, day.month, day.day, tzinfo=UTC), edm.TIME)
    if left.type is edm.STRING and literal.type is edm.GUID:
        return Literal(literal.value, edm.STRING)
    if not _comparable(left.type, literal.type):
        raise FeedError(f"{left.type} cannot be compared with {literal.type}.", target="$filter")
    return literal
