"""Insert many rows in one statement with one parameter: what intake's speed rests on.

The ORM's ``bulk_create`` binds every value by itself, and on SQLite cuts a batch into dozens of statements. Here
the rows travel as one JSON text that the database unpacks; both databases can, and the columns come from the model.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.db import connection, models

from audit.prepared import fetch_one


def insert(rows: Sequence[models.Model]) -> None:
    """Insert unsaved rows of one model in the order given, and set their keys. Raises ``IntegrityError`` as usual."""
    if not rows:
        return
    model = type(rows[0])
    names, statement = _plan(model, connection.vendor)
    data = [{column: getattr(row, attribute) for attribute, column in names} for row in rows]
    text = json.dumps(data, ensure_ascii=False, default=_adapter(connection.vendor))
    with connection.cursor() as cursor:
        cursor.execute(statement, [text])
        for row, (key,) in zip(rows, cursor.fetchall(), strict=True):
            row.pk = key
            row._state.adding, row._state.db = False, connection.alias  # noqa: SLF001 - as bulk_create does


# A row and which of its columns are filled from the rows before it, such as {"incident_id": "r0.id"}.
Linked = tuple[models.Model, dict[str, str]]


def insert_together(linked: Sequence[Linked]) -> None:
    """Insert rows of several models that point at each other in one statement (PostgreSQL), and set their keys.

    In ``linked`` the first row is called r0 in SQL, the next r1 and so on, with their keys. Raises ``IntegrityError``.
    """
    shape = tuple((type(row), tuple(links.items())) for row, links in linked)
    keys = fetch_one(_together(shape), [as_json(row) for row, _ in linked])
    for (row, _), key in zip(linked, keys or (), strict=True):
        row.pk = key
        row._state.adding, row._state.db = False, connection.alias  # noqa: SLF001 - as bulk_create does


@lru_cache(maxsize=64)
def _together(shape: tuple[tuple[type[models.Model], tuple[tuple[str, str], ...]], ...]) -> str:
    parts: list[str] = []
    names: list[str] = []
    keys: list[str] = []
    for number, (model, links) in enumerate(shape):
        key = str(model._meta.pk.column)
        parts.append(f"r{number} AS ({insert_from(model, dict(links), names)} RETURNING {key})")
        names.append(f"r{number}")
        keys.append(f"r{number}.{key}")
    return f"WITH {', '.join(parts)} SELECT {', '.join(keys)} FROM {', '.join(names)}"  # noqa: S608 - own names only


def insert_from(model: type[models.Model], known: dict[str, str], sources: Sequence[str]) -> str:
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


def columns(model: type[models.Model]) -> list[str]:
    """Return the columns of ``model`` that an insert fills: all but the key."""
    return [column for _, column in _plan(model, connection.vendor)[0]]


def as_json(row: models.Model) -> str:
    """Return one unsaved row as the JSON object that this database can unpack."""
    names, _ = _plan(type(row), connection.vendor)
    data = {column: getattr(row, attribute) for attribute, column in names}
    return json.dumps(data, ensure_ascii=False, default=_adapter(connection.vendor))


@lru_cache(maxsize=64)
def _plan(model: type[models.Model], vendor: str) -> tuple[list[tuple[str, str]], str]:
    quote = connection.ops.quote_name
    key = model._meta.pk
    names = [(field.attname, str(field.column)) for field in model._meta.concrete_fields if field is not key]
    table, columns = quote(model._meta.db_table), ", ".join(quote(column) for _, column in names)
    if vendor == "postgresql":
        picked = f"SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s::json)"  # noqa: S608
    else:
        parts = ", ".join(f"json_extract(value, '$.{column}')" for _, column in names)
        picked = f"SELECT {parts} FROM json_each(%s)"  # noqa: S608
    # Only names of our own models stand in the text.
    return names, f"INSERT INTO {table} ({columns}) {picked} RETURNING {quote(str(key.column))}"


def _adapter(vendor: str) -> Callable[[Any], str]:
    return _for_sqlite if vendor == "sqlite" else _for_postgresql


def _for_postgresql(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return _plain(value)


def _for_sqlite(value: Any) -> str:
    if isinstance(value, datetime):
        return str(connection.ops.adapt_datetimefield_value(value))
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} cannot be inserted here")
