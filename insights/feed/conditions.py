"""Turns a parsed filter into a condition of the ORM. Every value becomes a parameter; nothing becomes SQL text.

Comparisons are made two-valued first: in OData null equals null, differs from every value, and is neither more nor
less than any, so `not` must not turn an unknown into another unknown.
"""

from dataclasses import dataclass, field
from datetime import UTC
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import F, FloatField, Q, Value
from django.db.models.functions import (
    Cast,
    ExtractDay,
    ExtractHour,
    ExtractMonth,
    ExtractYear,
    Left,
    Length,
    Right,
    StrIndex,
    Trim,
    TruncDate,
)

from insights.feed import edm
from insights.feed.edm import EdmType
from insights.feed.folding import Lower, Upper
from insights.feed.sets import Property
from insights.feed.syntax import Among, Compare, Field, Function, Joined, Match, Node, Not
from insights.feed.words import Literal

_PLAIN = {"tolower": Lower, "toupper": Upper, "trim": Trim, "length": Length}
_PARTS = {"year": ExtractYear, "month": ExtractMonth, "day": ExtractDay, "hour": ExtractHour}
_LOOKUPS = {"eq": "exact", "gt": "gt", "ge": "gte", "lt": "lt", "le": "lte"}
_COLUMNS: dict[EdmType, Any] = {
    edm.STRING: models.TextField,
    edm.GUID: models.TextField,
    edm.BOOLEAN: models.BooleanField,
    edm.INT: models.BigIntegerField,
    edm.DECIMAL: models.FloatField,
    edm.DOUBLE: models.FloatField,
    edm.DATE: models.DateField,
    edm.TIME: models.DateTimeField,
}
_LARGEST = Decimal(10) ** 15


@dataclass
class Condition:
    """A condition and the expressions it speaks of, by the names that it gives them."""

    where: Q = field(default_factory=Q)
    names: dict[str, Any] = field(default_factory=dict)


def condition_of(node: Node) -> Condition:
    """Return ``node`` as a condition on rows that ``names`` have been added to with ``alias``."""
    builder = _Builder()
    return Condition(builder.where(node), builder.names)


class _Builder:
    """Collects the expressions while it builds the condition."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}

    def where(self, node: Node) -> Q:
        match node:
            case Joined():
                parts = [self.where(part) for part in node.parts]
                found = parts[0]
                for part in parts[1:]:
                    found = found & part if node.word == "and" else found | part
                return found
            case Not():
                return ~self.where(node.of)
            case Compare():
                return self.compared(node)
            case Among():
                return self.among(node)
            case Match():
                return self.matched(node)
            case _:
                return self.known(node, Q(**{f"{self.name(node)}__exact": True}))

    def compared(self, node: Compare) -> Q:
        if node.left.type is edm.BOOLEAN and not isinstance(node.left, Field | Literal):
            return self.truth(node)
        name = self.name(node.left)
        empty = Q(**{f"{name}__isnull": True})
        if node.right.type is edm.NULL:
            return {"eq": empty, "ne": ~empty}.get(node.op, Q(pk__in=[]))
        if isinstance(node.right, Literal):
            name, value = self.fitting(node.left, name, node.right.value)
            same = self.known(node.left, Q(**{f"{name}__{_LOOKUPS.get(node.op, 'exact')}": value}))
            return ~same if node.op == "ne" else same
        other = self.name(node.right)
        both = Q(**{f"{name}__isnull": False, f"{other}__isnull": False})
        holds = both & Q(**{f"{name}__{_LOOKUPS.get(node.op, 'exact')}": F(other)})
        if node.op in ("eq", "ne"):
            holds = holds | (empty & Q(**{f"{other}__isnull": True}))
        return ~holds if node.op == "ne" else holds

    def truth(self, node: Compare) -> Q:
        """Compare a condition with true or false, as some clients write ``contains(a,'b') eq true``."""
        left = self.where(node.left)
        if isinstance(node.right, Literal):
            if node.right.value is None:
                return ~(left | ~left) if node.op == "eq" else left | ~left
            return left if node.right.value == (node.op == "eq") else ~left
        right = self.where(node.right)
        same = (left & right) | (~left & ~right)
        return same if node.op == "eq" else ~same

    def among(self, node: Among) -> Q:
        found = Q()
        for choice in node.choices:
            found |= self.compared(Compare("eq", node.of, choice))
        return found

    def matched(self, node: Match) -> Q:
        name = self.name(node.of)
        if not node.text:
            return Q(**{f"{name}__isnull": False})
        # LIKE would ignore case on one database and not on the other.
        if node.how == "contains":
            return self.known(node.of, Q(**{f"{self.add(StrIndex(F(name), Value(node.text)))}__gt": 0}))
        cut = Left if node.how == "startswith" else Right
        return self.known(node.of, Q(**{f"{self.add(cut(F(name), len(node.text)))}__exact": node.text}))

    def known(self, node: Node, holds: Q) -> Q:
        """Add that the value is there, so that the condition is never unknown."""
        return holds & Q(**{f"{self.name(node)}__isnull": False}) if _may_be_empty(node) else holds

    def fitting(self, node: Node, name: str, value: Any) -> tuple[str, Any]:
        """Return what to compare with which value: numbers that the column's type cannot hold, as floating point."""
        if not isinstance(value, Decimal | int) or isinstance(value, bool):
            return name, value
        number = Decimal(value)
        if node.type is edm.INT and number == number.to_integral_value() and abs(number) < 2**63:
            return name, int(number)
        cents = abs(number) < _LARGEST and number == number.quantize(Decimal("0.01"))
        if node.type is edm.DECIMAL and cents:
            return name, number
        return self.add(Cast(F(name), FloatField())), float(number)

    def name(self, node: Node) -> str:
        """Return the name under which the value of ``node`` can be looked up."""
        match node:
            case Field():
                return self.of(node.column)
            case Literal():
                column = _COLUMNS.get(node.type, models.TextField)()
                value = float(node.value) if isinstance(node.value, Decimal) else node.value
                return self.add(Value(value, output_field=column))
            case Function():
                return self.add(_called(node.name, self.name(node.of), node.of.type))
            case _:
                raise TypeError(f"{type(node).__name__} is a condition, not a value")

    def of(self, one: Property) -> str:
        return one.path if isinstance(one.path, str) else self.add(one.path, f"o_{one.name}")

    def add(self, expression: Any, name: str = "") -> str:
        name = name or f"o{len(self.names)}"
        self.names[name] = expression
        return name


def _called(function: str, name: str, of: EdmType) -> Any:
    if function in _PLAIN:
        return _PLAIN[function](F(name))
    zone = UTC if of is edm.TIME else None
    return TruncDate(F(name), tzinfo=zone) if function == "date" else _PARTS[function](F(name), tzinfo=zone)


def _may_be_empty(node: Node) -> bool:
    match node:
        case Field():
            return node.column.nullable
        case Function():
            return _may_be_empty(node.of)
        case Literal():
            return node.value is None
        case _:
            return False
