"""Where the files of an event log lie: what was given, what was made of it, one folder for each generation.

The finished tables lie beside them, or in an object store where ``INSIGHTS_STORE`` names one: then the row names the
objects (``EventLog.tables``), and this machine holds copies. Each log says for itself where its tables are.
"""

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

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
    """Return the Parquet file of one table of the log as readers see it, on this machine.

    Raises ``ValueError`` for no such table; for a log in the object store also ``StoreUnavailable`` and ``TableGone``.
    """
    if name not in TABLES:
        raise ValueError(f"an event log has no table {name}")
    if not log.tables:
        return generation(log) / f"{name}.parquet"
    from insights.objectstore import keeping

    path = keeping.local(log, log.tables[name])
    # Answers are kept there, on a machine that has never seen the import too.
    generation(log).mkdir(parents=True, exist_ok=True)
    return path


def require(*, patient: bool = True) -> None:
    """Raise ``StoreUnavailable`` where tables are to go to the object store and it does not answer us.

    Without ``patient`` that is known within seconds.
    """
    if settings.INSIGHTS_STORE:
        from insights.objectstore.bucket import bucket

        bucket(patient=patient).probe()


def deliver(log: EventLog, number: int, tables: Path, told: Callable[[], None]) -> None:
    """Bring the tables of a new generation to where they are to lie, and note it on ``log`` for the row to say.

    Until a row says so nobody reads them. ``told`` hears of every step, and may raise. Raises ``StoreUnavailable``.
    """
    log.tables = {}
    if settings.INSIGHTS_STORE:
        from insights.objectstore import keeping

        log.tables = keeping.send(log, number, _files(tables), told)


def settle(log: EventLog, number: int, tables: Path) -> None:
    """Give what was delivered its final place on this machine; the row is locked, what a crash left there goes."""
    final = generation(log, number)
    shutil.rmtree(final, ignore_errors=True)
    if not log.tables:
        tables.rename(final)
        return
    from insights.objectstore import keeping

    keeping.adopt(log, log.tables, tables)
    final.mkdir(parents=True)


def send(log: EventLog, told: Callable[[], None]) -> None:
    """Bring the tables that readers see from the data folder to the store, and note it on ``log``; they stay here too.

    Raises ``StoreUnavailable``.
    """
    from insights.objectstore import keeping

    log.tables = keeping.send(log, log.generation, _files(generation(log)), told)


def bring_back(log: EventLog) -> None:
    """Bring the tables that readers see from the store to the data folder, and note it on ``log``.

    They stay there too. Raises ``StoreUnavailable``, ``OSError``.
    """
    for name, path in _files(generation(log)).items():
        draft = path.with_suffix(".draft")
        shutil.copyfile(table(log, name), draft)
        draft.replace(path)
    log.tables = {}


def leave(log: EventLog, before: dict[str, Any]) -> None:
    """Remove the tables from where they lay ``before`` the row said otherwise."""
    from insights.objectstore import keeping

    if log.tables:
        keeping.adopt(log, log.tables, generation(log))
    elif before:
        keeping.forget(log.pk)
        shutil.rmtree(Path(settings.INSIGHTS_DIR) / "cache" / str(log.pk), ignore_errors=True)


def _files(folder: Path) -> dict[str, Path]:
    return {name: folder / f"{name}.parquet" for name in TABLES}


def forget(number: int) -> None:
    """Remove every file and object of the log of this number."""
    shutil.rmtree(Path(settings.INSIGHTS_DIR) / "logs" / str(number), ignore_errors=True)
    shutil.rmtree(Path(settings.INSIGHTS_DIR) / "cache" / str(number), ignore_errors=True)
    if settings.INSIGHTS_STORE:
        from insights.objectstore import keeping

        keeping.forget(number)


def forget_older(log: EventLog, number: int) -> None:
    """Remove old generations but the last: a page that began before this one still reads it."""
    for folder in home(log).glob("g*"):
        if folder.name[1:].isdigit() and int(folder.name[1:]) < number - 1:
            shutil.rmtree(folder, ignore_errors=True)
    if settings.INSIGHTS_STORE:
        from insights.objectstore import keeping

        keeping.forget_older(log, number)


def sweep(before: datetime) -> int:
    """Remove objects without a row from before ``before``; return how many. Raises ``StoreUnavailable``."""
    if not settings.INSIGHTS_STORE:
        return 0
    from insights.objectstore import keeping

    return keeping.sweep(before)


def away() -> str:
    """Return why the object store cannot be used, in one word; nothing where it can, or where there is none."""
    from insights.objectstore.faults import StoreUnavailable

    try:
        require(patient=False)
    except StoreUnavailable as reason:
        return reason.reason
    return ""
