"""From a staged file to the four tables, in SQL: read once, sort once, number early, write.

1. Load: every line is read with its own number (``rowid``), stamps become UTC, what cannot be an event gets a fault.
2. Cases and activities are numbered, so that only numbers are sorted.
3. One sort by case, time and line; what follows what is a look at the next row of that order, not a window per case.
4. Variants are told apart by two 64-bit hashes over (position, activity); only one case of each is written out.

Names from the file never enter a statement: its columns are ``c1…cn`` here, and become ``a1…an``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from insights.eventlog import faults
from insights.eventlog.attributes import Column, columns_of, constant_so_far
from insights.eventlog.shapes import Built, ImportFailed, Mapping, Refused, Staged
from insights.eventlog.times import as_utc, latest
from insights.eventlog.workbench import source, workbench

Told = Callable[[float, duckdb.DuckDBPyConnection], None]
# How many cases have their path put together at once: lists do not spill.
_SLICE = 2_000_000
MAX_COLUMNS = 500


@dataclass
class _Work:
    """One import on the bench."""

    db: duckdb.DuckDBPyConnection
    staged: Staged
    mapping: Mapping
    now: datetime
    into: Path
    columns: list[Column]

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.db.execute(sql, list(parameters)).fetchall()

    def copy(self, sql: str, table: str) -> None:
        """Write what ``sql`` selects as the Parquet file of ``table``."""
        target = str(self.into / f"{table}.parquet").replace("'", "''")
        self.db.execute(f"COPY ({sql}) TO '{target}' (FORMAT parquet, COMPRESSION snappy)")


def build(staged: Staged, mapping: Mapping, into: Path, *, now: datetime, told: Told = lambda share, db: None) -> Built:
    """Write the four tables of ``staged`` into the folder ``into`` and say what they hold.

    ``now`` is the moment of the import; ``told`` hears the share that is done. Raises ``ImportFailed`` with words for
    a person, and ``BadMapping`` where the columns do not fit.
    """
    mapping.check(staged.columns)
    if len(staged.columns) > MAX_COLUMNS:
        raise ImportFailed(f"The file has {len(staged.columns)} columns; an event log may have {MAX_COLUMNS}.")
    folders = [staged.path.parent, into]
    with workbench(folders, into / "spill", time_zone=mapping.time_zone) as db:
        work = _Work(db, staged, mapping, now, into, [])
        try:
            return _build(work, told)
        except duckdb.Error as error:
            raise ImportFailed(_in_words(error)) from error


def _build(work: _Work, told: Told) -> Built:
    told(0.0, work.db)
    work.columns = columns_of(work.db, work.staged, work.mapping)
    _load(work)
    told(0.4, work.db)
    refused, refused_count = faults.collect(work.db, work.staged, work.mapping)
    try:
        return _tables(work, told, refused, refused_count)
    except (ImportFailed, duckdb.Error) as error:
        # Whatever it breaks at from here on, these lines were refused.
        text = str(error) if isinstance(error, ImportFailed) else _in_words(error)
        raise ImportFailed(text, refused, refused_count) from error


def _tables(work: _Work, told: Told, refused: list[Refused], refused_count: int) -> Built:
    _number(work)
    told(0.6, work.db)
    _write_events(work)
    told(0.85, work.db)
    _write_variants(work)
    _write_cases(work)
    _write_activities(work)
    told(1.0, work.db)
    return _sum_up(work, refused, refused_count)


def _in_words(error: duckdb.Error) -> str:
    if isinstance(error, duckdb.OutOfMemoryException):
        return "The file needs more memory or disk than this installation gives an import (INSIGHTS_MEMORY_MB)."
    return f"The file cannot be read: {str(error).splitlines()[0][:300]}"


def _load(work: _Work) -> None:
    """Read the file, with the types its first lines showed; a column that breaks its type is read again as text."""
    while True:
        _read(work)
        checked = [column for column in work.columns if column.checked]
        if not checked:
            return
        sums = ", ".join(f"count({column.name}x)" for column in checked)
        row = work.run(f"SELECT {sums} FROM raw")[0]  # noqa: S608 - own names
        broken = [column.name for column, count in zip(checked, row, strict=True) if count]
        if not broken:
            return
        work.columns = [replace(c, type="text", checked=False) if c.name in broken else c for c in work.columns]
        work.db.execute("DROP TABLE raw")


def _read(work: _Work) -> None:
    told, mapping = work.staged, work.mapping
    clause, parameters = source(told)
    number = {name: index for index, name in enumerate(told.columns, 1)}
    kinds = told.types or ["VARCHAR"] * len(told.columns)

    def moment(column: str) -> tuple[str, list[object]]:
        at = number[column]
        return as_utc(f"c{at}", kinds[at - 1], mapping.time_format, mapping.time_zone)

    case, activity, stamp = (f"c{number[name]}" for name in (mapping.case, mapping.activity, mapping.timestamp))
    at, read_by = moment(mapping.timestamp)
    begun_by: list[object] = []
    fields = ['"at"', f"{case}::VARCHAR AS case_id", f"{activity}::VARCHAR AS name"]
    if mapping.start:
        begun, begun_by = moment(mapping.start)
        fields.append(f"{begun} AS started_at")
    fields += [f"{column.read()} AS {column.name}" for column in work.columns]
    fields += [f"{column.misfit()} AS {column.name}x" for column in work.columns if column.checked]
    fault = faults.case(f"{case}::VARCHAR", f"{activity}::VARCHAR", f"{stamp}::VARCHAR")
    said = f"left(concat_ws(' · ', {', '.join(f'c{n}' for n in range(1, len(told.columns) + 1))}), 200)"
    # What a line says is put together only where it is refused.
    work.run(
        f"CREATE TABLE raw AS SELECT {', '.join(fields)}, fault, CASE WHEN fault IS NOT NULL THEN {said} END AS said "  # noqa: S608
        f'FROM (SELECT *, {fault} AS fault FROM (SELECT *, {at} AS "at" FROM {clause}))',
        [*begun_by, faults.last_moment(mapping, latest(work.now)), *read_by, *parameters],
    )
    if mapping.duplicates == "drop":
        faults.mark_repeats(work.db, [column.name for column in work.columns], started=bool(mapping.start))


def _number(work: _Work) -> None:
    """Number activities by name and cases by their first line, and find what stays the same within every case."""
    work.run(
        "CREATE TABLE acts AS SELECT row_number() OVER (ORDER BY name)::INTEGER AS activity, name "
        "FROM (SELECT DISTINCT name FROM raw WHERE fault IS NULL)"
    )
    if not work.run("SELECT count(*) FROM acts")[0][0]:
        raise ImportFailed(faults.nothing_left(work.db))
    _leave_out_empty(work)
    maybe = constant_so_far(work.db, work.columns, work.mapping)
    values = "".join(f", min({name}) AS {name}" for name in maybe)
    moved = "".join(
        f", min({name}) IS DISTINCT FROM max({name}) OR count({name}) NOT IN (0, count(*)) AS {name}m" for name in maybe
    )
    work.run(
        "CREATE TABLE cs AS SELECT row_number() OVER (ORDER BY seq) AS case_no, * EXCLUDE (seq) FROM ("  # noqa: S608
        'SELECT case_id, min(rowid) AS seq, count(*) AS events, min("at") AS first_at, max("at") AS last_at'
        f"{values}{moved} FROM raw WHERE fault IS NULL GROUP BY case_id)"
    )
    if maybe:
        flags = work.run(f"SELECT {', '.join(f'bool_or({name}m)' for name in maybe)} FROM cs")[0]  # noqa: S608
        constant = {name for name, moves in zip(maybe, flags, strict=True) if not moves}
        work.columns = [
            replace(column, level="case" if column.name in constant else "event") for column in work.columns
        ]


def _leave_out_empty(work: _Work) -> None:
    if work.columns:
        counts = work.run(f"SELECT {', '.join(f'count({column.name})' for column in work.columns)} FROM raw")[0]  # noqa: S608
        work.columns = [column for column, count in zip(work.columns, counts, strict=True) if count]


def _level(work: _Work, level: str) -> list[str]:
    return [column.name for column in work.columns if column.level == level]


def _write_events(work: _Work) -> None:
    started = "started_at" if work.mapping.start else "NULL::TIMESTAMP AS started_at"
    names = _level(work, "event")
    kept, read = "".join(f", {name}" for name in names), "".join(f", raw.{name}" for name in names)
    # `OVER ()` streams over the sorted rows: the next row is the next event, of the same case or of another.
    work.copy(
        'SELECT case_no, (n - max(head) OVER (ROWS UNBOUNDED PRECEDING) + 1)::INTEGER AS position, activity, "at", '  # noqa: S608
        "started_at, CASE WHEN same THEN after END AS next, "
        f"CASE WHEN same THEN date_diff('microsecond', \"at\", after_at) / 1e6 END AS gap{kept} FROM ("
        "SELECT *, row_number() OVER () AS n, lead(case_no) OVER () IS NOT DISTINCT FROM case_no AS same, "
        'lead(activity) OVER () AS after, lead("at") OVER () AS after_at, '
        "CASE WHEN lag(case_no) OVER () IS DISTINCT FROM case_no THEN row_number() OVER () END AS head FROM ("
        f'SELECT cs.case_no, acts.activity, raw."at", {started}{read} FROM (SELECT *, rowid AS seq FROM raw) AS raw '
        "JOIN cs USING (case_id) JOIN acts USING (name) WHERE fault IS NULL "
        'ORDER BY cs.case_no, raw."at", seq))',
        "events",
    )
    # From here on the files are the truth; the lines have done their work.
    work.run("DROP TABLE raw")
    quoted = str(work.into / "events.parquet").replace("'", "''")
    work.run(f"CREATE VIEW ev AS SELECT * FROM read_parquet('{quoted}')")  # noqa: S608 - own folder


def _write_variants(work: _Work) -> None:
    work.run(
        "CREATE TABLE ends AS SELECT case_no, any_value(activity) FILTER (position = 1) AS first_activity, "
        "any_value(activity) FILTER (next IS NULL) AS last_activity, "
        "bit_xor(hash((activity::BIGINT << 32) + position)) AS h1, "
        "bit_xor(hash(-(activity::BIGINT << 32) - position)) AS h2 FROM ev GROUP BY case_no"
    )
    work.run(
        "CREATE TABLE kinds AS SELECT min(ends.case_no) AS case_no, count(*) AS cases, h1, h2, events "
        "FROM ends JOIN cs USING (case_no) GROUP BY h1, h2, events"
    )
    work.run("CREATE TABLE paths (case_no BIGINT, path INTEGER[])")
    for start in range(1, work.run("SELECT max(case_no) FROM cs")[0][0] + 1, _SLICE):
        work.run(
            "INSERT INTO paths SELECT case_no, list(activity ORDER BY position) FROM ev "
            "SEMI JOIN kinds USING (case_no) WHERE case_no BETWEEN ? AND ? GROUP BY case_no",
            [start, start + _SLICE - 1],
        )
    work.run(
        "CREATE TABLE vs AS SELECT row_number() OVER (ORDER BY cases DESC, path)::INTEGER AS variant, path, cases, "
        "h1, h2, events FROM kinds JOIN paths USING (case_no)"
    )
    work.copy("SELECT variant, path, cases FROM vs ORDER BY variant", "variants")


def _write_cases(work: _Work) -> None:
    kept = "".join(f", cs.{name}" for name in _level(work, "case"))
    work.copy(
        "SELECT cs.case_no, cs.case_id, vs.variant, cs.events::INTEGER AS events, cs.first_at, cs.last_at, "  # noqa: S608
        "date_diff('microsecond', cs.first_at, cs.last_at) / 1e6 AS seconds, ends.first_activity, ends.last_activity"
        f"{kept} FROM cs JOIN ends USING (case_no) JOIN vs ON vs.h1 = ends.h1 AND vs.h2 = ends.h2 "
        "AND vs.events = cs.events ORDER BY cs.case_no",
        "cases",
    )


def _write_activities(work: _Work) -> None:
    """Count over variants, not events: the same numbers from a fraction of the rows."""
    work.copy(
        "SELECT acts.activity, acts.name, sum(times * cases)::BIGINT AS events, sum(cases)::BIGINT AS cases FROM ("
        "SELECT variant, cases, activity, count(*) AS times FROM "
        "(SELECT variant, cases, unnest(path) AS activity FROM vs) GROUP BY ALL) "
        "JOIN acts USING (activity) GROUP BY ALL ORDER BY activity",
        "activities",
    )


def _sum_up(work: _Work, refused: list[Refused], refused_count: int) -> Built:
    cases, events, activities, variants, first_at, last_at = work.run(
        "SELECT count(*), sum(events)::BIGINT, (SELECT count(*) FROM acts), (SELECT count(*) FROM vs), "
        "min(first_at), max(last_at) FROM cs"
    )[0]
    names = work.run(
        "SELECT name FROM (SELECT activity, sum(cases) AS n FROM (SELECT unnest(path) AS activity, cases FROM vs) "
        "GROUP BY activity) JOIN acts USING (activity) ORDER BY n DESC, name LIMIT 200"
    )
    return Built(
        cases=cases,
        events=events,
        activities=activities,
        variants=variants,
        first_at=first_at,
        last_at=last_at,
        attributes=[
            {"name": column.label, "level": column.level, "column": column.name, "type": column.type}
            for column in work.columns
        ],
        refused=refused,
        refused_count=refused_count,
        names=[name for (name,) in names],
    )
