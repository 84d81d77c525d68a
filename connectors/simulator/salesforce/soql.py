"""A subset of SOQL: SELECT … FROM … WHERE … ORDER BY … LIMIT … OFFSET, with one step to a parent (wire: query).

A literal is of its field's type: texts in quotes, dates, times and numbers without (wire: query).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from connectors.simulator.fo.entities import parse_moment
from connectors.simulator.messages import Refusal
from connectors.simulator.salesforce.sobjects import DAY, SOBJECTS, SField, SObject
from connectors.simulator.store import Fields

Predicate: TypeAlias = Callable[[Fields], bool]

TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<moment>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:?\d\d))?)"
    r"|(?P<number>-?\d+(?:\.\d+)?)|(?P<days>(?:TODAY|YESTERDAY|LAST_N_DAYS:\d{1,4})\b)"
    r"|(?P<word>[A-Za-z_][\w.]*)|(?P<mark>!=|<>|<=|>=|[=<>(),]))",
    re.IGNORECASE,
)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def malformed(text: str) -> Refusal:
    """Make the refusal of a query that cannot be read."""
    return Refusal(400, text, code="MALFORMED_QUERY")


@dataclass
class Query:
    """One query, read."""

    sobject: SObject
    columns: list[str]
    where: Predicate | None = None
    order: list[tuple[str, bool, bool]] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0
    counts: bool = False


def resolved(sobject: SObject, path: str) -> tuple[str, SField]:
    """Find a field, on the object itself or one step up (`Account.Name`); gives its declared path."""
    first, dot, rest = path.partition(".")
    if not dot:
        own = sobject.field(path)
        return own.name, own
    for reference in sobject.fields.values():
        name = reference.name.removesuffix("Id")
        if reference.refers_to and name.lower() == first.lower():
            target = SOBJECTS[reference.refers_to].field(rest)
            return f"{name}.{target.name}", target
    text = f"Didn't understand relationship '{first}' in field path."
    raise Refusal(400, text, code="INVALID_FIELD")


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: ESCAPES.get(match[1], match[1]), text[1:-1])


def _moment(text: str) -> datetime | None:
    return parse_moment(re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", text))


@dataclass(frozen=True)
class Days:
    """Whole days that a word stands for: TODAY, or LAST_N_DAYS:n, which ends with today."""

    start: datetime
    end: datetime  # the first moment after it

    @classmethod
    def of(cls, word: str) -> Days:
        """Read the word, by today's date in UTC."""
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        tomorrow, name = today + timedelta(days=1), word.upper()
        if name == "YESTERDAY":
            return cls(today - timedelta(days=1), today)
        _, _, back = name.partition(":")
        return cls(today - timedelta(days=int(back or 0)), tomorrow)

    def holds(self, verb: str, at: datetime) -> bool:
        """Compare a moment: equal is within, greater is after the last of the days."""
        inside = self.start <= at < self.end
        found = {"=": inside, "!=": not inside, "<>": not inside, "<": at < self.start, "<=": at < self.end}
        return {**found, ">": at >= self.end, ">=": at >= self.start}[verb]


class Parser:
    """Reads one query from left to right."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        self.position = 0
        text, start = text.strip(), 0
        while start < len(text):
            match = TOKEN.match(text, start)
            if match is None or match.lastgroup is None:
                raise malformed(f"unexpected token at position {start}")
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            start = match.end()

    def _peek(self, *words: str) -> bool:
        return self.position < len(self.tokens) and self.tokens[self.position][1].upper() in words

    def _take(self, *words: str) -> bool:
        found = self._peek(*words)
        self.position += found
        return found

    def _next(self, *sorts: str) -> tuple[str, str]:
        if self.position >= len(self.tokens) or (sorts and self.tokens[self.position][0] not in sorts):
            raise malformed("unexpected token or end of query")
        self.position += 1
        return self.tokens[self.position - 1]

    def _need(self, word: str) -> None:
        if not self._take(word):
            raise malformed(f"expecting '{word}'")

    def parse(self) -> Query:
        """Read the whole query."""
        self._need("SELECT")
        columns, counts = self._columns()
        self._need("FROM")
        name = self._next("word")[1]
        sobject = next((item for item in SOBJECTS.values() if item.name.lower() == name.lower()), None)
        if sobject is None:
            raise Refusal(400, f"sObject type '{name}' is not supported.", code="INVALID_TYPE")
        query = Query(sobject, [resolved(sobject, path)[0] for path in columns], counts=counts)
        try:
            query.where = self._any(sobject) if self._take("WHERE") else None
        except RecursionError:
            raise malformed("the query is nested too deeply") from None
        if self._take("ORDER"):
            self._need("BY")
            query.order = self._order(sobject)
        query.limit = self._whole() if self._take("LIMIT") else None
        query.offset = self._whole() if self._take("OFFSET") else 0
        if self.position != len(self.tokens):
            raise malformed(f"unexpected token: '{self.tokens[self.position][1]}'")
        return query

    def _whole(self) -> int:
        text = self._next("number")[1]
        if not text.isdecimal():
            raise malformed(f"unexpected token: '{text}'")
        return int(text)

    def _columns(self) -> tuple[list[str], bool]:
        first = self._next("word")[1]
        if first.upper() == "COUNT" and self._take("("):
            self._need(")")
            return [], True
        columns = [first]
        while self._take(","):
            columns.append(self._next("word")[1])
        return columns, False

    def _order(self, sobject: SObject) -> list[tuple[str, bool, bool]]:
        order = []
        while True:
            path = resolved(sobject, self._next("word")[1])[0]
            descending = self._take("DESC")
            if not descending:
                self._take("ASC")
            nulls_last = False
            if self._take("NULLS"):
                nulls_last = self._take("LAST")
                if not nulls_last:
                    self._need("FIRST")
            order.append((path, descending, nulls_last))
            if not self._take(","):
                return order

    def _any(self, sobject: SObject) -> Predicate:
        """Read conditions of one level: Salesforce mixes neither AND with OR nor takes NOT behind them."""
        parts, joined = [self._not(sobject)], ""
        while self._peek("AND", "OR"):
            word = self._next()[1].upper()
            if joined not in ("", word) or self._peek("NOT"):
                raise malformed(f"unexpected token: '{'NOT' if self._peek('NOT') else word}'")
            joined = word
            parts.append(self._not(sobject))
        every = any if joined == "OR" else all
        return parts[0] if len(parts) == 1 else lambda row: every(part(row) for part in parts)

    def _not(self, sobject: SObject) -> Predicate:
        if self._take("NOT"):
            inner = self._not(sobject)
            return lambda row: not inner(row)
        if self._take("("):
            inner = self._any(sobject)
            self._need(")")
            return inner
        return self._comparison(sobject)

    def _comparison(self, sobject: SObject) -> Predicate:
        path, target = resolved(sobject, self._next("word")[1])
        if self._take("LIKE"):
            if target.kind in ("datetime", "boolean", "date", "currency", "id", "reference"):
                raise Refusal(400, f"invalid operator on {target.kind} field", code="INVALID_QUERY_FILTER_OPERATOR")
            return _like(path, _unescaped(self._next("text")[1]))
        negated = self._take("NOT")
        if negated or self._peek("IN"):
            self._need("IN")
            chosen = self._values(target)
            return lambda row: (_folded(value_at(row, path), target) in chosen) != negated
        verb = self._next("mark")[1]
        if verb not in COMPARE:
            raise malformed(f"unexpected token: '{verb}'")
        return _compared(path, target, verb, self._literal(target))

    def _values(self, target: SField) -> list[Any]:
        self._need("(")
        values = [self._literal(target)]
        while self._take(","):
            values.append(self._literal(target))
        self._need(")")
        return values

    def _literal(self, target: SField) -> Any:
        sort, text = self._next()
        if text.lower() == "null":
            return None
        if sort == "text" and target.kind not in ("datetime", "boolean", "date", "currency"):
            return _folded(_unescaped(text), target)
        if sort == "days" and target.kind == "datetime":
            return Days.of(text)
        if sort == "moment" and target.kind == "date" and DAY.fullmatch(text):
            return text
        if sort == "number" and target.kind == "currency":
            return float(text)
        if sort == "moment" and target.kind == "datetime" and (moment := _moment(text)) is not None:
            return moment
        if target.kind == "boolean" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise Refusal(
            400, f"value of filter criterion for field '{target.name}' has the wrong type", code="INVALID_FIELD"
        )


def _folded(value: Any, target: SField) -> Any:
    """Bring a value into the form in which it is compared: text without case, ids by 15 characters."""
    if value is None or target.kind in ("boolean", "date", "currency"):
        return value
    if target.kind == "datetime":
        return _moment(value)
    return value[:15] if target.kind in ("id", "reference") else value.casefold()


def _like(path: str, pattern: str) -> Predicate:
    parts = (".*" if char == "%" else "." if char == "_" else re.escape(char) for char in pattern)
    expression = re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
    return lambda row: expression.fullmatch(value_at(row, path) or "") is not None


def _compared(path: str, target: SField, verb: str, wanted: Any) -> Predicate:
    compare = COMPARE[verb]

    def test(row: Fields) -> bool:
        value = _folded(value_at(row, path), target)
        if isinstance(wanted, Days):
            return value is not None and wanted.holds(verb, value)
        if value is None or wanted is None:
            return verb in ("=", "!=", "<>") and compare(value, wanted)
        return compare(value, wanted)

    return test


def value_at(row: Fields, path: str) -> Any:
    """Give a field of a row whose parents are nested under their relationship's name."""
    value: Any = row
    for part in path.split("."):
        value = value.get(part) if value is not None else None
    return value


def run(query: Query, rows: list[Fields]) -> list[Fields]:
    """Filter, sort and cut rows."""
    found = [row for row in rows if query.where is None or query.where(row)]
    for path, descending, nulls_last in reversed(query.order):
        found.sort(key=lambda row: str(value_at(row, path) or "").casefold(), reverse=descending)
        # Salesforce puts nulls first unless told otherwise, whichever way it sorts.
        found.sort(key=lambda row: (value_at(row, path) is None) == nulls_last)
    end = None if query.limit is None else query.offset + query.limit
    return found[query.offset : end]
