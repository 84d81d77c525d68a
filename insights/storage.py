"""Where the files of an event log lie: what was given, what was made of it, one folder for each generation."""

import shutil
from pathlib import Path

from django.conf import settings

from insights.models import EventLog

TABLES = ("events", "cases", "variants", "activities")


def home(log: EventLog) -> Path:
    """Return the folder of everything that belongs to the log."""
    return Path(settings.INSIGHTS_DIR) / "logs" / str(log.pk)


def given(log: EventLog) -> Path:
    """Return where the file lies as it was given; its name never comes from outside."""
    return home(log) / "given"


def generation(log: EventLog, number: int | None = None) -> Path:
    """Return the folder of one import, by default the one that readers see."""
    return home(log) / f"g{log.generation if number is None else number}"


def table(log: EventLog, name: str) -> Path:
    """Return the Parquet file of one table of the log as readers see it. Raises ``ValueError`` for no such table."""
    if name not in TABLES:
        raise ValueError(f"an event log has no table {name}")
    return generation(log) / f"{name}.parquet"


def forget(log: EventLog) -> None:
    """Remove every file of the log."""
    shutil.rmtree(home(log), ignore_errors=True)
