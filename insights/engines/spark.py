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
                session.read.parquet(str(path)).createOrReplaceTempView(name)
            rows = session.sql(in_spark(sql), args=list(parameters) or None).collect()
        return [tuple(_plain(value) for value in row) for row in rows]


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
    # Times are UTC on both sides of the bridge, whatever the machine's zone.
    options = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "false",
        "spark.sql.shuffle.partitions": str(getattr(settings, "INSIGHTS_SPARK_PARTITIONS", 8)),
        # A log's column has the case that its file gave it.
        "spark.sql.caseSensitive": "true",
        "spark.log.level": "ERROR",
    }
    master = getattr(settings, "INSIGHTS_SPARK_MASTER", "local[2]")
    builder = SparkSession.builder.appName("goldseam").master(master)
    for key, value in options.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
