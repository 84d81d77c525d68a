"""The database that an import works in: in memory up to its limit, spilling beside the log beyond it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from insights.engines.duck import lock_down
from insights.eventlog.shapes import Staged


@contextmanager
def workbench(folders: Sequence[Path], spill: Path, *, time_zone: str = "UTC") -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database that reaches only ``folders`` and ``spill``; texts without a zone are read in ``time_zone``."""
    connection = duckdb.connect(":memory:")
    try:
        connection.execute("SET TimeZone = ?", [time_zone])
        # Compressed, less goes to disk: 10⁸ events load in a quarter of the time.
        connection.execute("ATTACH ':memory:' AS bench (COMPRESS)")
        connection.execute("USE bench")
        connection.execute("SET preserve_insertion_order = true")
        lock_down(connection, folders, spill)
        yield connection
    finally:
        connection.close()


def source(staged: Staged) -> tuple[str, list[Any]]:
    """Return a FROM clause that reads the file with columns ``c1…cn``, and its parameters."""
    names = [f"c{number}" for number in range(1, len(staged.columns) + 1)]
    if staged.kind == "parquet":
        return f"read_parquet(?) AS t({', '.join(names)})", [str(staged.path)]
    options = (
        "header = false, all_varchar = true, auto_detect = false, ignore_errors = true, "
        "store_rejects = true, rejects_limit = 0, strict_mode = true, max_line_size = 16777216, skip = ?, delim = ?, "
        "quote = ?, escape = ?"
    )
    if staged.padded:
        # Padding and line ends within cells go together on one thread only.
        options += ", null_padding = true, parallel = false"
    # Without the header's own names: a file's words never become SQL.
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    parameters = [str(staged.path), staged.skip, staged.delimiter, staged.quote, staged.escape]
    return f"read_csv(?, columns = {{{columns}}}, {options})", parameters


def load(db: duckdb.DuckDBPyConnection, table: str, path: Path, columns: Sequence[str]) -> None:
    """Make ``table`` of a CSV file that we wrote ourselves; rows may end before the last of ``columns``."""
    told = ", ".join(f"'{column}': 'VARCHAR'" for column in columns)
    db.execute(
        f"CREATE TABLE {table} AS SELECT * FROM read_csv(?, columns = {{{told}}}, header = false, auto_detect = false, "  # noqa: S608
        "null_padding = true, parallel = false, delim = ',', quote = '\"', escape = '\"')",
        [str(path)],
    )
