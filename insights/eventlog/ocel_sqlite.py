"""OCEL 2.0 as an SQLite database: somebody else's file, read and never trusted."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from insights.eventlog.ocel_tables import Tables
from insights.eventlog.shapes import ImportFailed

_OWN = frozenset({"ocel_id", "ocel_time", "ocel_changed_field"})


@contextmanager
def _opened(given: Path) -> Iterator[sqlite3.Connection]:
    """Open the database for reading only, its own functions and views out of play."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(given))}?mode=ro&immutable=1", uri=True)) as db:
            db.execute("PRAGMA trusted_schema = OFF")
            db.execute("PRAGMA cell_size_check = ON")
            db.text_factory = lambda value: value.decode("utf-8", "replace")
            yield db
    except sqlite3.Error as error:
        raise ImportFailed(f"The SQLite file cannot be read as OCEL 2.0: {str(error)[:150]}.") from error


def types_of(given: Path) -> list[str]:
    """Return the object types. Raises ``ImportFailed``."""
    with _opened(given) as db:
        return [str(row[0]) for row in db.execute("SELECT ocel_type FROM object_map_type ORDER BY ocel_type")]


def tables_of(given: Path, tables: Tables) -> None:
    """Write events, objects and links of the database. Raises ``ImportFailed``."""
    with _opened(given) as db:
        # Tables only: a view of somebody else's may compute for ever.
        real = {str(row[0]) for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for type_, name in _of_types(db, "event", real):
            columns = _columns(db, name)
            rows = db.execute(
                f"SELECT e.rowid, t.ocel_time, {_selected(columns)} FROM {_quoted(name)} t "  # noqa: S608 - checked to exist
                "JOIN event e ON e.ocel_id = t.ocel_id"
            )
            for row in rows:
                tables.event(row[0], type_, row[1], dict(zip(columns, row[2:], strict=False)))
        for type_, name in _of_types(db, "object", real):
            columns = _columns(db, name)
            rows = db.execute(
                f"SELECT o.ocel_id, t.ocel_time, {_selected(columns)} FROM object o "  # noqa: S608 - checked to exist
                f"LEFT JOIN {_quoted(name)} t ON o.ocel_id = t.ocel_id WHERE o.ocel_type = ?",
                [type_],
            )
            for row in rows:
                tables.object(row[0], type_, str(row[1] or ""), dict(zip(columns, row[2:], strict=False)))
        for row in db.execute(
            "SELECT e.rowid, r.ocel_object_id FROM event_object r JOIN event e ON e.ocel_id = r.ocel_event_id"
        ):
            tables.link(row[0], row[1])


def _of_types(db: sqlite3.Connection, kind: str, real: set[str]) -> list[tuple[str, str]]:
    rows = db.execute(f"SELECT ocel_type, ocel_type_map FROM {kind}_map_type ORDER BY ocel_type").fetchall()  # noqa: S608
    found = [(str(type_), f"{kind}_{suffix}") for type_, suffix in rows]
    for type_, name in found:
        if name not in real:
            raise ImportFailed(f"The database names the type {type_} but has no table {name} for it.")
    return found


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    rows = db.execute("SELECT name FROM pragma_table_info(?)", [table]).fetchall()
    return [str(row[0]) for row in rows if row[0] not in _OWN]


def _selected(columns: list[str]) -> str:
    return ", ".join(f"t.{_quoted(name)}" for name in columns) or "NULL"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
