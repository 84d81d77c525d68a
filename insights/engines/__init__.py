"""Engines that answer questions about an event log: one set of SQL texts, several databases.

Questions are written once, in DuckDB's dialect, over the four tables of ``docs/decisions`` (events, cases, variants,
activities). The embedded engine runs them as they are; another engine gets them through sqlglot in its own dialect.
"""

from django.conf import settings

from insights.engines.base import Answer, Engine, EngineUnavailable, TableGone, Value

__all__ = ["Answer", "Engine", "EngineUnavailable", "TableGone", "Value", "engine_for"]


def engine_for(name: str = "") -> Engine:
    """Return the engine called ``name``, by default that of ``INSIGHTS_ENGINE``. Raises ``EngineUnavailable``."""
    wanted = name or settings.INSIGHTS_ENGINE
    if wanted == "duckdb":
        from insights.engines.duck import DuckEngine

        return DuckEngine()
    if wanted == "spark":
        from insights.engines.spark import SparkEngine

        return SparkEngine()
    raise EngineUnavailable(f"INSIGHTS_ENGINE={wanted} is not known; use duckdb or spark.")
