"""Logs that grow without files: small increments are merged into a new generation, which readers see all at once.

Such a log stays ``ready`` while it grows. Its cursor lies in ``mapping`` and moves in the same row update as the
generation: what a dead worker had half done is done again, nothing twice.
"""

import csv
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from django.conf import settings
from django.db.models import Q

from audit.clock import db_now
from insights import storage
from insights.eventlog import importing, shapes
from insights.eventlog.build import build
from insights.eventlog.shapes import ImportFailed, Staged
from insights.eventlog.workbench import load, workbench
from insights.models import EventLog
from insights.states import LogState

ROLES = {"case": "case", "activity": "activity", "timestamp": "time", "resource": "resource"}


@dataclass(frozen=True)
class Happening:
    """One event that is to be added; ``at`` is aware."""

    case: str
    activity: str
    at: datetime
    values: Mapping[str, Any] = field(default_factory=dict)


def log_of(origin: str, name: str, **columns: Any) -> EventLog:
    """Return the log that grows from ``origin``; it is made where it is missing, and shows once it has an event."""
    rows = EventLog.objects.filter(origin=origin, digest="", **columns).order_by("pk")
    if (found := rows.first()) is not None:
        return found
    made = EventLog.objects.create(
        name=name, origin=origin, state=LogState.IMPORTING, format="events", created_at=db_now(), **columns
    )
    # Two workers may both have found none: the older row stays.
    if (first := rows.first()) is not None and first.pk != made.pk:
        made.delete()
        return first
    return made


def append(
    log: EventLog,
    happenings: Iterable[Happening],
    *,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
    cursor: int | None = None,
) -> EventLog:
    """Add events to a log that has no file, and ``facts`` that hold for whole cases; the latest fact stands.

    ``cursor`` is kept with them. Raises ``LeaseLost`` where another worker is at it or the cursor has moved on since
    ``log`` was read, ``ImportFailed`` for a log that came as a file, ``StoreUnavailable`` where its tables cannot be
    read or kept just now: the next turn adds the same events.
    """
    if log.digest:
        raise ImportFailed(f"{log} came as a file; lines are added to logs that grow by themselves.")
    seen = log.mapping.get("cursor")
    log = _claim(log)
    work = storage.home(log) / f"work-{log.lease_token}"
    try:
        if log.mapping.get("cursor") != seen:
            raise importing.LeaseLost(f"event log {log.pk} grew meanwhile")
        (work / "tables").mkdir(parents=True)
        with importing.beating(log) as beat:
            staged = _merge(log, work, list(happenings), facts or {})
            mapping = shapes.Mapping(**{key: name for key, name in ROLES.items() if name in staged.columns})
            built = build(staged, mapping, work / "tables", now=db_now(), told=beat.told)
            importing.deliver(log, work / "tables", beat)
        kept = {"facts": _facts_of(log, facts or {}), "cursor": seen if cursor is None else cursor}
        log.mapping = {**mapping.as_json(), **kept}
        importing.publish(log, built, work / "tables")
    finally:
        shutil.rmtree(work, ignore_errors=True)
        EventLog.objects.filter(pk=log.pk, lease_token=log.lease_token).update(lease_token="", lease_until=None)
    log.refresh_from_db()
    return log


def move_on(log: EventLog, cursor: int) -> None:
    """Keep how far was read where nothing was found to add. Raises ``LeaseLost`` as ``append`` does."""
    seen = log.mapping.get("cursor")
    claimed = _claim(log)
    mine = EventLog.objects.filter(pk=claimed.pk, lease_token=claimed.lease_token)
    if claimed.mapping.get("cursor") != seen:
        mine.update(lease_token="", lease_until=None)
        raise importing.LeaseLost(f"event log {log.pk} grew meanwhile")
    log.mapping = {**claimed.mapping, "cursor": cursor}
    mine.update(lease_token="", lease_until=None, mapping=log.mapping)


def _claim(log: EventLog) -> EventLog:
    token, now = secrets.token_hex(16), db_now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    if not EventLog.objects.filter(free, pk=log.pk).update(
        lease_token=token, lease_until=now + timedelta(seconds=settings.LEASE_SECONDS), attempts=0
    ):
        raise importing.LeaseLost(f"event log {log.pk} is being added to")
    return EventLog.objects.get(pk=log.pk)


def _merge(log: EventLog, work: Path, happenings: list[Happening], facts: Mapping[str, Mapping[str, Any]]) -> Staged:
    """Write old and new events as one file; facts of cases come from the newest that told them."""
    old = log.attributes if log.generation else []
    keys = {"case": _facts_of(log, facts)}
    told = [*(each["name"] for each in old), *(name for each in happenings for name in each.values)]
    keys["event"] = [name for name in dict.fromkeys(told) if name not in keys["case"]]
    rows = [[e.case, e.activity, e.at.isoformat(), *_told(e.values, keys["event"])] for e in happenings]
    _rows(work / "new.csv", rows)
    _rows(work / "facts.csv", [[case, *_told(values, keys["case"])] for case, values in facts.items()])
    folders = [work, *({storage.table(log, each).parent for each in storage.TABLES} if log.generation else ())]
    with workbench(folders, work / "spill") as db:
        load(db, "new", work / "new.csv", _numbered(3 + len(keys["event"])))
        load(db, "facts", work / "facts.csv", _numbered(1 + len(keys["case"])))
        try:
            db.execute(_merged(log, keys, {each["name"]: each for each in old}, work / "staged.parquet"))
        except duckdb.Error as error:
            raise ImportFailed(f"The log cannot be added to: {str(error).splitlines()[0][:200]}") from error
    columns = ["case", "activity", "time", *keys["event"], *keys["case"]]
    return Staged(work / "staged.parquet", "parquet", columns, types=["VARCHAR"] * len(columns))


def _facts_of(log: EventLog, facts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the names that hold for whole cases because somebody said so, not because they happen to."""
    before = log.mapping.get("facts", []) if log.generation else []
    return list(dict.fromkeys([*before, *(name for told in facts.values() for name in told)]))


def _numbered(width: int) -> list[str]:
    return [f"c{number}" for number in range(1, width + 1)]


def _merged(log: EventLog, keys: dict[str, list[str]], old: dict[str, dict[str, str]], target: Path) -> str:
    """Return the SQL that writes the merged file; names are columns by number, never text."""
    events, cases = keys["event"], keys["case"]
    width = 3 + len(events)
    rows = f"SELECT 1 AS part, rowid AS no, {', '.join(_numbered(width))} FROM new"  # noqa: S608 - own names
    facts, before = [f"facts.c{number}" for number in range(2, 2 + len(cases))], ""
    if log.generation:
        at = {each: str(storage.table(log, each)).replace("'", "''") for each in storage.TABLES}
        rows = f"{_before(at, events, old)} UNION ALL {rows}"
        told = [f"w.{old[n]['column']}::VARCHAR" if n in old and old[n]["level"] == "case" else "NULL" for n in cases]
        facts = [f"coalesce({new}, {each})" for new, each in zip(facts, told, strict=True)]
        before = f"LEFT JOIN read_parquet('{at['cases']}') w ON w.case_id = r.c1 "
    fields = [*(f"r.{each}" for each in _numbered(width)), *facts]
    named = ", ".join(f"{each} AS c{number}" for number, each in enumerate(fields, 1))
    quoted = str(target).replace("'", "''")
    return (
        f"COPY (SELECT {named} FROM ({rows}) r LEFT JOIN facts ON facts.c1 = r.c1 {before}"  # noqa: S608 - own names
        f"ORDER BY r.part, r.no) TO '{quoted}' (FORMAT parquet)"
    )


def _before(at: dict[str, str], events: list[str], old: dict[str, dict[str, str]]) -> str:
    """Return the SQL of the events that stand already, in their order, as text."""
    sides = {"case": "c", "event": "e"}
    kept = [f"{sides[old[name]['level']]}.{old[name]['column']}::VARCHAR" if name in old else "NULL" for name in events]
    fields = ["c.case_id", "a.name", 'e."at"::VARCHAR', *kept]
    named = ", ".join(f"{each} AS c{number}" for number, each in enumerate(fields, 1))
    return (
        f"SELECT 0 AS part, row_number() OVER (ORDER BY e.case_no, e.position) AS no, {named} "  # noqa: S608 - own names
        f"FROM read_parquet('{at['events']}') e JOIN read_parquet('{at['cases']}') c USING (case_no) "
        f"JOIN read_parquet('{at['activities']}') a USING (activity)"
    )


def _rows(path: Path, rows: list[list[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _told(values: Mapping[str, Any], names: list[str]) -> list[Any]:
    return [values.get(name) for name in names]
