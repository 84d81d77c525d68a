"""The database's time: the one clock that every process shares."""

from datetime import UTC, datetime
from typing import Any

from django.db import connection


def db_now() -> datetime:
    """Return the database server's current time, aware, in UTC, to the microsecond.

    Due, lease and expiry decisions use it, never the clock of the machine that asks: two workers
    whose clocks differ must still agree on who holds a lease.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT STRFTIME('%Y-%m-%dT%H:%M:%f', 'NOW')")
        else:
            cursor.execute("SELECT clock_timestamp()")
        return as_utc(cursor.fetchone()[0])


def as_utc(value: Any) -> datetime:
    """Return a time as a database hands it over in raw SQL (aware, or SQLite's text) as an aware time in UTC."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value.astimezone(UTC)  # type: ignore[no-any-return]
