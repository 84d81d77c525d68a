"""Questions of tests over the four tables as they lie on disk, past our own engine."""

import duckdb

from insights import storage


def asked(log, sql, *parameters):
    """Return the rows of a question over the tables of ``log``."""
    with duckdb.connect() as db:
        for name in storage.TABLES:
            db.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{storage.table(log, name)}')")
        return db.execute(sql, parameters).fetchall()
