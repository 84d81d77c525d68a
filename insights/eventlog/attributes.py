"""What the attributes of a log are: text, number, time or flag, and whether they belong to the case."""

import re
from dataclasses import dataclass

import duckdb

from insights.eventlog.shapes import ROLES, Level, Mapping, Staged
from insights.eventlog.workbench import source

SAMPLE = 20_000
# A number that is a name: leading zeros and digits beyond a double's are lost where it is counted as a number.
_NAME = re.compile(r"(^|[\s_:.\-])(id|no|nr|num|number|key|code|zip|plz|phone|iban|vat)$|[a-z]I[dD]$", re.IGNORECASE)
_NUMBER = r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?"
_TIME = r"[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}([T ][0-9]{1,2}:.*)?"
_FLAG = r"(?i)true|false"
_CASTS = {"number": "DOUBLE", "time": "TIMESTAMPTZ", "flag": "BOOLEAN"}
_OF_DUCKDB = (("TIMESTAMP", "time"), ("DATE", "time"), ("BOOL", "flag"), ("DECIMAL", "number"), ("DOUBLE", "number"))
_WHOLE = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$|FLOAT$|REAL$")


@dataclass(frozen=True)
class Column:
    """One attribute on its way: column ``source`` of the file becomes ``name`` of the tables."""

    name: str
    source: str
    label: str
    type: str
    # The type is a guess from the first lines, which all lines must bear out.
    checked: bool
    level: Level = "event"

    def read(self) -> str:
        """Return the SQL that reads it."""
        if self.type == "text":
            return f"nullif({self.source}::VARCHAR, '')"
        cast = f"try_cast({self.source} AS {_CASTS[self.type]})"
        return f"timezone('UTC', {cast})" if self.type == "time" else cast

    def misfit(self) -> str:
        """Return the SQL of what stands there although it is not of the type, else NULL."""
        return f"CASE WHEN {self.read()} IS NULL THEN nullif({self.source}, '') END"


def columns_of(db: duckdb.DuckDBPyConnection, staged: Staged, mapping: Mapping) -> list[Column]:
    """Return the attributes with the types that the first lines show: every column but case, activity and times."""
    taken = {getattr(mapping, role) for role in ROLES if role not in {"resource", "amount"}}
    clause, parameters = source(staged)
    kinds = staged.types or ["VARCHAR"] * len(staged.columns)
    wanted = [(number, name) for number, name in enumerate(staged.columns, 1) if name not in taken]
    texts = [number for number, _ in wanted if kinds[number - 1] == "VARCHAR"]
    guessed: dict[int, str] = {}
    if texts:
        counts = ", ".join(_counts(number) for number in texts)
        db.execute(f"CREATE OR REPLACE TEMP TABLE sample AS SELECT * FROM {clause} LIMIT {SAMPLE}", parameters)  # noqa: S608
        row = db.execute(f"SELECT {counts} FROM sample").fetchone() or ()  # noqa: S608 - own names
        db.execute("DROP TABLE sample")
        guessed = {
            number: _guess(staged.columns[number - 1], *row[at * 4 : at * 4 + 4]) for at, number in enumerate(texts)
        }
    found: list[Column] = []
    for number, label in wanted:
        # People and objects are names, even where the names are digits.
        named = label == mapping.resource or label.startswith("ocel:type:")
        type_ = "text" if named else guessed.get(number) or _typed(kinds[number - 1])
        checked = number in guessed and type_ != "text"
        found.append(Column(f"a{len(found) + 1}", f"c{number}", label, type_, checked))
    return found


def _counts(number: int) -> str:
    column = f"nullif(c{number}, '')"
    tests = (_NUMBER, _TIME, _FLAG)
    return ", ".join(
        [f"count({column})", *(f"count(*) FILTER (regexp_full_match({column}, '{test}'))" for test in tests)]
    )


def _guess(label: str, filled: int, numbers: int, times: int, flags: int) -> str:
    if not filled:
        return "text"
    if numbers == filled and not _NAME.search(label):
        return "number"
    if times == filled:
        return "time"
    return "flag" if flags == filled else "text"


def _typed(kind: str) -> str:
    for start, type_ in _OF_DUCKDB:
        if kind.startswith(start):
            return type_
    return "number" if _WHOLE.match(kind) else "text"


def constant_so_far(db: duckdb.DuckDBPyConnection, columns: list[Column], mapping: Mapping) -> list[str]:
    """Return the attributes that no case among the first lines contradicts; only these are worth a full count.

    Who did a step is told of each event even where one person did them all: duties are compared between events.
    """
    names = [column.name for column in columns if column.label != mapping.resource]
    if not names:
        return []
    tests = ", ".join(f"bool_or(lo{name} IS DISTINCT FROM hi{name})" for name in names)
    sides = ", ".join(f"min({name}) AS lo{name}, max({name}) AS hi{name}" for name in names)
    row = db.execute(
        f"SELECT {tests} FROM (SELECT {sides} FROM (SELECT * FROM raw WHERE fault IS NULL LIMIT {SAMPLE}) "  # noqa: S608
        "GROUP BY case_id)"
    ).fetchone()
    return [name for name, moves in zip(names, row or (), strict=True) if not moves]
