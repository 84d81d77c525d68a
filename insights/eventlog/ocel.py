"""Object-centric logs (OCEL 2.0 and 1.0), flattened: the objects of one type become the cases.

Whatever the format, three files are written beside it (events, objects, links) and joined by the database, so that
memory stays bounded. The objects of other types that an event touches stay with it, as one attribute for each type.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb

from insights.eventlog.inside import MOST_ELEMENTS, Inside, Sample
from insights.eventlog.jsonstream import parts
from insights.eventlog.ocel_sqlite import sample_of
from insights.eventlog.ocel_sqlite import tables_of as sqlite_tables
from insights.eventlog.ocel_sqlite import types_of as sqlite_types
from insights.eventlog.ocel_tables import Tables, writing
from insights.eventlog.shapes import ImportFailed, Staged
from insights.eventlog.workbench import load, workbench

TYPE = "ocel:type:"
_LARGE = frozenset({"events", "objects", "ocel:events", "ocel:objects"})
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_LOOKED_AT = 10_000
_LARGEST_VALUE = 1 << 20


def is_table(columns: list[str]) -> bool:
    """Tell whether a CSV file is an object-centric log, as tools write it."""
    return "ocel:activity" in columns and "ocel:timestamp" in columns and bool(table_types(columns))


def table_types(columns: list[str]) -> list[str]:
    """Return the object types of an object-centric CSV file."""
    return [name.removeprefix(TYPE) for name in columns if name.startswith(TYPE)]


def types_of(given: Path, format_: str) -> list[str]:
    """Return the object types that the file declares. Raises ``ImportFailed``."""
    if format_ == "ocel-sqlite":
        return sqlite_types(given)
    for looked, (key, value) in enumerate(parts(given, _LARGE)):
        if found := declared_types(key, value):
            return found
        if looked > _LOOKED_AT:
            break
    return []


def inside(given: Path, format_: str, chosen: str, *, cut: bool = False) -> Inside:
    """Return what the beginning of an object-centric log shows; ``cut``: only the beginning is there.

    Raises ``ImportFailed``.
    """
    sample = Sample()
    if format_ == "ocel-sqlite":
        sample_of(given, sample)
        return sample.told(sqlite_types(given), chosen)
    declared: list[str] = []
    number = 0
    try:
        for looked, (key, element) in enumerate(parts(given, _LARGE)):
            if key in {"events", "ocel:events"}:
                number += 1
                if not sample.full:
                    _event(sample, number, element)
            elif key in {"objects", "ocel:objects"}:
                _object(sample, element)
                sample.related = sample.related or bool(isinstance(element, dict) and element.get("relationships"))
            else:
                declared += declared_types(key, element)
            if looked > MOST_ELEMENTS:
                break
    except ImportFailed:
        # Of a beginning, the end is missing: what was read till then is what there is to see.
        if not cut or not sample.events:
            raise
    return sample.told(declared, chosen)


def declared_types(key: str, value: Any) -> list[str]:
    """Return the object types that a part of the document declares, of either version."""
    if key == "objectTypes" and isinstance(value, list):
        return [str(each.get("name", "")) for each in value if isinstance(each, dict)]
    if key == "ocel:global-log" and isinstance(value, dict):
        return [str(each) for each in value.get("ocel:object-types", [])]
    return []


def from_sqlite(given: Path, into: Path, object_type: str) -> Staged:
    """Flatten an OCEL 2.0 database. Raises ``ImportFailed``."""
    with writing(into) as tables:
        sqlite_tables(given, tables)
    return flatten(tables, into, object_type)


def from_json(given: Path, into: Path, object_type: str) -> Staged:
    """Flatten an OCEL document, 2.0 or 1.0. Raises ``ImportFailed``."""
    with writing(into) as tables:
        number = 0
        for key, element in parts(given, _LARGE):
            if key in {"events", "ocel:events"}:
                number += 1
                _event(tables, number, element)
            elif key in {"objects", "ocel:objects"}:
                _object(tables, element)
    return flatten(tables, into, object_type)


def _event(tables: Tables, number: int, element: Any) -> None:
    if isinstance(element, tuple) and isinstance(element[1], dict):
        told = element[1]
        values = told.get("ocel:vmap") or {}
        tables.event(number, told.get("ocel:activity"), told.get("ocel:timestamp"), values)
        linked = told.get("ocel:omap") or []
    elif isinstance(element, dict):
        values = {str(each.get("name")): each.get("value") for each in _dicts(element.get("attributes"))}
        tables.event(number, element.get("type"), element.get("time"), values)
        linked = [each.get("objectId") for each in _dicts(element.get("relationships"))]
    else:
        tables.event(number, None, None, {})
        return
    for each in linked:
        tables.link(number, each)


def _object(tables: Tables, element: Any) -> None:
    if isinstance(element, tuple) and isinstance(element[1], dict):
        tables.object(element[0], element[1].get("ocel:type"), "", element[1].get("ocel:ovmap") or {})
    elif isinstance(element, dict):
        tables.object(element.get("id"), element.get("type"), "", {})
        for each in _dicts(element.get("attributes")):
            name, value = str(each.get("name")), each.get("value")
            tables.object(element.get("id"), element.get("type"), str(each.get("time") or ""), {name: value})


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def from_csv(staged: Staged, into: Path, object_type: str) -> Staged:
    """Flatten an object-centric table, whose cells hold lists of objects. Raises ``ImportFailed``."""
    types = table_types(staged.columns)
    known = {"ocel:eid", "ocel:activity", "ocel:timestamp", *(TYPE + each for each in types)}
    with writing(into) as tables:
        for number, row in enumerate(_lines(staged), 1):
            cell = dict(zip(staged.columns, row, strict=False))
            values = {name: value for name, value in cell.items() if name not in known}
            tables.event(number, cell.get("ocel:activity"), cell.get("ocel:timestamp"), values)
            for each in types:
                for name in _objects_in(cell.get(TYPE + each) or ""):
                    tables.link(number, f"{each}/{name}")
                    tables.object(f"{each}/{name}", each, "", {})
    return flatten(tables, into, object_type, prefixed=True)


def _lines(staged: Staged) -> Iterator[list[str]]:
    with staged.path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=staged.delimiter, quotechar=staged.quote)
        try:
            for number, row in enumerate(reader):
                if number >= staged.skip:
                    yield row
        except csv.Error as error:
            raise ImportFailed(f"Line {reader.line_num} cannot be read as CSV: {error}.") from error


def _objects_in(cell: str) -> list[str]:
    cell = cell.strip()[:_LARGEST_VALUE]
    if not cell.startswith("["):
        return [cell] if cell else []
    quoted = [one or other for one, other in _QUOTED.findall(cell)]
    return quoted or [each.strip() for each in cell.strip("[]").split(",") if each.strip()]


# --- The join -------------------------------------------------------------------------------------


@contextmanager
def _joined(tables: Tables, into: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with ExitStack() as stack:
        db = stack.enter_context(workbench([into], into / "spill"))
        try:
            for name, width in (("events", len(tables.event_keys)), ("objects", len(tables.object_keys)), ("links", 0)):
                load(db, name, into / f"{name}.csv", [*tables.FIXED[name], *(f"v{each}" for each in range(width))])
            yield db
        except duckdb.Error as error:
            raise ImportFailed(f"The log cannot be read: {str(error).splitlines()[0][:200]}") from error


def flatten(tables: Tables, into: Path, object_type: str, *, prefixed: bool = False) -> Staged:
    """Join events and objects of ``object_type``, by default the one that most events touch, into one row each."""
    target = into / "staged.parquet"
    with _joined(tables, into) as db:
        types = [row[0] for row in db.execute(_BY_USE).fetchall()]
        if not types:
            raise ImportFailed("The file has no events that belong to an object.")
        chosen = object_type or types[0]
        if chosen not in types:
            known = db.execute("SELECT DISTINCT type FROM objects ORDER BY 1").fetchall()
            raise ImportFailed(f"No event belongs to an object of type {chosen}; there are {_listed(known)}.")
        shown = _filled(db, "objects", len(tables.object_keys), "WHERE type = ?", [chosen])
        others = sorted(each for each in types if each != chosen)[:40]
        _write(db, target, chosen, others, width=len(tables.event_keys), shown=shown, prefixed=prefixed)
    for name in tables.FIXED:
        (into / f"{name}.csv").unlink()
    case, objects = chosen, [f"{chosen}: {list(tables.object_keys)[number]}" for number in shown]
    related = [TYPE + each for each in others]
    events = [name if name not in {case, "activity", "time"} else f"event: {name}" for name in tables.event_keys]
    columns = [case, "activity", "time", *events, *objects, *related]
    return Staged(
        target, "parquet", columns, types=["VARCHAR"] * len(columns),
        roles={"case": case, "activity": "activity", "timestamp": "time"}, chosen=chosen,
    )  # fmt: skip


_BY_USE = (
    "SELECT type FROM (SELECT DISTINCT id, type FROM objects) JOIN (SELECT DISTINCT no, id FROM links) USING (id) "
    "JOIN (SELECT no FROM events) USING (no) WHERE type <> '' GROUP BY type ORDER BY count(DISTINCT no) DESC, type"
)


def _listed(rows: Sequence[tuple[Any, ...]]) -> str:
    return ", ".join(str(row[0]) for row in rows[:20]) or "none"


def _filled(db: duckdb.DuckDBPyConnection, table: str, width: int, where: str, given: list[Any]) -> list[int]:
    if not width:
        return []
    counts = ", ".join(f"count(v{number})" for number in range(width))
    row = db.execute(f"SELECT {counts} FROM {table} {where}", given).fetchone() or ()  # noqa: S608 - own names
    return [number for number, count in enumerate(row) if count]


def _write(
    db: duckdb.DuckDBPyConnection,
    target: Path,
    chosen: str,
    others: list[str],
    *,
    width: int,
    shown: list[int],
    prefixed: bool,
) -> None:
    plain = "substr(id, length(type) + 2)" if prefixed else "id"
    latest = "".join(f", max_by(v{n}, coalesce(time, '')) FILTER (v{n} IS NOT NULL) AS o{n}" for n in shown)
    related = "".join(
        f", string_agg({plain}, ', ' ORDER BY id) FILTER (type = ?) AS r{number}" for number in range(len(others))
    )
    kept = [f"e.v{n}" for n in range(width)] + [f"o.o{n}" for n in shown] + [f"r.r{n}" for n in range(len(others))]
    fields = ["o.name", "e.activity", "e.time", *kept]
    named = ", ".join(f"{each} AS c{number}" for number, each in enumerate(fields, 1))
    sql = (
        "WITH kinds AS (SELECT DISTINCT id, type FROM objects), bound AS (SELECT DISTINCT no, id FROM links), "  # noqa: S608
        f"o AS (SELECT id, any_value({plain}) AS name{latest} FROM objects WHERE type = ? GROUP BY id), "
        f"r AS (SELECT no{related} FROM bound JOIN kinds USING (id) GROUP BY no) "
        f"SELECT {named} FROM events e JOIN bound USING (no) JOIN o USING (id) LEFT JOIN r USING (no) "
        "ORDER BY e.no::BIGINT, o.id"
    )
    db.execute(f"COPY ({sql}) TO '{str(target).replace(chr(39), chr(39) * 2)}' (FORMAT parquet)", [chosen, *others])
