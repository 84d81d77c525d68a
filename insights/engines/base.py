"""What an engine is: it binds names to Parquet files and answers SQL."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from audit.errors import Refusal

Value = str | int | float | bool | datetime | list[int] | list[str] | None
Answer = list[tuple[Value, ...]]


class EngineUnavailable(Refusal):
    """The engine is not known, not installed or cannot be reached."""

    status = 503
    code = "engine_unavailable"


class TableGone(EngineUnavailable):
    """A table's file is not there any more: a newer import has taken its place, or somebody removed it."""


class Engine(ABC):
    """Answers questions about tables that lie as Parquet."""

    @abstractmethod
    def ask(self, tables: Mapping[str, Path], sql: str, parameters: Sequence[Value] = ()) -> Answer:
        """Run one SELECT (DuckDB's dialect, ``?`` for parameters) over ``tables``, a name for each file.

        Raises ``EngineUnavailable`` where the engine cannot run at all, ``TableGone`` where a file is missing.
        """
