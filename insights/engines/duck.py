"""The embedded engine: DuckDB in this process, bounded in memory, spilling to the data folder."""

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

import duckdb
from django.conf import settings

from insights.engines.base import Answer, Engine, TableGone, Value


def connect(folders: Sequence[Path] = ()) -> duckdb.DuckDBPyConnection:
    """Open a database in memory that may touch only ``folders`` and its own place for spilling."""
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    # What a question has read is not kept beyond it: an idle process gives its memory back.
    connection.execute("SET enable_external_file_cache = false")
    lock_down(connection, folders, Path(settings.INSIGHTS_DIR) / "spill")
    return connection


def lock_down(connection: duckdb.DuckDBPyConnection, folders: Sequence[Path], spill: Path) -> None:
    """Bound a database in memory and threads, and let it touch only ``folders`` and ``spill``, where it spills.

    Comes last: no setting can be changed afterwards.
    """
    spill.mkdir(parents=True, exist_ok=True)
    connection.execute(f"SET memory_limit = '{int(settings.INSIGHTS_MEMORY_MB)}MB'")
    connection.execute(f"SET threads = {int(settings.INSIGHTS_THREADS)}")
    connection.execute("SET temp_directory = ?", [str(spill)])
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    # Whatever a file that was given or a text in it says: no other file, no network, no change of these settings.
    connection.execute("SET allowed_directories = ?", [[str(folder) for folder in (*folders, spill)]])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


class DuckEngine(Engine):
    """DuckDB over Parquet."""

    def ask(self, tables: Mapping[str, Path], sql: str, parameters: Sequence[Value] = ()) -> Answer:
        try:
            with _opened(tuple(sorted(tables.items()))) as cursor:
                return cursor.execute(sql, list(parameters)).fetchall()
        except duckdb.IOException as error:
            if all(path.exists() for path in tables.values()):
                raise
            raise TableGone("The log's files were replaced or removed meanwhile. Ask again.") from error


Tables = tuple[tuple[str, Path], ...]
# A question of several parts opens its files once: reading what they hold costs more than many an answer.
_HELD: OrderedDict[tuple[int, Tables], duckdb.DuckDBPyConnection] = OrderedDict()
_MOST_HELD = 4
_LOCK = Lock()


def _opened(tables: Tables) -> duckdb.DuckDBPyConnection:
    """Return a cursor of a database in which the names of ``tables`` are views of their files."""
    # A database does not outlive a fork, so each process has its own.
    key = (os.getpid(), tables)
    with _LOCK:
        held = _HELD.get(key)
        if held is None:
            held = _bound(tables)
            _HELD[key] = held
            while len(_HELD) > _MOST_HELD:
                # A cursor that is at work keeps its database until it is through.
                _HELD.popitem(last=False)
        _HELD.move_to_end(key)
        return held.cursor()


def _bound(tables: Tables) -> duckdb.DuckDBPyConnection:
    connection = connect(sorted({path.parent for _, path in tables}))
    for name, path in tables:
        quoted = str(path).replace("'", "''")
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{quoted}')")  # noqa: S608 - own names
    return connection
