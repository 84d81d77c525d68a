"""Free questions in SOQL: one SELECT on one object, with conditions, an order and a limit. It can only read."""

import re
from dataclasses import dataclass

from pydantic import Field, field_validator

from connectors.base import Read
from connectors.freely import FreeQuery, QueryLanguage
from connectors.kinds.salesforce import soql
from connectors.kit.queries import (
    BEGINNING,
    DAY,
    MOMENT,
    NUMBER,
    WATERMARK,
    BadQuery,
    Conditions,
    Word,
    marked,
    rendered,
    words_of,
)

_WORDS = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\\x00-\x1f\x7f]|\\['\"\\nrtbfNRTBF_%])*')"
    r"|(?P<moment>\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d))?(?![\w:.-]))"
    r"|(?P<number>-?\d{1,19}(?:\.\d{1,9})?(?![\w.]))"
    r"|(?P<watermark>\{watermark\})"
    r"|(?P<span>(?:LAST|NEXT)_N_(?:DAYS|WEEKS|MONTHS|YEARS):\d{1,4}(?!\w))"
    r"|(?P<word>[A-Za-z]\w{0,79}(?:\.[A-Za-z]\w{0,79}){0,5}(?![\w.]))|(?P<mark>!=|<>|<=|>=|[=<>(),]))",
    re.ASCII | re.IGNORECASE,
)
_COMPARE = ("=", "!=", "<>", "<", "<=", ">", ">=")
_VALUES = ("text", "moment", "number", "watermark", "span", "word")
_DAYS = {f"{which}_{part}" for which in ("LAST", "THIS", "NEXT") for part in ("WEEK", "MONTH", "QUARTER", "YEAR")} | {
    "YESTERDAY",
    "TODAY",
    "TOMORROW",
    "LAST_90_DAYS",
    "NEXT_90_DAYS",
}
_CLAUSES = {
    "SELECT", "FROM", "WHERE", "ORDER", "BY", "LIMIT", "AND", "OR", "NOT", "IN", "LIKE", "GROUP", "HAVING", "USING",
    "FOR", "WITH", "OFFSET", "ALL", "UPDATE", "TYPEOF",
}  # fmt: skip
MOST_COLUMNS = 100
MOST_ORDERS = 5
MOST_VALUES = 200
MOST_ROWS = 50_000


@dataclass(frozen=True)
class Query:
    """One question as it was understood."""

    entity: str
    columns: tuple[str, ...]
    where: tuple[Word, ...]
    order: tuple[tuple[str, str], ...]  # the column, and what follows it: DESC, NULLS LAST
    limit: int | None


class _Reader(Conditions):
    """Reads one question from left to right."""

    def query(self) -> Query:
        """Read the whole question."""
        if not self.take("SELECT"):
            raise BadQuery("It begins with SELECT: a saved query only reads.")
        columns = self._columns()
        self.need("FROM")
        entity = self._name()
        if "." in entity:
            raise BadQuery(f"“{entity}” is no object.")
        begin = self.at
        if self.take("WHERE"):
            self.conditions()
        where = tuple(self.words[begin + 1 : self.at])
        order = self._order()
        limit = self._limit()
        if self.peek("GROUP", "HAVING", "OFFSET", "FOR", "WITH", "USING", "ALL", "UPDATE"):
            raise BadQuery(
                f"{self.words[self.at].text.upper()} is not part of a saved query. It has SELECT, FROM, WHERE, ORDER BY"
                " and LIMIT, in this order."
            )
        self.end()
        return Query(entity, columns, where, order, limit)

    def _name(self) -> str:
        word = self.next("word")
        if word.text.upper() in _CLAUSES:
            raise BadQuery(f"A name is missing before “{word.text}”.")
        if self.peek("("):
            raise BadQuery(f"“{word.text}(…)”: functions are not part of a saved query; name the fields themselves.")
        return word.text

    def _columns(self) -> tuple[str, ...]:
        if self.peek("("):
            raise BadQuery("A question inside a question is not part of a saved query.")
        found = [self._name()]
        while self.take(","):
            if self.peek("("):
                raise BadQuery("A question inside a question is not part of a saved query.")
            found.append(self._name())
        if len(found) > MOST_COLUMNS:
            raise BadQuery(f"More than {MOST_COLUMNS} fields.")
        return tuple(found)

    def joined(self, ways: set[str]) -> None:
        """Salesforce takes no mixture of AND and OR, and no NOT behind either, without parentheses."""
        if len(ways) > 1:
            raise BadQuery("AND and OR stand side by side: put parentheses around those that belong together.")
        if self.at + 1 < len(self.words) and self.words[self.at + 1].text.upper() == "NOT":
            raise BadQuery("Put parentheses around NOT and what it negates: (NOT Status = 'New').")

    def comparison(self) -> None:
        name = self._name()
        if self.take("LIKE"):
            self.next("text")
            return
        if self.peek("NOT", "IN"):
            self.take("NOT")
            self.need("IN")
            self._values()
            return
        if self.next("mark").text not in _COMPARE:
            raise BadQuery(f"Write =, !=, <, <=, >, >=, LIKE, IN or NOT IN after {name}.")
        self._value()

    def _values(self) -> None:
        self.need("(")
        if self.peek("SELECT"):
            raise BadQuery("A question inside a question is not part of a saved query.")
        self._value()
        for _ in range(MOST_VALUES):
            if not self.take(","):
                self.need(")")
                return
            self._value()
        raise BadQuery(f"More than {MOST_VALUES} values in one list.")

    def _value(self) -> None:
        word = self.next(*_VALUES)
        if word.sort == "word" and word.text.upper() not in {"TRUE", "FALSE", "NULL"} | _DAYS:
            raise BadQuery(
                f"“{word.text[:60]}” is no value. Texts stand in single quotes, times as 2026-01-31T08:00:00Z."
            )

    def _order(self) -> tuple[tuple[str, str], ...]:
        found: list[tuple[str, str]] = []
        if not self.take("ORDER"):
            return ()
        self.need("BY")
        while not found or self.take(","):
            name = self._name()
            found.append((name, self._way()))
        if len(found) > MOST_ORDERS:
            raise BadQuery(f"More than {MOST_ORDERS} fields to order by.")
        return tuple(found)

    def _way(self) -> str:
        down = self.take("DESC")
        if not down:
            self.take("ASC")
        nulls = ""
        if self.take("NULLS"):
            nulls = "NULLS LAST" if self.take("LAST") else "NULLS FIRST"
            if nulls == "NULLS FIRST":
                self.need("FIRST")
        return " ".join(part for part in ("DESC" if down else "", nulls) if part)

    def _limit(self) -> int | None:
        if not self.take("LIMIT"):
            return None
        text = self.next("number").text
        if not text.isdecimal() or not 1 <= int(text) <= MOST_ROWS:
            raise BadQuery(f"LIMIT takes a whole number from 1 to {MOST_ROWS:,}.")
        return int(text)


def parse(text: str) -> Query:
    """Read a question. Raises ``BadQuery`` for whatever is not in the grammar."""
    return _Reader(words_of(text, _WORDS)).query()


class SoqlQuery(FreeQuery):
    """Rows that one SOQL question finds."""

    query: str = Field(min_length=1, max_length=6000, examples=["SELECT Id FROM Case WHERE Status = 'New'"])

    @field_validator("query")
    @classmethod
    def _is_a_question(cls, text: str) -> str:
        parse(text)
        return text

    def entities(self) -> frozenset[str]:
        """Return the object, and each relationship on a path to a field: its name counts as an entity."""
        query = parse(self.query)
        paths = [*query.columns, *(name for name, _ in query.order)]
        paths += [word.text for word in query.where if word.sort == "word" and "." in word.text]
        steps = {step for path in paths for step in path.split(".")[:-1]}
        return frozenset({query.entity, *steps})

    def columns(self) -> tuple[str, ...]:
        """Return the fields as they were written, and the id, which is always read."""
        chosen = parse(self.query).columns
        return chosen if any(name.lower() == "id" for name in chosen) else (*chosen, "Id")

    def order(self) -> str:
        """Return the first field of the order, if it rises."""
        order = parse(self.query).order
        return order[0][0] if order and not order[0][1].startswith("DESC") else ""

    def marked(self) -> bool:
        """Tell whether the conditions hold the watermark."""
        return marked(parse(self.query).where)

    def soql(self) -> str:
        """Return the question to send, written anew from what was understood."""
        query = parse(self.query)
        # Every part is a word of the grammar, and every watermark a literal.
        parts = [f"SELECT {', '.join(self.columns())} FROM {query.entity}"]  # noqa: S608
        if query.where:
            parts.append(f"WHERE {rendered(query.where, self._filled)}")
        if query.order:
            parts.append(f"ORDER BY {', '.join(f'{name} {way}'.strip() for name, way in query.order)}")
        limit = min(self.rows, query.limit or self.rows)
        return " ".join((*parts, f"LIMIT {limit}"))

    def _filled(self, word: Word) -> str:
        value = self.watermark or BEGINNING
        if word.sort == "text":
            return word.text.replace(WATERMARK, soql.literal(value)[1:-1])
        if DAY.match(value) or NUMBER.match(value):
            return value
        moment = soql.moment_of(value) if MOMENT.match(value) else None
        return soql.literal(moment or value)


ASK = Read("soql.query", SoqlQuery, "Free SOQL question", query_language=QueryLanguage.SOQL)
