"""Parquet: DuckDB reads it as it stands; here only its columns are looked up."""

from collections.abc import Callable
from pathlib import Path

import duckdb

from insights.eventlog.shapes import ImportFailed, Staged, storable
from insights.eventlog.workbench import workbench


def stage(given: Path, into: Path, told: Callable[[int], None]) -> Staged:
    """Say what columns ``given`` has. Raises ``ImportFailed`` where it is no Parquet or broken."""
    try:
        with workbench([given.parent], into / "spill") as db:
            rows = db.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(given)]).fetchall()
    except duckdb.Error as error:
        raise ImportFailed(f"The Parquet file cannot be read: {str(error).splitlines()[0][:200]}") from error
    told(given.stat().st_size)
    return Staged(given, "parquet", [storable(row[0]) for row in rows], types=[row[1] for row in rows])
