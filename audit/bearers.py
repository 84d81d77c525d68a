"""Who a token stands for, in one statement: it is asked on every call of every program.

The ORM would take three (token and user, roles, scope) and more time to put them together than the database to
answer. What comes back are ordinary rows of the models, so nobody above has to know.
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, models

from audit.access import remember_roles
from audit.clock import as_utc
from audit.models import ApiToken, Scope

_MODELS: tuple[type[models.Model], ...] = (ApiToken, User, Scope)
_TIME = {"postgresql": "clock_timestamp()", "sqlite": "STRFTIME('%%Y-%%m-%%dT%%H:%%M:%%f', 'NOW')"}
# As JSON, since a group may have any name: one with a comma in it must not become two.
_LIST = {"postgresql": "CAST(json_agg(g.name) AS text)", "sqlite": "json_group_array(g.name)"}
_Convert = Callable[[Any], Any]


def find(digest: str) -> tuple[ApiToken, Any] | None:
    """Return the token of this digest, with user, scope and roles at hand, and the database's time of the look."""
    statement, converters = _plan(connection.vendor)
    with connection.cursor() as cursor:
        cursor.execute(statement, [digest])
        row = cursor.fetchone()
    if row is None:
        return None
    values = [value if convert is None else convert(value) for value, convert in zip(row, converters, strict=False)]
    token, user, scope = _built(values)
    token.user = user
    # No row is remembered too: a person without a scope is not asked for again.
    User._meta.get_field("scope").set_cached_value(user, scope)
    if scope is not None:
        scope.user = user
    remember_roles(user, json.loads(row[-2] or "[]"))
    return token, as_utc(row[-1])


def _built(values: Sequence[Any]) -> tuple[ApiToken, User, Scope | None]:
    found: list[Any] = []
    start = 0
    for model in _MODELS:
        names = _names(model)
        own = values[start : start + len(names)]
        start += len(names)
        found.append(None if own[0] is None else model.from_db(connection.alias, names, own))
    return found[0], found[1], found[2]


@lru_cache(maxsize=8)
def _names(model: type[models.Model]) -> tuple[str, ...]:
    # The key first: where it is null the joined row is missing.
    key = model._meta.pk.attname
    return key, *(field.attname for field in model._meta.concrete_fields if field.attname != key)


@lru_cache(maxsize=4)
def _plan(vendor: str) -> tuple[str, list[_Convert | None]]:
    """Return the statement and, column by column, what turns a database's value into the model's."""
    columns, converters = [], []
    for alias, model in zip("tus", _MODELS, strict=True):
        for name in _names(model):
            field = model._meta.get_field(name)
            columns.append(f'{alias}."{field.column}"')  # type: ignore[union-attr]
            converters.append(_converter(field))
    groups = (
        f"(SELECT {_LIST[vendor]} FROM auth_group g JOIN auth_user_groups m ON m.group_id = g.id WHERE m.user_id = u.id)"
    )
    return (
        f"SELECT {', '.join(columns)}, {groups}, {_TIME[vendor]} "  # noqa: S608 - only names of our own models
        "FROM audit_apitoken t JOIN auth_user u ON u.id = t.user_id LEFT JOIN audit_scope s ON s.user_id = u.id "
        "WHERE t.digest = %s",
        converters,
    )


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
