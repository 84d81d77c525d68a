"""Empty a test database quickly: only tables that hold rows, and what ``migrate`` leaves is put back as rows.

Django truncates every table after each test that commits, then makes content types, permissions, groups and schedules
anew. That took more than a second a test; this does the same to the same rows in a few hundredths.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.core.management.commands import flush
from django.core.management.sql import emit_post_migrate_signal
from django.db import transaction

from audit import triggers

Rows = dict[str, tuple[list[str], list[tuple[Any, ...]]]]
LEDGER = "audit_entry"


@contextmanager
def quickly(connection: Any) -> Iterator[None]:
    """Let flushing this database be quick. Within the block Django's own flush does as told above."""
    operations: Any = type(connection.ops)
    slow, announce = operations.execute_sql_flush, flush.emit_post_migrate_signal
    left = _left_by_migrate(connection)

    def empty_this(self: Any, sql_list: list[str]) -> None:
        with transaction.atomic(using=self.connection.alias):
            empty(self.connection)

    def put_back(verbosity: int, interactive: bool, database: str, **options: Any) -> None:
        with transaction.atomic(using=database):
            fill(connection, left)
        ContentType.objects.clear_cache()

    operations.execute_sql_flush, flush.emit_post_migrate_signal = empty_this, put_back
    yield
    operations.execute_sql_flush, flush.emit_post_migrate_signal = slow, announce


def _left_by_migrate(connection: Any) -> Rows:
    """Return the rows that ``migrate`` puts into an empty database; the database stays as it was."""
    with transaction.atomic(using=connection.alias):
        empty(connection)
        emit_post_migrate_signal(0, False, connection.alias)
        left = {table: _rows(connection, table) for table in filled(connection)}
        transaction.set_rollback(True, using=connection.alias)
    ContentType.objects.clear_cache()
    return left


def filled(connection: Any) -> list[str]:
    """Name the tables that hold rows, in one question."""
    quote = connection.ops.quote_name
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    asked = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {quote(name)})" for name in names)
    with connection.cursor() as cursor:
        cursor.execute(asked)
        return [row[0] for row in cursor.fetchall()]


def empty(connection: Any) -> None:
    """Delete every row of every table, the ledger's too. Inside a transaction: keys are checked at its end."""
    for table in filled(connection):
        statement = f"DELETE FROM {connection.ops.quote_name(table)}"
        with connection.cursor() as cursor:
            if table == LEDGER:
                with triggers.lifted(connection):
                    cursor.execute(statement)
            else:
                cursor.execute(statement)


def fill(connection: Any, rows: Rows) -> None:
    """Insert rows as they were read."""
    quote = connection.ops.quote_name
    for table, (columns, values) in rows.items():
        names = ", ".join(map(quote, columns))
        one = f"({', '.join(['%s'] * len(columns))})"
        statement = f"INSERT INTO {quote(table)} ({names}) VALUES {', '.join([one] * len(values))}"
        with connection.cursor() as cursor:
            cursor.execute(statement, [value for row in values for value in row])


def _rows(connection: Any, table: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
        return [column[0] for column in cursor.description], cursor.fetchall()
