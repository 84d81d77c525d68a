"""From any file to one that DuckDB reads in one go; what took long is kept for an import that is resumed."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from insights.eventlog import csvs, ocel, parquets, xes
from insights.eventlog.shapes import ImportFailed, Refused, Staged, storable
from insights.eventlog.unpack import head_of, unpack

Told = Callable[[int], None]
FORMATS = {"xes": "XES", "csv": "CSV", "parquet": "Parquet", "ocel": "OCEL", "ocel-sqlite": "OCEL (SQLite)"}


def format_of(given: Path) -> str:
    """Return which of ``FORMATS`` the file is, by its content. Raises ``ImportFailed`` for an empty one."""
    head = head_of(given, 4096)
    if not head.strip():
        raise ImportFailed("The file is empty.")
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"SQLite format 3\x00"):
        return "ocel-sqlite"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n\xff\xfe")
    if start.startswith((b"<", b"\x00<", b"<\x00")):
        return "xes"
    return "ocel" if start.startswith((b"{", b"{\x00")) else "csv"


def stage(given: Path, into: Path, *, object_type: str = "", told: Told = lambda size: None) -> Staged:
    """Return the events of ``given`` as one file, ``given`` itself or one in the folder ``into``.

    Raises ``ImportFailed`` with words for a person.
    """
    staged = _read(format_of(given), unpack(given, into, told), into, object_type, told)
    return replace(
        staged,
        columns=[storable(name) for name in staged.columns],
        roles={role: storable(name) for role, name in staged.roles.items()},
        chosen=storable(staged.chosen),
    )


def _read(format_: str, plain: Path, into: Path, object_type: str, told: Told) -> Staged:
    if format_ == "xes":
        return xes.stage(plain, into, told)
    if format_ == "parquet":
        return parquets.stage(plain, into, told)
    if format_ == "csv":
        staged = csvs.stage(plain, into, told)
        return ocel.from_csv(staged, into, object_type) if ocel.is_table(staged.columns) else staged
    reader = ocel.from_sqlite if format_ == "ocel-sqlite" else ocel.from_json
    return reader(plain, into, object_type)


def kept(folder: Path) -> Staged | None:
    """Return what an earlier, broken-off import had staged in ``folder``, if it had finished that."""
    try:
        told: dict[str, Any] = json.loads((folder / "staged.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    refused = [Refused(**each) for each in told.pop("refused")]
    return Staged(**{**told, "path": folder / told["path"], "refused": refused})


def keep(staged: Staged, made_in: Path, folder: Path) -> Staged:
    """Keep what was staged for an import that goes on after this one broke off.

    The rename is all or nothing; where another import was quicker, its file stands, which is the same.
    """
    if staged.path.parent != made_in:
        return staged
    told = {**asdict(staged), "path": staged.path.name}
    (made_in / "staged.json").write_text(json.dumps(told), encoding="utf-8")
    shutil.rmtree(made_in / "spill", ignore_errors=True)
    try:
        made_in.rename(folder)
    except OSError:
        return staged
    return replace(staged, path=folder / staged.path.name)
