"""Synthetic order-to-cash logs of any size: the same for the same size, as CSV and as Parquet, in the order of time."""

from pathlib import Path

import duckdb

_BASE = "['Create Order', 'Check Credit', 'Confirm', 'Pick', 'Pack', 'Ship', 'Invoice', 'Pay']"
_MORE = (
    "['Create Order', 'Check Credit', 'Credit Hold', 'Release', 'Confirm', 'Pick', 'Pack', 'Ship', 'Invoice', 'Pay',"
    " 'Change Price', 'Change Quantity', 'Cancel', 'Remind', 'Return']"
)


def write_log(events: int, folder: Path) -> dict[str, Path]:
    """Write a log of ``events`` events: nine to a case in the mean, up to three of them out of the usual order."""
    wanted = {kind: folder / f"o2c-{events}.{kind}" for kind in ("csv", "parquet")}
    if all(path.exists() for path in wanted.values()):
        return wanted
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET preserve_insertion_order = true")
        connection.execute("SET memory_limit = '3GB'")
        connection.execute("SET temp_directory = ?", [str(folder / "spill")])
        connection.execute(
            f"""
            CREATE TABLE steps AS
              SELECT c, k::DOUBLE AS place, ({_BASE})[k] AS activity
              FROM range({events // 8 + 1}) AS cases(c), range(1, 9) AS r(k)
              UNION ALL
              SELECT c, 1.5 + hash(c, j) % 7 + j / 10, ({_MORE})[(1 + hash(j, c) % 15)::INTEGER]
              FROM range({events // 8 + 1}) AS cases(c), range(1, 4) AS r(j)
              WHERE j <= [0, 0, 0, 1, 2, 3][(1 + hash(c) % 6)::INTEGER];
            CREATE TABLE log AS
              SELECT 'SO-' || lpad(c::VARCHAR, 8, '0') AS "case", activity,
                make_timestamptz(2025, 1, 1, 0, 0, 0, 'UTC') + to_seconds((hash(c, 7) % 31536000
                  + sum(60 + hash(c, place, 3) % 345540) OVER (PARTITION BY c ORDER BY place))::BIGINT) AS "time",
                (hash(c, place, 5) % 900000) / 100 AS amount, ['EU', 'US'][(1 + hash(c, 11) % 2)::INTEGER] AS unit
              FROM steps WHERE c < {events} ORDER BY c, place LIMIT {events}
            """
        )
        connection.execute('CREATE TABLE told AS SELECT * FROM log ORDER BY "time", "case"')
        connection.execute(f"COPY told TO '{wanted['parquet']}' (FORMAT parquet)")
        columns = '"case", activity, strftime("time", \'%Y-%m-%dT%H:%M:%SZ\') AS "time", amount, unit'
        connection.execute(f"COPY (SELECT {columns} FROM told) TO '{wanted['csv']}' (HEADER)")
    return wanted
