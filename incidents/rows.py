"""Insert many rows in one statement: what intake's speed rests on.

The ORM's ``bulk_create`` binds every value by itself, and on SQLite cuts a batch into dozens of statements. Here a row
is a mapping of its columns. Few rows travel as one JSON text that the database unpacks; many go to PostgreSQL by COPY.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any

from django.db import connection, models

from audit.prepared import fetch_one
from audit.proofs import canonical

Row = Mapping[str, Any]  # every column but the key
Model = type[models.Model]
_MANY = 20  # from here on COPY takes a third of what unpacking JSON takes


@dataclass(frozen=True, slots=True)
class Written:
    """A value of a JSON column beside its text, which is written once and stored as it is."""

    value: Any
    text: str


def insert(rows: Sequence[models.Model]) -> None:
    """Insert unsaved rows of one model in the order given, and set their keys. Raises ``IntegrityError`` as usual."""
    if not rows:
        return
    for row, key in zip(rows, add(type(rows[0]), [row_of(row) for row in rows]), strict=True):
        kept(row, key)


def row_of(instance: models.Model) -> dict[str, Any]:
    """Return the columns of an unsaved row."""
    return {column: getattr(instance, attribute) for attribute, column in _plan(type(instance)).names}


def kept(instance: models.Model, key: int) -> None:
    """Note that ``instance`` has been inserted under this key."""
    instance.pk = key
    instance._state.adding, instance._state.db = False, connection.alias  # noqa: SLF001 - as bulk_create does


def add(model: Model, rows: Sequence[Row]) -> list[int]:
    """Insert rows given by their columns, in the order given, and return their keys. Raises ``IntegrityError``."""
    if _streams(rows):
        keys = _take_keys(model, len(rows))
        _copy(model, [(key, *values) for key, values in zip(keys, _values(model, rows), strict=True)], keyed=True)
        return keys
    return _unpack(model, rows) if rows else []


def put(model: Model, rows: Sequence[Row]) -> None:
    """Insert rows of which nobody needs the keys. See ``add``."""
    if _streams(rows):
        _copy(model, _values(model, rows), keyed=False)
    elif rows:
        _unpack(model, rows)


def _unpack(model: Model, rows: Sequence[Row]) -> list[int]:
    unpacked, values = given(model, {}, rows)
    table, key = (connection.ops.quote_name(str(name)) for name in (model._meta.db_table, model._meta.pk.column))
    with connection.cursor() as cursor:
        # Only names of our own models stand in the text.
        cursor.execute(f"INSERT INTO {table} ({_listed(model)}) {unpacked} RETURNING {key}", values)
        return [key for (key,) in cursor.fetchall()]


def _streams(rows: Sequence[Row]) -> bool:
    return len(rows) >= _MANY and connection.vendor == "postgresql"


def _take_keys(model: Model, count: int) -> list[int]:
    # The innermost query keeps the sequence from being looked up again for every key.
    statement = (
        "SELECT nextval(own.sequence) FROM (SELECT pg_get_serial_sequence(%s, %s)::regclass AS sequence OFFSET 0) "
        "AS own, generate_series(1, %s)"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [model._meta.db_table, str(model._meta.pk.column), count])
        return [number for (number,) in cursor.fetchall()]


def _values(model: Model, rows: Sequence[Row]) -> Iterator[tuple[Any, ...]]:
    plan = _plan(model)
    plain, json_ = itemgetter(*plan.plain), plan.json
    return ((*plain(row), *[_text(row[name]) for name in json_]) for row in rows)


def _copy(model: Model, values: Iterable[tuple[Any, ...]], *, keyed: bool) -> None:
    plan, quote = _plan(model), connection.ops.quote_name
    names = [*([str(model._meta.pk.column)] if keyed else []), *plan.plain, *plan.json]
    into = f"COPY {quote(model._meta.db_table)} ({', '.join(map(quote, names))}) FROM STDIN"
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(into) as copy:
        for line in values:
            copy.write_row(line)


def _text(value: Any) -> str:
    return value.text if isinstance(value, Written) else canonical(value)


# A row and which of its columns are filled from the rows before it, such as {"incident_id": "r0.id"}.
Linked = tuple[Model, Row, dict[str, str]]


def add_together(linked: Sequence[Linked]) -> tuple[int, ...]:
    """Insert rows of several models that point at each other in one statement (PostgreSQL), and return their keys.

    In ``linked`` the first row is called r0 in SQL, the next r1 and so on, with their keys. Raises ``IntegrityError``.
    """
    shape = tuple((model, tuple(links.items())) for model, _, links in linked)
    return fetch_one(_together(shape), [as_json(row) for _, row, _ in linked]) or ()


@lru_cache(maxsize=64)
def _together(shape: tuple[tuple[Model, tuple[tuple[str, str], ...]], ...]) -> str:
    parts: list[str] = []
    names: list[str] = []
    keys: list[str] = []
    for number, (model, links) in enumerate(shape):
        key = str(model._meta.pk.column)
        parts.append(f"r{number} AS ({insert_from(model, dict(links), names)} RETURNING {key})")
        names.append(f"r{number}")
        keys.append(f"r{number}.{key}")
    return f"WITH {', '.join(parts)} SELECT {', '.join(keys)} FROM {', '.join(names)}"  # noqa: S608 - own names only


def insert_from(model: Model, known: dict[str, str], sources: Sequence[str]) -> str:
    """Return the SQL (PostgreSQL) that inserts one row from a JSON parameter, beside columns ``known`` from elsewhere.

    ``sources`` are the queries of the same statement that ``known`` speaks of; the row's own values are ``given``.
    """
    names, table = columns(model), connection.ops.quote_name(model._meta.db_table)
    values = ", ".join(known.get(name, f'given."{name}"') for name in names)
    given = f"json_populate_record(NULL::{table}, %s::json) AS given"
    return (
        f"INSERT INTO {table} ({', '.join(map(connection.ops.quote_name, names))}) "  # noqa: S608 - own names only
        f"SELECT {values} FROM {', '.join([*sources, given])}"
    )


def columns(model: Model) -> list[str]:
    """Return the columns of ``model`` that an insert fills: all but the key."""
    return [column for _, column in _plan(model).names]


def as_json(rows: Row | Sequence[Row]) -> str:
    """Return one row, or a list of them, as the JSON that this database can unpack."""
    return _ENCODE[connection.vendor](rows)


@dataclass(frozen=True)
class _Plan:
    names: tuple[tuple[str, str], ...]  # attribute and column
    plain: tuple[str, ...]
    json: tuple[str, ...]


@lru_cache(maxsize=64)
def _plan(model: Model) -> _Plan:
    fields = [field for field in model._meta.concrete_fields if field is not model._meta.pk]
    json_ = {field for field in fields if isinstance(field, models.JSONField)}
    return _Plan(
        tuple((field.attname, str(field.column)) for field in fields),
        tuple(str(field.column) for field in fields if field not in json_),
        tuple(str(field.column) for field in fields if field in json_),
    )


def given(model: Model, usual: Row, rows: Sequence[Row]) -> tuple[str, list[str]]:
    """Return the SQL that unpacks ``rows`` into all columns of ``model`` but the key, and its parameters.

    What a row does not name it has from ``usual``.
    """
    if connection.vendor == "postgresql":
        table = connection.ops.quote_name(model._meta.db_table)
        usually = f"json_populate_record(NULL::{table}, %s::json)"
        unpacked = f"SELECT {_listed(model)} FROM json_populate_recordset({usually}, %s::json)"  # noqa: S608 - own names
        return unpacked, [as_json(usual), as_json(rows)]
    parts = ", ".join(f"json_extract(value, '$.{name}')" for name in columns(model))
    # Without the condition SQLite would take what follows for a join.
    return f"SELECT {parts} FROM json_each(%s) WHERE true", [as_json([{**usual, **row} for row in rows])]  # noqa: S608


@lru_cache(maxsize=64)
def _listed(model: Model) -> str:
    return ", ".join(map(connection.ops.quote_name, columns(model)))


def _for_postgresql(value: Any) -> Any:
    if isinstance(value, Written):
        return value.value
    return value.isoformat() if isinstance(value, datetime) else _plain(value)


def _for_sqlite(value: Any) -> Any:
    if isinstance(value, Written):
        return value.text
    return str(connection.ops.adapt_datetimefield_value(value)) if isinstance(value, datetime) else _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} cannot be inserted here")


_ENCODE: dict[str, Callable[[Any], str]] = {
    "postgresql": json.JSONEncoder(ensure_ascii=False, default=_for_postgresql).encode,
    "sqlite": json.JSONEncoder(ensure_ascii=False, default=_for_sqlite).encode,
}
