"""What keeps a line from being an event, in words that its owner can act on."""

from datetime import datetime

import duckdb

from insights.eventlog.shapes import Mapping, Refused, Staged
from insights.eventlog.times import EARLIEST

KEPT = 1000
REASONS = {
    1: "no case id",
    2: "no activity",
    3: "no time",
    4: "the time cannot be read",
    5: "the time lies before 1900",
    6: "the time lies in the future",
    7: "the same as an earlier line",
}


def case(case_id: str, activity: str, stamp: str) -> str:
    """Return the SQL that says what is wrong with a line; its one parameter is the last moment that is believed."""
    return (
        f"CASE WHEN {_blank(case_id)} THEN 1 WHEN {_blank(activity)} THEN 2 "
        f'WHEN "at" IS NULL THEN CASE WHEN {_blank(stamp)} THEN 3 ELSE 4 END '
        f'WHEN "at" < {EARLIEST} THEN 5 WHEN "at" > ? THEN 6 END::TINYINT'
    )


def _blank(text: str) -> str:
    # Trimming millions of names costs more than reading them: only what starts blank is trimmed.
    return f"({text} IS NULL OR {text} = '' OR (starts_with({text}, ' ') AND trim({text}) = ''))"


def last_moment(mapping: Mapping, latest: datetime) -> datetime:
    """Return the last moment that is believed; the mapping may allow plans beyond now, never placeholders."""
    return datetime(2200, 1, 1) if mapping.future == "keep" else latest  # noqa: DTZ001 - UTC without zone, as stored


def mark_repeats(db: duckdb.DuckDBPyConnection, attributes: list[str], *, started: bool) -> None:
    """Give every line that says the same as an earlier one its fault."""
    fields = ", ".join(["case_id", "name", '"at"', *(["started_at"] if started else []), *attributes])
    db.execute(
        f"UPDATE raw SET fault = 7 WHERE fault IS NULL AND rowid NOT IN "  # noqa: S608 - own names
        f"(SELECT min(rowid) FROM raw WHERE fault IS NULL GROUP BY {fields})"
    )


def collect(db: duckdb.DuckDBPyConnection, staged: Staged, mapping: Mapping) -> tuple[list[Refused], int]:
    """Return the first lines that were refused, with reasons, and how many there are in all."""
    count = db.execute("SELECT count(fault) FROM raw").fetchone()
    broken, broken_count = _unreadable(db) if staged.kind == "csv" else ([], 0)
    found = db.execute(
        f"SELECT rowid, fault, coalesce(said, '') FROM raw WHERE fault IS NOT NULL ORDER BY rowid LIMIT {KEPT}"  # noqa: S608
    ).fetchall()
    lines = _lines([row[0] + 1 + staged.skip for row in found], [each.line for each in broken])
    events = [Refused(line, REASONS[fault], said) for line, (_, fault, said) in zip(lines, found, strict=True)]
    every = sorted([*staged.refused, *broken, *events], key=lambda each: each.line)
    return every[:KEPT], staged.refused_count + broken_count + (count[0] if count else 0)


def _unreadable(db: duckdb.DuckDBPyConnection) -> tuple[list[Refused], int]:
    """Return what the reader itself could not split into columns."""
    rows = db.execute(
        "SELECT line, any_value(error_type)::VARCHAR, any_value(left(csv_line, 200)) FROM reject_errors "  # noqa: S608
        f"WHERE scan_id = (SELECT max(scan_id) FROM reject_errors) GROUP BY line ORDER BY line LIMIT {KEPT}"
    ).fetchall()
    count = db.execute(
        "SELECT count(DISTINCT line) FROM reject_errors WHERE scan_id = (SELECT max(scan_id) FROM reject_errors)"
    ).fetchone()
    return [Refused(line, _SPLIT.get(kind, "the line cannot be read"), said or "") for line, kind, said in rows], (
        count[0] if count else 0
    )


_SPLIT = {
    "TOO MANY COLUMNS": "more columns than the header",
    "MISSING COLUMNS": "fewer columns than the header",
    "UNQUOTED VALUE": "a quotation mark stands alone",
    "LINE SIZE OVER MAXIMUM": "the line is too long",
    "INVALID ENCODING": "the line is not UTF-8",
    "INVALID UNICODE": "the line is not UTF-8",
}


def _lines(counted: list[int], missing: list[int]) -> list[int]:
    """Return the lines of the file: those that the reader left out were not counted, so all after them move on."""
    moved, at = [], 0
    for line in counted:
        while at < len(missing) and missing[at] <= line + at:
            at += 1
        moved.append(line + at)
    return moved


def nothing_left(db: duckdb.DuckDBPyConnection) -> str:
    """Say why a log has no event at all."""
    rows = db.execute("SELECT fault, count(*) FROM raw GROUP BY fault ORDER BY 2 DESC LIMIT 1").fetchall()
    if not rows:
        return "The file has no events."
    return f"No line of the file is an event. Most often: {REASONS.get(rows[0][0], 'it cannot be read')}."
