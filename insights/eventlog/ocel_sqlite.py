"""OCEL 2.0 as an SQLite database: somebody else's file, read and never trusted."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from insights.eventlog.inside import MOST_ELEMENTS, MOST_EVENTS, Sample
from insights.eventlog.ocel_tables import Tables
from insights.eventlog.shapes import ImportFailed

# A first look gives up after so many steps of SQLite's machine: a table without indexes may be of any size.
_STEP, _MOST_STEPS = 1_000_000, 100
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


def sample_of(given: Path, sample: Sample) -> None:
    """Note the first events of the database and what they touch; a database that makes that dear is let be.

    Raises ``ImportFailed``.
    """
    with _opened(given) as db:
        steps = iter(range(_MOST_STEPS))
        db.set_progress_handler(lambda: 0 if next(steps, None) is not None else 1, _STEP)
        real = {str(row[0]) for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found: list[tuple[int, str, Any, dict[str, Any]]] = []
        for type_, name in _of_types(db, "event", real):
            columns = _columns(db, name)
            rows = db.execute(
                f"SELECT e.rowid, t.ocel_time, {_selected(columns)} FROM event e "  # noqa: S608 - checked to exist
                f"JOIN {_quoted(name)} t ON t.ocel_id = e.ocel_id WHERE e.rowid <= ? AND e.ocel_type = ?",
                [MOST_EVENTS, type_],
            )
            found += [(row[0], type_, row[1], dict(zip(columns, row[2:], strict=False))) for row in rows]
        for event in sorted(found, key=lambda one: one[0]):
            sample.event(*event)
        for type_, name in _of_types(db, "object", real):
            columns = _columns(db, name)
            for row in db.execute(f"SELECT {_selected(columns)} FROM {_quoted(name)} t LIMIT 1"):  # noqa: S608 - as above
                for column, value in zip(columns, row, strict=False):
                    sample.noted(column, type_, str(value or "")[:200])
        touched = db.execute(
            "SELECT e.rowid, o.ocel_id, o.ocel_type FROM event e JOIN event_object r ON r.ocel_event_id = e.ocel_id "
            "JOIN object o ON o.ocel_id = r.ocel_object_id WHERE e.rowid <= ? ORDER BY e.rowid, o.ocel_id LIMIT ?",
            [MOST_EVENTS, MOST_ELEMENTS],
        )
        for number, id_, type_ in touched:
            sample.object(id_, type_, "", {})
            sample.link(number, id_)
        sample.related = bool("object_object" in real and db.execute("SELECT 1 FROM object_object LIMIT 1").fetchone())


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
