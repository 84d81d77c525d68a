"""The embedded engine: DuckDB in this process, bounded in memory, spilling to the data folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
from django.conf import settings

from insights.engines.base import Answer, Engine, TableGone, Value


def connect(folders: Sequence[Path] = ()) -> duckdb.DuckDBPyConnection:
    """Open a database in memory that may touch only ``folders`` and its own place for spilling."""
    spill = Path(settings.INSIGHTS_DIR) / "spill"
    spill.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET memory_limit = '{int(settings.INSIGHTS_MEMORY_MB)}MB'")
    connection.execute(f"SET threads = {int(settings.INSIGHTS_THREADS)}")
    connection.execute("SET temp_directory = ?", [str(spill)])
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    # Whatever a text in a log says: no other file, no network, no change of these settings.
    connection.execute("SET allowed_directories = ?", [[str(folder) for folder in (*folders, spill)]])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


class DuckEngine(Engine):
    """DuckDB over Parquet."""

    def ask(self, tables: Mapping[str, Path], sql: str, parameters: Sequence[Value] = ()) -> Answer:
        try:
            with connect(sorted({path.parent for path in tables.values()})) as connection:
                for name, path in tables.items():
                    quoted = str(path).replace("'", "''")
                    connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{quoted}')")  # noqa: S608 - own names
                return connection.execute(sql, list(parameters)).fetchall()
        except duckdb.IOException as error:
            if all(path.exists() for path in tables.values()):
                raise
            raise TableGone("The log's files were replaced or removed meanwhile. Ask again.") from error
