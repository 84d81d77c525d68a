"""Queries as Dataverse reads them: `$filter`, `$select`, `$orderby`, `$expand`, and how a row is drawn.

Facts (wire: dataverse 3): ``$select $filter $orderby $top $expand $count``; the page size is asked for by ``Prefer:
odata.maxpagesize``, at most 5,000; ``@odata.nextLink`` is followed unchanged. Literals are those of OData 4: texts in
quotes; an id, a day or a time without, and none of these is compared with a text.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from connectors.simulator.dataverse.tables import SYSTEM, TABLES, Column, Table, etag, refused
from connectors.simulator.fo.entities import parse_moment
from connectors.simulator.store import Fields, Record, Session

Predicate: TypeAlias = Callable[[Fields], bool]
TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<id>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"|(?P<moment>\d{4}-\d\d-\d\dT[\d:.]+Z)|(?P<day>\d{4}-\d\d-\d\d)|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>\w+)|(?P<mark>[(),]))"
)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le,
}  # fmt: skip
LABEL, TARGET = "@OData.Community.Display.V1.FormattedValue", "@Microsoft.Dynamics.CRM.lookuplogicalname"


@dataclass(frozen=True)
class Token:
    """One word of a filter and what sort of word it is."""

    sort: str
    text: str


class Filter:
    """Reads `or` over `and` over `not` over comparisons and `contains`."""

    def __init__(self, table: Table, text: str) -> None:
        self.table, self.text, self.at = table, text, 0
        self.tokens: list[Token] = []
        place = 0
        while place < len(text.rstrip()):
            match = TOKEN.match(text, place)
            if match is None or match.lastgroup is None:
                raise self._syntax()
            self.tokens.append(Token(match.lastgroup, match[match.lastgroup]))
            place = match.end()

    def parse(self) -> Predicate:
        """Read the whole filter."""
        found = self._any()
        if self.at != len(self.tokens):
            raise self._syntax()
        return found

    def _syntax(self) -> Exception:
        return refused(f"Syntax error at position {self.at} in '{self.text}'.")

    def _take(self, word: str) -> bool:
        hit = self.at < len(self.tokens) and self.tokens[self.at].text == word
        self.at += hit
        return hit

    def _next(self) -> Token:
        if self.at >= len(self.tokens):
            raise self._syntax()
        self.at += 1
        return self.tokens[self.at - 1]

    def _any(self) -> Predicate:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return lambda row: any(part(row) for part in parts)

    def _all(self) -> Predicate:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return lambda row: all(part(row) for part in parts)

    def _one(self) -> Predicate:
        if self._take("not"):
            inner = self._one()
            return lambda row: not inner(row)
        if self._take("("):
            inner = self._any()
            if not self._take(")"):
                raise self._syntax()
            return inner
        left = self._next()
        if left.text == "contains" and self._take("("):
            column, _, literal, _ = self._next(), self._next(), self._next(), self._next()
            shown, part = self.table.column(column.text).shown, str(value_of(literal)).casefold()
            return lambda row: part in str(row[shown] or "").casefold()
        verb, right = self._next(), self._next()
        if left.sort != "word" or verb.text not in COMPARE:
            raise self._syntax()
        named = self.table.column(left.text)
        bare = right.sort in ("id", "moment", "day")
        if (named.kind == "text" and bare) or (named.kind == "date" and right.sort not in ("day", "word")):
            raise mismatch(named, right.text)
        return comparison(named, verb.text, value_of(right))


def value_of(token: Token) -> Any:
    """Read a literal."""
    if token.sort == "text":
        return token.text[1:-1].replace("''", "'")
    if token.sort == "number":
        return float(token.text) if "." in token.text else int(token.text)
    if token.sort == "word":
        known = {"true": True, "false": False, "null": None}
        if token.text not in known:
            raise refused(f"Could not find a property named '{token.text}'.")
        return known[token.text]
    return token.text.lower() if token.sort == "id" else token.text


def mismatch(column: Column, value: Any) -> Exception:
    """Make the refusal of a literal that is of another type than its column."""
    return refused(
        f"A binary operator with incompatible types was detected: '{column.name}' and the literal {value!r}."
    )


def comparison(column: Column, verb: str, value: Any) -> Predicate:
    """Build one comparison: texts in any case, times as times; nothing equals null only."""
    shown, compare = column.shown, COMPARE[verb]
    if value is None:
        return lambda row: (row[shown] is None) == (verb == "eq")
    texts = dict.fromkeys(("text", "date", "moment", "lookup", "id"), str)
    if not isinstance(value, {**texts, "yes_no": bool}.get(column.kind, (int, float))):
        raise mismatch(column, value)
    wanted = _comparable(column, value)
    return lambda row: verb == "ne" if row[shown] is None else compare(_comparable(column, row[shown]), wanted)


def _comparable(column: Column, value: Any) -> Any:
    if column.kind == "moment":
        return parse_moment(value)
    return value.casefold() if column.kind == "text" else value


def select(session: Session, table: Table, query: dict[str, str]) -> list[Record]:
    """Find and sort the rows that a query asks for."""
    keep = Filter(table, query["$filter"]).parse() if query.get("$filter") else None
    found = [row for row in session.records(SYSTEM, table.name) if keep is None or keep(row.fields)]
    for part in reversed([part for part in query.get("$orderby", "").split(",") if part.strip()]):
        name, _, way = part.strip().partition(" ")
        shown = table.column(name).shown
        found.sort(key=lambda row: (row.fields[shown] is not None, row.fields[shown]), reverse=way.strip() == "desc")
    top = query.get("$top", "")
    return found[: int(top)] if top.isdecimal() else found


def drawn(session: Session, table: Table, record: Record, query: dict[str, str], wishes: str) -> Fields:
    """Draw a row as a reader asked for it; labels and the tables of lookups only where they were wished for."""
    chosen = [name.strip() for name in query.get("$select", "").split(",") if name.strip()]
    names = [table.column(name).shown for name in chosen] or [column.shown for column in table.columns.values()]
    answer: Fields = {"@odata.etag": etag(record)}
    for name in dict.fromkeys([*names, table.id]):
        answer[name] = record.fields[name]
        column = table.column(name)
        if record.fields[name] is not None:
            answer |= _annotated(session, column, record, wishes)
    for part in _expanded(query.get("$expand", "")):
        answer[part[0]] = _behind(session, table, record, *part)
    return answer


def _annotated(session: Session, column: Column, record: Record, wishes: str) -> Fields:
    value, found = record.fields[column.shown], Fields()
    if column.kind == "choice":
        found[f"{column.shown}{LABEL}"] = column.options[value]
    if column.kind == "lookup":
        target = record.fields.get(f"{column.shown}@") or next(iter(column.targets.values()))
        other = session.get(SYSTEM, target, value)
        name = next((n for n in ("name", "fullname") if other and n in other.fields), None)
        found[f"{column.shown}{TARGET}"] = target
        if other and name:
            found[f"{column.shown}{LABEL}"] = other.fields[name]
    return {name: value for name, value in found.items() if "*" in wishes or name.partition("@")[2] in wishes}


def _expanded(text: str) -> list[tuple[str, dict[str, str]]]:
    found = []
    for name, inner in re.findall(r"(\w+)(?:\(([^)]*)\))?", text):
        found.append((name, dict(part.split("=", 1) for part in inner.split(";") if "=" in part)))
    return found


def _behind(session: Session, table: Table, record: Record, navigation: str, query: dict[str, str]) -> Fields | None:
    for column in table.columns.values():
        if navigation in column.targets:
            target = TABLES[column.targets[navigation]]
            other = session.get(SYSTEM, target.name, str(record.fields[column.shown]))
            return drawn(session, target, other, query, "") if other else None
    raise refused(f"Could not find a property named '{navigation}' on type 'Microsoft.Dynamics.CRM.{table.name}'.")
