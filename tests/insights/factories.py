"""Event logs for tests: the four tables, made from a few events by a little SQL that is nobody else's."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
from django.utils import timezone

from insights import storage
from insights.models import EventLog
from insights.states import LogState

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
Event = Sequence[Any]  # (case, activity, time) and perhaps a mapping of attributes; "started" is its beginning
Tables = dict[str, tuple[bytes, int]]
AT_ONCE = 50  # rows
MOST_KEPT = 2_000  # events; a larger log is one test's own
# Many tests of a file look at the same log: its tables are made once.
_KEPT: dict[str, Tables] = {}
_SQL = {"text": "VARCHAR", "number": "DOUBLE", "time": "TIMESTAMP", "flag": "BOOLEAN"}


def at(hours: float) -> datetime:
    """That many hours after the first Monday of 2026, eight o'clock."""
    return START + timedelta(hours=hours)


def path(case: str, *activities: str, start: float = 0, step: float = 1, **attributes: Any) -> list[tuple[Any, ...]]:
    """A case that goes through ``activities``, one every ``step`` hours."""
    return [(case, name, at(start + step * index), dict(attributes)) for index, name in enumerate(activities)]


def make_log(
    events: Iterable[Event] = (), *, case_attributes: Sequence[str] = (), name: str = "Orders", **changes: Any
) -> EventLog:
    """A log that is ready, with its tables; attributes named in ``case_attributes`` belong to the case."""
    rows = [(*event, {})[:4] if len(event) == 3 else tuple(event) for event in events]
    attributes = _attributes(rows, case_attributes)
    values = {"state": LogState.READY, "generation": 1, "created_at": timezone.now(), **changes}
    log = EventLog.objects.create(name=name, attributes=attributes, **values)
    write_tables(log, rows)
    return log


def write_tables(log: EventLog, rows: Sequence[Event]) -> None:
    """Write the tables of the generation that ``log`` shows, and its counts."""
    said = repr((log.attributes, rows))
    tables = _KEPT.get(said) or _tables(log, rows)
    if len(rows) <= MOST_KEPT:
        _KEPT[said] = tables
    storage.generation(log).mkdir(parents=True, exist_ok=True)
    for table, (content, count) in tables.items():
        storage.table(log, table).write_bytes(content)
        setattr(log, table, count)
    log.save()


def _tables(log: EventLog, rows: Sequence[Event]) -> Tables:
    """Make the tables, as files, with the number of rows of each."""
    with duckdb.connect(":memory:") as connection, TemporaryDirectory() as folder:
        connection.execute("SET TimeZone = 'UTC'")
        _stage(connection, log, rows)
        _derive(connection, log)
        found: Tables = {}
        for table in storage.TABLES:
            file = Path(folder) / table
            connection.execute(f"COPY {table} TO '{file}' (FORMAT parquet)")
            count = connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
            found[table] = (file.read_bytes(), count)
        return found


def _attributes(rows: Sequence[Event], case_attributes: Sequence[str]) -> list[dict[str, str]]:
    kinds: dict[str, str] = {}
    for row in rows:
        for key, value in row[3].items():
            if key != "started" and value is not None:
                kinds.setdefault(key, _kind(value))
    return [
        {"name": key, "level": "case" if key in case_attributes else "event", "column": f"a{index}", "type": kind}
        for index, (key, kind) in enumerate(kinds.items(), 1)
    ]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int | float):
        return "number"
    return "time" if isinstance(value, datetime) else "text"


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


def _stage(connection: duckdb.DuckDBPyConnection, log: EventLog, rows: Sequence[Event]) -> None:
    columns = "".join(f", {one['column']} {_SQL[one['type']]}" for one in log.attributes)
    connection.execute(
        f'CREATE TABLE raw (line BIGINT, case_id VARCHAR, name VARCHAR, "at" TIMESTAMP, started_at TIMESTAMP{columns})'
    )
    told = [
        [
            *(index, row[0], row[1], _plain(row[2]), _plain(row[3].get("started"))),
            *(_plain(row[3].get(one["name"])) for one in log.attributes),
        ]
        for index, row in enumerate(rows)
    ]
    # Row by row it would take ten times as long.
    for begin in range(0, len(told), AT_ONCE):
        part = told[begin : begin + AT_ONCE]
        one = f"({', '.join('?' for _ in part[0])})"
        values = [value for row in part for value in row]
        connection.execute(f"INSERT INTO raw VALUES {', '.join([one] * len(part))}", values)


def _of(attributes: Iterable[Mapping[str, str]], level: str, form: str) -> str:
    return "".join(", " + form.format(one["column"]) for one in attributes if one["level"] == level)


def _derive(connection: duckdb.DuckDBPyConnection, log: EventLog) -> None:
    on_event = _of(log.attributes, "event", "{0}")
    on_case = _of(log.attributes, "case", "max({0}) AS {0}")
    connection.execute(
        f"""
        CREATE TABLE activities AS
          SELECT (row_number() OVER (ORDER BY name))::INTEGER AS activity, name, count(*) AS events,
                 count(DISTINCT case_id) AS cases FROM raw GROUP BY name;
        CREATE TABLE numbered AS SELECT (row_number() OVER (ORDER BY case_id))::BIGINT AS case_no, case_id
          FROM (SELECT DISTINCT case_id FROM raw);
        CREATE TABLE all_events AS
          SELECT n.case_no, (row_number() OVER w)::INTEGER AS position, k.activity, r.at, r.started_at,
                 lead(k.activity) OVER w AS next, epoch(lead(r.at) OVER w) - epoch(r.at) AS gap, r.*
          EXCLUDE (line, case_id, name, "at", started_at)
          FROM raw r JOIN numbered n USING (case_id) JOIN activities k USING (name)
          WINDOW w AS (PARTITION BY case_id ORDER BY r.at, line);
        CREATE TABLE events AS SELECT case_no, position, activity, "at", started_at, next, gap{on_event}
          FROM all_events ORDER BY case_no, position;
        CREATE TABLE paths AS SELECT case_no, list(activity ORDER BY position) AS path, count(*) AS events,
                 min("at") AS first_at, max("at") AS last_at, epoch(max("at")) - epoch(min("at")) AS seconds,
                 arg_min(activity, position) AS first_activity, arg_max(activity, position) AS last_activity{on_case}
          FROM all_events GROUP BY case_no;
        CREATE TABLE variants AS SELECT (row_number() OVER (ORDER BY cases DESC, path))::INTEGER AS variant, path, cases
          FROM (SELECT path, count(*) AS cases FROM paths GROUP BY path);
        CREATE TABLE cases AS SELECT p.case_no, n.case_id, v.variant, p.events::INTEGER AS events, p.first_at,
                 p.last_at, p.seconds, p.first_activity, p.last_activity{_of(log.attributes, "case", "p.{0}")}
          FROM paths p JOIN numbered n USING (case_no) JOIN variants v USING (path) ORDER BY p.case_no
        """
    )
