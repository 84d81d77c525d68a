"""Rows of models out of plain SQL, for the few reads that happen on every call.

Putting a statement together takes the ORM several times as long as the database needs to answer it. Here the
columns and what turns a database's value into the model's are worked out once; the rows are the models' own.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from django.db import connection, models

Row = TypeVar("Row", bound=models.Model)
_Convert = Callable[[Any], Any]


@lru_cache(maxsize=32)
def names(model: type[models.Model]) -> tuple[str, ...]:
    """Return the attributes of ``model`` in the order of ``columns``, the key first."""
    key = model._meta.pk.attname
    return key, *(field.attname for field in model._meta.concrete_fields if field.attname != key)


@lru_cache(maxsize=32)
def columns(model: type[models.Model], alias: str) -> str:
    """Return what to select for a row of ``model``, whose table is called ``alias`` in the statement."""
    found = (model._meta.get_field(name).column for name in names(model))  # type: ignore[union-attr]
    return ", ".join(f'{alias}."{column}"' for column in found)


def build(model: type[Row], values: Sequence[Any]) -> Row | None:
    """Return the row of these values, in the order of ``columns``; ``None`` where an outer join found none."""
    if values[0] is None:
        return None
    steps = _converters(model, connection.vendor)
    own = [value if step is None else step(value) for value, step in zip(values, steps, strict=True)]
    return model.from_db(connection.alias, names(model), own)


@lru_cache(maxsize=32)
def _converters(model: type[models.Model], vendor: str) -> list[_Convert | None]:
    return [_converter(model._meta.get_field(name)) for name in names(model)]


def _converter(field: Any) -> _Convert | None:
    column = field.get_col(field.model._meta.db_table)
    steps = [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]
    if not steps:
        return None

    def convert(value: Any) -> Any:
        for step in steps:
            value = step(value, column, connection)
        return value

    return convert
