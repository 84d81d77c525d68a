"""The SQL by which the database itself refuses to change or remove what stands in the ledger."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

REFUSED = "the ledger is append-only"

_POSTGRESQL = (
    f"""
    CREATE OR REPLACE FUNCTION audit_entry_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '{REFUSED}: % refused', TG_OP USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    """
    CREATE TRIGGER audit_entry_keeps BEFORE UPDATE OR DELETE ON audit_entry
    FOR EACH ROW EXECUTE FUNCTION audit_entry_refuse()
    """,
    """
    CREATE TRIGGER audit_entry_stays BEFORE TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_refuse()
    """,
)
_SQLITE = (
    f"""
    CREATE TRIGGER audit_entry_keeps BEFORE UPDATE ON audit_entry
    BEGIN SELECT RAISE(ABORT, '{REFUSED}: UPDATE refused'); END
    """,
    f"""
    CREATE TRIGGER audit_entry_stays BEFORE DELETE ON audit_entry
    BEGIN SELECT RAISE(ABORT, '{REFUSED}: DELETE refused'); END
    """,
    # REPLACE removes the old row without firing a DELETE trigger, so a number that is taken is refused first.
    f"""
    CREATE TRIGGER audit_entry_once BEFORE INSERT ON audit_entry
    WHEN EXISTS (SELECT 1 FROM audit_entry WHERE n = NEW.n)
    BEGIN SELECT RAISE(ABORT, '{REFUSED}: REPLACE refused'); END
    """,  # noqa: S608 - the text is our own
)
_INSTALL = {"postgresql": _POSTGRESQL, "sqlite": _SQLITE}
_REMOVE = {
    "postgresql": (
        "DROP TRIGGER IF EXISTS audit_entry_keeps ON audit_entry",
        "DROP TRIGGER IF EXISTS audit_entry_stays ON audit_entry",
        "DROP FUNCTION IF EXISTS audit_entry_refuse()",
    ),
    "sqlite": (
        "DROP TRIGGER IF EXISTS audit_entry_keeps",
        "DROP TRIGGER IF EXISTS audit_entry_stays",
        "DROP TRIGGER IF EXISTS audit_entry_once",
    ),
}


def install(connection: Any) -> None:
    """Put the triggers on the ledger's table. Raises ``KeyError`` on a database that has none."""
    _run(connection, _INSTALL[connection.vendor])


def remove(connection: Any) -> None:
    """Take the triggers off: for a migration backwards, and for tests that tamper."""
    _run(connection, _REMOVE[connection.vendor])


def installed(connection: Any) -> bool:
    """Tell whether all triggers stand on the ledger's table."""
    where = (
        "sqlite_master WHERE type = 'trigger' AND name" if connection.vendor == "sqlite" else "pg_trigger WHERE tgname"
    )
    enabled = "" if connection.vendor == "sqlite" else " AND tgenabled <> 'D' AND tgrelid = 'audit_entry'::regclass"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {where} LIKE 'audit_entry_%%'{enabled}", [])  # noqa: S608 - own constants
        found: int = cursor.fetchone()[0]
    return found == sum("CREATE TRIGGER" in sql for sql in _INSTALL[connection.vendor])


@contextmanager
def lifted(connection: Any) -> Iterator[None]:
    """Take the triggers off for a while: only a test database is ever emptied."""
    remove(connection)
    try:
        yield
    finally:
        install(connection)


def _run(connection: Any, statements: tuple[str, ...]) -> None:
    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)
