"""CSV as people send it: any separator, with or without a header, in the encodings that spreadsheets write."""

import codecs
import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from insights.eventlog.shapes import ImportFailed, Staged

_SAMPLE = 256 * 1024
_CHUNK = 1 << 20
_SEPARATORS = (",", ";", "\t", "|", "^", "~", "\x01", " ")
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_STAMP = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")


@dataclass(frozen=True)
class Dialect:
    """How the file is written."""

    delimiter: str
    quote: str
    escape: str


def stage(given: Path, into: Path, told: Callable[[int], None]) -> Staged:
    """Say how DuckDB reads ``given``; only what is not UTF-8 is written anew. Raises ``ImportFailed``."""
    encoding = encoding_of(given)
    path = given
    if encoding not in {"utf-8", "utf-8-sig"}:
        path = into / "staged.csv"
        _transcode(given, path, encoding, told)
        encoding = "utf-8"
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        sample = file.read(_SAMPLE)
    if "\x00" in sample[:1000] or not sample.strip():
        raise ImportFailed(
            "The file is empty." if not sample.strip() else "The file is neither text nor a known format."
        )
    skip, sample, told_separator = _announced(sample)
    dialect = dialect_of(sample, told_separator)
    rows = _rows(sample, dialect)
    header = not any(_STAMP.match(cell) for cell in rows[0])
    columns = _names(rows[0]) if header else [f"column {number}" for number in range(1, len(rows[0]) + 1)]
    if header and len(rows) < 2:
        raise ImportFailed("The file has no events, only a header.")
    if len(columns) < 3:
        raise ImportFailed("Fewer than three columns: an event needs a case, an activity and a time.")
    return Staged(
        path, "csv", columns, delimiter=dialect.delimiter, quote=dialect.quote, escape=dialect.escape,
        skip=skip + header,
    )  # fmt: skip


def encoding_of(path: Path) -> str:
    """Return the encoding: what the byte order mark says, UTF-8 where it fits, else that of Western spreadsheets."""
    with path.open("rb") as file:
        head = file.read(_CHUNK)
        for mark, encoding in _BOMS:
            if head.startswith(mark):
                return encoding
        if head[1::2].count(0) > len(head) // 4:
            return "utf-16-le"
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            plain = decoder.decode(head).isascii()
            if not plain:
                # Letters beyond ASCII that are well-formed UTF-8 are no accident: a bad line later is only that.
                return "utf-8"
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def _transcode(given: Path, target: Path, encoding: str, told: Callable[[int], None]) -> None:
    read = 0
    with given.open("rb") as source, target.open("wb") as out:
        decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        while chunk := source.read(_CHUNK):
            out.write(decoder.decode(chunk).encode())
            read += len(chunk)
            told(read)


def _announced(sample: str) -> tuple[int, str, str]:
    """Return how many lines to leave out first, the rest, and the separator where a first line ``sep=;`` tells it."""
    first, _, rest = sample.partition("\n")
    found = re.fullmatch(r'"?sep=(.)"?', first.strip("\r\ufeff"))
    return (1, rest, found[1]) if found else (0, sample, "")


def dialect_of(sample: str, separator: str = "") -> Dialect:
    """Return the separator that splits the first lines most evenly, and how values are quoted."""
    quote = "'" if '"' not in sample and re.match(r"'[^'\n]*'.'", sample) else '"'
    escape = "\\" if f"\\{quote}" in sample and quote * 2 not in sample.replace(f"\\{quote}", "") else quote
    candidates = [Dialect(each, quote, escape) for each in ([separator] if separator else _SEPARATORS)]
    return max(candidates, key=lambda each: _evenness(_rows(sample, each)))


def _evenness(rows: list[list[str]]) -> tuple[float, int]:
    width = len(rows[0])
    alike = sum(len(row) == width for row in rows) / len(rows)
    return (alike if width > 1 else 0.0, width)


def _rows(sample: str, dialect: Dialect) -> list[list[str]]:
    """Return the first lines, split; the last of a sample may be cut off and is left out where there are others."""
    escaped = dialect.escape != dialect.quote
    reader = csv.reader(
        io.StringIO(sample, newline=""),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        doublequote=not escaped,
        escapechar=dialect.escape if escaped else None,
    )
    rows: list[list[str]] = []
    try:
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) >= 100:
                break
    except csv.Error as error:
        if not rows:
            raise ImportFailed(f"The file cannot be read as CSV: {error}.") from error
    whole = rows[:-1] if len(rows) > 2 and len(rows) < 100 and len(sample) >= _SAMPLE - 10 else rows
    return whole or [[]]


def _names(header: list[str]) -> list[str]:
    """Return the names of the columns; the nameless get a number, a name that stands twice too."""
    names: list[str] = []
    for number, cell in enumerate(header, 1):
        name = cell.strip().lstrip("\ufeff")[:200] or f"column {number}"
        names.append(name if name not in names else f"{name} ({number})")
    return names
