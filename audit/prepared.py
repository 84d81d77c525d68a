"""Statements that every call asks: PostgreSQL plans each once per connection, which halves their price.

Not behind a pooler that hands a connection from one transaction to the next, where a prepared statement would be
looked for on a stranger's: ``CONN_MAX_AGE=0``, as such a pooler needs, also turns this off.
"""

from collections.abc import Sequence
from typing import Any

from django.db import connection


def fetch_one(statement: str, values: Sequence[Any], *, keep: bool = True) -> tuple[Any, ...] | None:
    """Return the first row of ``statement``, or ``None``; see ``fetch_all``."""
    found = fetch_all(statement, values, keep=keep)
    return found[0] if found else None


def fetch_all(statement: str, values: Sequence[Any] = (), *, keep: bool = True) -> list[tuple[Any, ...]]:
    """Return the rows of ``statement``, whose text must come from a small set of constant texts.

    Without ``keep`` the plan is made for these values alone.
    """
    unplanned = not keep or connection.vendor != "postgresql" or connection.settings_dict["CONN_MAX_AGE"] == 0
    with connection.cursor() as cursor:
        # Whoever logs statements wants to read them with their values.
        if unplanned or connection.queries_logged:
            cursor.execute(statement, values)
            return cursor.fetchall()  # type: ignore[no-any-return]
    return _prepared(statement, values)


def _prepared(statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    # Here, since SQLite runs without the driver.
    from django.db.backends.postgresql.base import ServerBindingCursor

    raw: Any = connection.connection
    # Only while this runs: otherwise the driver would keep the texts of the last hundred other statements too.
    raw.prepare_threshold = 0
    try:
        own: Any = ServerBindingCursor(raw)  # type: ignore[call-arg]
        with connection._prepare_cursor(own) as cursor:  # type: ignore[attr-defined]  # noqa: SLF001
            cursor.execute(statement, values)
            return cursor.fetchall()  # type: ignore[no-any-return]
    finally:
        raw.prepare_threshold = None
