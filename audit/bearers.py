"""Who a token stands for, in one statement: it is asked on every call of every program."""

import json
from functools import lru_cache
from typing import Any

from django.contrib.auth.models import User
from django.db import connection

from audit.access import remember_roles
from audit.clock import as_utc
from audit.models import ApiToken, Scope
from audit.plainrows import build, columns, names
from audit.prepared import fetch_one

_TIME = {"postgresql": "clock_timestamp()", "sqlite": "STRFTIME('%%Y-%%m-%%dT%%H:%%M:%%f', 'NOW')"}
# As JSON, since a group may have any name: one with a comma in it must not become two.
_LIST = {"postgresql": "CAST(json_agg(g.name) AS text)", "sqlite": "json_group_array(g.name)"}
_SCOPE = User._meta.get_field("scope")


def find(digest: str) -> tuple[ApiToken, Any] | None:
    """Return the token of this digest, with user, scope and roles at hand, and the database's time of the look."""
    row = fetch_one(_statement(connection.vendor), [digest])
    if row is None:
        return None
    first, second = len(names(ApiToken)), len(names(ApiToken)) + len(names(User))
    token, user, scope = build(ApiToken, row[:first]), build(User, row[first:second]), build(Scope, row[second:-2])
    if token is None or user is None:
        return None
    token.user = user
    # That there is none is remembered too: a person without a scope is not asked for again.
    _SCOPE.set_cached_value(user, scope)
    if scope is not None:
        scope.user = user
    remember_roles(user, json.loads(row[-2] or "[]"))
    return token, as_utc(row[-1])


@lru_cache(maxsize=2)
def _statement(vendor: str) -> str:
    wanted = ", ".join(columns(model, alias) for model, alias in ((ApiToken, "t"), (User, "u"), (Scope, "s")))
    groups = "FROM auth_group g JOIN auth_user_groups m ON m.group_id = g.id WHERE m.user_id = u.id"
    return (
        f"SELECT {wanted}, (SELECT {_LIST[vendor]} {groups}), {_TIME[vendor]} "  # noqa: S608 - own names only
        "FROM audit_apitoken t JOIN auth_user u ON u.id = t.user_id LEFT JOIN audit_scope s ON s.user_id = u.id "
        "WHERE t.digest = %s"
    )
