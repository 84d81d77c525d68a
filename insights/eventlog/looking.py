"""A first look at a file: its format, its columns, its first rows, and what the columns seem to be."""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from insights.eventlog import csvs, ocel, parquets, xes
from insights.eventlog.guess import Guess, guess
from insights.eventlog.inside import ROWS, Inside
from insights.eventlog.shapes import ImportFailed, Mapping, Staged
from insights.eventlog.staging import format_of
from insights.eventlog.unpack import head_of, packing_of
from insights.eventlog.workbench import source, workbench

_HEAD = 1 << 20
_UNPACKED = 16 << 20
_GUESSED_FROM = 2000


@dataclass(frozen=True)
class Look:
    """What a file shows before it is imported."""

    format: str
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    # Nothing for formats that say themselves what their parts are.
    guess: Guess | None = None
    # What keeps it from being read at all.
    error: str = ""
    object_types: list[str] = field(default_factory=list)
    # Of formats that say themselves what their parts are, where that was asked for.
    inside: Inside | None = None


def look(given: Path, told: Mapping | None = None, *, inside: bool = False, object_type: str = "") -> Look:
    """Look at the beginning of ``given``; what cannot be read is said, not raised. ``told`` goes before any guess.

    ``inside`` shows what XES and OCEL files hold as well, with ``object_type`` as the case.
    """
    try:
        format_ = format_of(given)
    except ImportFailed as reason:
        return Look("", error=str(reason))
    try:
        if format_ in {"csv", "parquet"}:
            return _table(given, format_, told or Mapping())
        if inside:
            return _inside(given, format_, object_type)
        if format_.startswith("ocel") and not packing_of(given):
            return Look(format_, object_types=ocel.types_of(given, format_))
        return Look(format_)
    except ImportFailed as reason:
        return Look(format_, error=str(reason))


def _inside(given: Path, format_: str, object_type: str) -> Look:
    if format_ == "xes":
        seen = xes.inside(head_of(given, _HEAD))
        return Look(format_, seen.columns, seen.rows, inside=seen)
    scratch = Path(tempfile.mkdtemp(prefix="look-", dir=given.parent))
    try:
        plain, cut = _plain(given, scratch)
        if cut and format_ == "ocel-sqlite":
            return Look(format_)
        seen = ocel.inside(plain, format_, object_type, cut=cut)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Look(format_, seen.columns, seen.rows, object_types=[one.name for one in seen.object_types], inside=seen)


def _plain(given: Path, scratch: Path) -> tuple[Path, bool]:
    """Return a file that is not packed, and whether it is only the beginning of what was given."""
    if not packing_of(given):
        return given, False
    head = head_of(given, _UNPACKED)
    (scratch / "plain").write_bytes(head)
    return scratch / "plain", len(head) == _UNPACKED


def _table(given: Path, format_: str, told: Mapping) -> Look:
    # Beside the file, so that the look's own database reaches nothing else.
    scratch = Path(tempfile.mkdtemp(prefix="look-", dir=given.parent))
    try:
        staged = parquets.stage(given, scratch, _nobody) if format_ == "parquet" else _csv_head(given, scratch)
        rows = _first_rows(staged, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if ocel.is_table(staged.columns):
        return Look("ocel-csv", staged.columns, rows[:ROWS], object_types=ocel.table_types(staged.columns))
    return Look(format_, staged.columns, rows[:ROWS], guess(staged.columns, rows, told.roles(staged.columns)))


def _nobody(_: int) -> None:
    """Hear no progress: a look is short."""


def _csv_head(given: Path, scratch: Path) -> Staged:
    head = head_of(given, _HEAD)
    if len(head) == _HEAD or packing_of(given):
        # Whole lines only: the last one is cut off.
        end = head.rfind(b"\n")
        head = head[: end + 1] if end > 0 and len(head) == _HEAD else head
    path = scratch / "head"
    path.write_bytes(head)
    return csvs.stage(path, scratch, _nobody)


def _first_rows(staged: Staged, scratch: Path) -> list[list[str]]:
    clause, parameters = source(staged)
    names = ", ".join(f"c{number}::VARCHAR" for number in range(1, len(staged.columns) + 1))
    try:
        with workbench([staged.path.parent], scratch / "spill") as db:
            found = db.execute(f"SELECT {names} FROM {clause} LIMIT {_GUESSED_FROM}", parameters).fetchall()  # noqa: S608
    except duckdb.Error as error:
        raise ImportFailed(f"The file cannot be read: {str(error).splitlines()[0][:200]}") from error
    return [[value or "" for value in row] for row in found]
