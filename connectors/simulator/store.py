"""The simulator's memory: one SQLite file of records, effects, requests, faults and tokens."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import sqlite3
else:
    try:  # the system's SQLite may carry the WAL-reset bug that 3.51.3 fixed
        import pysqlite3.dbapi2 as sqlite3
    except ImportError:
        import sqlite3

Fields: TypeAlias = dict[str, Any]

SIDE_EFFECT = "side_effect"
PERSON = "person"

SCHEMA = """
CREATE TABLE IF NOT EXISTS records(
  system TEXT NOT NULL, entity TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL,
  json TEXT, previous TEXT, seeded INTEGER NOT NULL, modified_at TEXT NOT NULL,
  PRIMARY KEY(system, entity, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS effects(
  n INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, system TEXT NOT NULL, entity TEXT NOT NULL,
  kind TEXT NOT NULL, before TEXT, after TEXT, effect_key TEXT);
CREATE TABLE IF NOT EXISTS requests(
  n INTEGER PRIMARY KEY AUTOINCREMENT, arrival TEXT NOT NULL, system TEXT NOT NULL, method TEXT NOT NULL,
  path TEXT NOT NULL, effect_key TEXT, fault TEXT, committed INTEGER NOT NULL DEFAULT 0, status INTEGER,
  retry_after REAL);
CREATE TABLE IF NOT EXISTS faults(
  id INTEGER PRIMARY KEY AUTOINCREMENT, system TEXT, match TEXT NOT NULL, fault TEXT NOT NULL,
  probability REAL NOT NULL, seconds REAL, count INTEGER, seed INTEGER NOT NULL,
  draws INTEGER NOT NULL DEFAULT 0, fired INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS tokens(token TEXT PRIMARY KEY, system TEXT NOT NULL, expires_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS posts(
  n INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, channel TEXT NOT NULL, ids TEXT NOT NULL,
  attempts INTEGER NOT NULL, status INTEGER, error TEXT);
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
TABLES = ("records", "effects", "requests", "faults", "tokens", "posts", "meta")


def now_text() -> str:
    """Say the present moment in UTC, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@lru_cache(maxsize=20_000)
def parsed(text: str) -> Fields:
    """Read a stored record; the answer is shared, so callers copy before they change it."""
    fields: Fields = json.loads(text)
    return fields


def dumped(fields: Fields | None) -> str | None:
    """Write a record as compact JSON text; None stays None."""
    return None if fields is None else json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a system as a reader sees it."""

    system: str
    entity: str
    key: str
    version: int
    fields: Fields


class Shelf:
    """Lists as readers last saw them; a committed change makes all of them old."""

    def __init__(self) -> None:
        self.generation = 0
        self.lists: dict[tuple[str, str], tuple[int, list[Record]]] = {}


class Session:
    """One transaction's view of the store; writes leave an effect row each."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        effect_key: str | None = None,
        stale: bool = False,
        shelf: Shelf | None = None,
    ) -> None:
        self.connection = connection
        self.effect_key = effect_key
        self.stale = stale
        self.shelf = shelf
        # Read before the snapshot opens: a list may be newer than its generation says, never older.
        self.generation = shelf.generation if shelf else 0
        self.effects = 0
        self.touched = False
        self.time = now_text()

    def _visible(self) -> str:
        """Choose the column to read: a stale reader sees what stood before the last change, births included."""
        if not self.stale:
            return "json"
        return "CASE WHEN previous IS NULL AND seeded THEN json ELSE previous END"

    def get(self, system: str, entity: str, key: str) -> Record | None:
        """Find one record by its key text."""
        row = self.connection.execute(
            f"SELECT version, {self._visible()} FROM records WHERE system=? AND entity=? AND key=?",
            (system, entity, key),
        ).fetchone()
        if row is None or row[1] is None:
            return None
        return Record(system, entity, key, self._version(row[0]), parsed(row[1]))

    def _version(self, version: int) -> int:
        return version - 1 if self.stale and version > 1 else version

    def records(self, system: str, entity: str) -> list[Record]:
        """List an entity's records in key order; the list may be shared, so callers leave it as it is."""
        shelved = self.shelf.lists.get((system, entity)) if self.shelf else None
        if shelved is not None and shelved[0] == self.generation:
            return shelved[1]
        rows = self.connection.execute(
            f"SELECT key, version, {self._visible()} FROM records WHERE system=? AND entity=? ORDER BY key",
            (system, entity),
        )
        found = [
            Record(system, entity, key, self._version(version), parsed(text))
            for key, version, text in rows
            if text is not None
        ]
        if self.shelf:
            self.shelf.lists[system, entity] = (self.generation, found)
        return found

    def put(self, system: str, entity: str, key: str, fields: Fields, *, kind: str | None) -> Record:
        """Write one record as a new version; `kind` names the effect row, None plants without one."""
        row = self.connection.execute(
            "SELECT version, json, seeded FROM records WHERE system=? AND entity=? AND key=?", (system, entity, key)
        ).fetchone()
        version, before, seeded = row or (0, None, kind is None)
        after = dumped(fields)
        self.touched = True
        previous = before if kind is not None else None
        self.connection.execute(
            "INSERT INTO records VALUES(?,?,?,?,?,?,?,?) ON CONFLICT(system, entity, key) DO UPDATE SET "
            "version=excluded.version, json=excluded.json, previous=excluded.previous, "
            "modified_at=excluded.modified_at",
            (system, entity, key, version + 1, after, previous, int(seeded), self.time),
        )
        self._effect(system, entity, kind, before, after)
        return Record(system, entity, key, version + 1, fields)

    def plant(self, system: str, entity: str, rows: list[tuple[str, Fields]]) -> None:
        """Plant many new records at once, without effect rows."""
        self.touched = True
        self.connection.executemany(
            "INSERT INTO records VALUES(?,?,?,1,?,NULL,1,?)",
            [(system, entity, key, dumped(fields), self.time) for key, fields in rows],
        )

    def remove(self, record: Record, *, kind: str) -> None:
        """Take a record away; a stale reader still sees it."""
        text = dumped(record.fields)
        self.touched = True
        self.connection.execute(
            "UPDATE records SET version=version+1, previous=json, json=NULL, modified_at=? "
            "WHERE system=? AND entity=? AND key=?",
            (self.time, record.system, record.entity, record.key),
        )
        self._effect(record.system, record.entity, kind, text, None)

    def _effect(self, system: str, entity: str, kind: str | None, before: str | None, after: str | None) -> None:
        if kind is None:
            return
        # A person's change in the system itself carries nobody's key, whatever request brought it here.
        key = None if kind == PERSON else self.effect_key
        self.connection.execute(
            "INSERT INTO effects(time, system, entity, kind, before, after, effect_key) VALUES(?,?,?,?,?,?,?)",
            (self.time, system, entity, kind, before, after, key),
        )
        self.effects += 1

    def meta(self, name: str, default: str = "") -> str:
        """Read one named setting of the store."""
        row = self.connection.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
        return default if row is None else str(row[0])

    def set_meta(self, name: str, value: str) -> None:
        """Write one named setting of the store."""
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES(?,?)", (name, value))

    def next_number(self, sequence: str, start: int) -> int:
        """Draw the next number of a number sequence; it rolls back with its transaction."""
        number = int(self.meta(f"sequence:{sequence}", str(start)))
        self.set_meta(f"sequence:{sequence}", str(number + 1))
        return number


class Store:
    """The SQLite file; one connection per thread, one writer at a time."""

    def __init__(self, path: Path, *, synchronous: str = "NORMAL") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._synchronous = synchronous
        self._local = threading.local()
        # A lock in front of BEGIN IMMEDIATE: SQLite's own busy wait polls, and a poll may starve under load.
        self._writer = threading.RLock()
        self._shelf = Shelf()
        with self._writer:
            self._connection().executescript(SCHEMA)

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(str(self.path), timeout=30, isolation_level=None)
            # In this order: turning to WAL waits for the disk as often as was said before.
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
            connection.execute("PRAGMA journal_mode=WAL")
            self._local.connection = connection
        return connection

    def close(self) -> None:
        """Close the calling thread's connection; another opens on the next use."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    @contextmanager
    def read(self, *, stale: bool = False) -> Iterator[Session]:
        """Open one consistent snapshot."""
        connection = self._connection()
        session = Session(connection, stale=stale, shelf=None if stale else self._shelf)
        connection.execute("BEGIN")
        try:
            yield session
        finally:
            connection.execute("ROLLBACK")

    @contextmanager
    def write(self, effect_key: str | None = None) -> Iterator[Session]:
        """Open one IMMEDIATE transaction: all of it commits, or nothing does."""
        connection = self._connection()
        with self._writer:
            session = Session(connection, effect_key=effect_key)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield session
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            self._shelf.generation += session.touched

    def reset(self, seed_records: Callable[[Session], None]) -> None:
        """Forget everything and plant anew, in one transaction."""
        with self.write() as session:
            for table in TABLES:
                session.connection.execute(f"DELETE FROM {table}")
            session.connection.execute("DELETE FROM sqlite_sequence")
            session.touched = True
            seed_records(session)
