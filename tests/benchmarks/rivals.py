"""Other tools on the same file: ``python rivals.py TOOL FILE`` in an environment of their own; prints laps as JSON.

None of them is imported by Goldseam. Each reads the file, finds the directly-follows map with medians, the variants and
the rework, and says what it counted, so that the counts can be held against ours. Starting Python and loading the tool
is left out of the times.
"""

import importlib
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CASE, ACTIVITY, TIME = "case:concept:name", "concept:name", "time:timestamp"
RENAMED = {"case": CASE, "activity": ACTIVITY, "time": TIME}


class Laps:
    """Times between calls."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self.at = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self.at = now - self.at, now


Counts = dict[str, Any]


def pm4py_pandas(path: str) -> tuple[Laps, Counts]:
    """pm4py on pandas."""
    pm4py, pandas = importlib.import_module("pm4py"), importlib.import_module("pandas")
    laps = Laps()
    frame = pandas.read_csv(path) if path.endswith("csv") else pandas.read_parquet(path)
    frame = pm4py.format_dataframe(frame, case_id="case", activity_key="activity", timestamp_key="time")
    return _pm4py(pm4py, frame, laps)


def pm4py_polars(path: str) -> tuple[Laps, Counts]:
    """pm4py on polars."""
    pm4py, polars = importlib.import_module("pm4py"), importlib.import_module("polars")
    laps = Laps()
    frame = _polars_frame(polars, path).rename(RENAMED).sort([CASE, TIME], maintain_order=True).lazy()
    return _pm4py(pm4py, frame, laps)


def _pm4py(pm4py: Any, frame: Any, laps: Laps) -> tuple[Laps, Counts]:
    laps.lap("import")
    counts = pm4py.discover_dfg(frame)[0]
    pm4py.discover_performance_dfg(frame, perf_aggregation_key="median")
    laps.lap("map")
    variants = pm4py.get_variants(frame)
    laps.lap("variants")
    rework = pm4py.get_rework_cases_per_activity(frame)
    laps.lap("rework")
    edges = {f"{one} > {other}": int(count) for (one, other), count in counts.items()}
    told = [int(count) if isinstance(count, int) else len(count) for count in variants.values()]
    return laps, {
        "edges": edges,
        "variants": sorted(told, reverse=True),
        "rework": {k: int(v) for k, v in rework.items()},
    }


def _polars_frame(polars: Any, path: str) -> Any:
    if path.endswith("parquet"):
        return polars.read_parquet(path)
    when = polars.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
    return polars.read_csv(path, schema_overrides={"time": polars.String}).with_columns(when)


def r4pm(path: str) -> tuple[Laps, Counts]:
    """r4pm; it has no rework and no times on edges, so its sum is of less work."""
    tool, polars = importlib.import_module("r4pm"), importlib.import_module("polars")
    laps = Laps()
    log = tool.import_item_from_df("EventLog", _polars_frame(polars, path).rename(RENAMED))
    laps.lap("import")
    found = tool.bindings.discover_dfg(log)
    laps.lap("map")
    projection = tool.convert_item(log, "EventLogActivityProjection")
    variants = tool.bindings.get_variants(projection)
    laps.lap("variants")
    edges = {f"{one} > {other}": int(count) for (one, other), count in _relations(found)}
    return laps, {"edges": edges, "variants": sorted((int(one["count"]) for one in variants), reverse=True)}


def _relations(found: Any) -> list[Any]:
    held = found["directly_follows_relations"]
    return list(held.items()) if isinstance(held, dict) else held


def hand_written_polars(path: str) -> tuple[Laps, Counts]:
    """The queries written by hand for polars: what can be reached."""
    polars = importlib.import_module("polars")
    laps = Laps()
    frame = _polars_frame(polars, path).with_columns(polars.col("activity").cast(polars.Categorical))
    frame = frame.sort(["case", "time"], maintain_order=True)
    same = polars.col("case") == polars.col("case").shift(-1)
    frame = frame.with_columns(
        case_no=polars.col("case").rle_id(),
        next=polars.when(same).then(polars.col("activity").shift(-1)),
        gap=polars.when(same).then(polars.col("time").shift(-1) - polars.col("time")),
    )
    laps.lap("import")
    column = polars.col("gap")
    drawn = (
        frame.drop_nulls("next")
        .group_by("activity", "next")
        .agg(polars.len(), column.median().alias("median"), column.quantile(0.9, "linear").alias("p90"))
    )
    laps.lap("map")
    steps = polars.col("activity").to_physical()
    paths = frame.group_by("case_no", maintain_order=True).agg(steps.alias("path"))
    variants = paths.group_by("path").agg(polars.len()).sort("len", descending=True)
    laps.lap("variants")
    again = frame.group_by("case_no", "activity").len().filter(polars.col("len") > 1).group_by("activity").len()
    laps.lap("rework")
    edges = {f"{row[0]} > {row[1]}": row[2] for row in drawn.iter_rows()}
    return laps, {"edges": edges, "variants": variants["len"].to_list(), "rework": dict(again.iter_rows())}


def hand_written_duckdb(path: str) -> tuple[Laps, Counts]:
    """The queries written by hand for DuckDB: what can be reached."""
    duckdb = importlib.import_module("duckdb")
    laps = Laps()
    connection = duckdb.connect()
    connection.execute("SET threads = 2; SET memory_limit = '1500MB'; SET TimeZone = 'UTC'")
    connection.execute(
        'CREATE TABLE e AS SELECT "case" AS c, activity AS a, lead(activity) OVER w AS n,'
        ' epoch(lead("time") OVER w) - epoch("time") AS gap, row_number() OVER w AS k'
        f' FROM \'{path}\' WINDOW w AS (PARTITION BY "case" ORDER BY "time")'
    )
    laps.lap("import")
    edges = connection.execute(
        "SELECT a, n, count(*), quantile_cont(gap, [0.5, 0.9]) FROM e WHERE n IS NOT NULL GROUP BY a, n"
    ).fetchall()
    laps.lap("map")
    variants = connection.execute(
        "SELECT count(*) FROM (SELECT list(a ORDER BY k) AS path FROM e GROUP BY c) GROUP BY path ORDER BY 1 DESC"
    ).fetchall()
    laps.lap("variants")
    rework = connection.execute(
        "SELECT a, count(*) FROM (SELECT c, a FROM e GROUP BY c, a HAVING count(*) > 1) GROUP BY a"
    ).fetchall()
    laps.lap("rework")
    told = {f"{row[0]} > {row[1]}": row[2] for row in edges}
    return laps, {"edges": told, "variants": [row[0] for row in variants], "rework": dict(rework)}


TOOLS: dict[str, Callable[[str], tuple[Laps, Counts]]] = {
    "pm4py-pandas": pm4py_pandas,
    "pm4py-polars": pm4py_polars,
    "r4pm": r4pm,
    "polars": hand_written_polars,
    "duckdb": hand_written_duckdb,
}


def told(laps: Laps, counts: Counts) -> str:
    """Return laps, peak memory and counts as one line."""
    return json.dumps({"laps": laps.laps, "peak_mb": peak_mb(), "counts": counts})


def peak_mb() -> float:
    """Return the most memory that this program ever held, in MB (10⁶ bytes), as Linux counts it.

    Not ``ru_maxrss``: that one begins with what the process held that started this one.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    if found is None:
        raise SystemExit("this system does not tell how much memory a process held")
    return int(found[1]) * 1024 / 1e6


if __name__ == "__main__":
    print(told(*TOOLS[sys.argv[1]](sys.argv[2])))
