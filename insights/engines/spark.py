"""The distributed engine: the same questions on Spark, put into its dialect by sqlglot.

``INSIGHTS_SPARK_MASTER`` (a setting) names the cluster; local mode is what the tests use. Spark is no requirement of
Goldseam: it is installed from ``requirements-spark.txt`` where it is wanted.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from django.conf import settings
from sqlglot import exp, parse_one

from insights.engines.base import Answer, Engine, EngineUnavailable, TableGone, Value

# One session for the process; views have the names of tables, so questions take turns.
_LOCK = Lock()
_OPTIONS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # Times are UTC on both sides of the bridge, whatever the machine's zone.
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "false",
}
# On one machine, planning in parts and compiling each question cost more than they save.
_LOCAL = {
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
_FRAMES: dict[str, Any] = {}
_MOST_FRAMES = 64


@lru_cache(maxsize=512)
def in_spark(sql: str) -> str:
    """Return a SELECT of DuckDB's dialect in Spark's. Raises ``sqlglot.errors.ParseError`` for what is none."""
    return parse_one(sql, read="duckdb").transform(_adapted).sql(dialect="spark")


def _adapted(node: exp.Expression) -> exp.Expression:
    if isinstance(node, exp.PercentileCont | exp.Quantile):
        # Both interpolate; Spark's takes a list of shares only under this name.
        share = node.args.get("expression") or node.args.get("quantile")
        return exp.Anonymous(this="percentile", expressions=[node.this, share])
    if isinstance(node, exp.TimeToUnix):
        # Spark's unix_timestamp is whole seconds; ours keep what lies between them.
        micros = exp.Anonymous(this="unix_micros", expressions=[exp.cast(node.this, "timestamp")])
        return exp.paren(exp.Div(this=micros, expression=exp.Literal.number("1e6"), typed=False, safe=False))
    return node


class SparkEngine(Engine):
    """Spark SQL over Parquet."""

    def ask(self, tables: Mapping[str, Path], sql: str, parameters: Sequence[Value] = ()) -> Answer:
        missing = [path for path in tables.values() if not path.exists()]
        if missing:
            raise TableGone("The log's files were replaced or removed meanwhile. Ask again.")
        with _LOCK:
            session = _session()
            for name, path in tables.items():
                _bind(session, name, path)
            rows = session.sql(in_spark(sql), args=list(parameters) or None).collect()
        return [tuple(_plain(value) for value in row) for row in rows]


def _bind(session: Any, name: str, path: Path) -> None:
    """Let ``name`` mean that file; a file's schema is read once, because no generation's file ever changes."""
    held = _FRAMES.get(str(path))
    if held is None:
        held = session.read.parquet(str(path))
        while len(_FRAMES) >= _MOST_FRAMES:
            _FRAMES.pop(next(iter(_FRAMES)))
        _FRAMES[str(path)] = held
    held.createOrReplaceTempView(name)


def _plain(value: Any) -> Value:
    if isinstance(value, list):
        return [_plain(one) for one in value]  # type: ignore[return-value] # lists of the tables hold one type each
    return float(value) if type(value).__name__ == "Decimal" else value


def _session() -> Any:
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise EngineUnavailable(
            "INSIGHTS_ENGINE=spark needs PySpark: pip install -r requirements-spark.txt, and Java 17 or newer."
        ) from None
    master = settings.INSIGHTS_SPARK_MASTER
    builder = SparkSession.builder.appName("goldseam").master(master)
    for key, value in {**_OPTIONS, **(_LOCAL if master.startswith("local") else {})}.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
