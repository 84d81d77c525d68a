"""Saved queries: a read of a connection, declared or free, asked through the gateway; each row told as a finding."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from audit.errors import Invalid, Refusal
from connectors import gateway, registry
from connectors.base import ConnectorError, Read, Record, Refused
from connectors.freely import FreeQuery
from connectors.models import Connection
from insights.detectors.definitions import Saved
from insights.detectors.findings import Finding, as_moment

PREVIEW_ROWS = 20
WATERMARK = "{watermark}"
MOST_LETTERS = 100  # of a watermark, as a detector keeps it


class CannotRead(Refusal):
    """The other system did not answer the query; the message says why."""

    status = 502
    code = "cannot_read"


@dataclass(frozen=True)
class Rows:
    """What a query returned: each row a finding without a judgement yet, and the last watermark seen."""

    findings: tuple[Finding, ...]
    watermark: str
    columns: tuple[str, ...]
    cut: bool = False
    stuck: str = ""  # why the next look would not get any further


def check(saved: Saved, path: str = "rule.query") -> dict[str, list[str]]:
    """Say, per field, why the query cannot be asked; empty: it can. Nothing is sent."""
    connection = Connection.objects.filter(slug=saved.connection).first()
    if connection is None:
        return {f"{path}.connection": [f"There is no connection “{saved.connection}”."]}
    read = registry.operation_of(connection, saved.operation)
    if not isinstance(read, Read):
        reads = ", ".join(name for name, _ in reads_of(connection))
        return {f"{path}.operation": [f"“{saved.operation}” is no read of this connection; it has {reads}."]}
    if read.query_language is None:
        return {}
    arguments = _asked(saved, "", saved.max_rows)
    if found := gateway.faults(connection, read, arguments):
        return {f"{path}.arguments.{name}": texts for name, texts in found.items()}
    query = read.arguments.model_validate(arguments)
    told: dict[str, list[str]] = {}
    for name, text in _columns_at_fault(saved, query):
        told.setdefault(f"{path}.{name}", []).append(text)
    return told


def _columns_at_fault(saved: Saved, query: Any) -> Iterator[tuple[str, str]]:
    """Yield what a free question lacks so that its rows have a name, a time and an order in which none is lost."""
    if not isinstance(query, FreeQuery):
        return
    columns = query.columns()
    if not saved.key:
        yield "key", "Say which column names a row: two rows of the same name are one finding."
    for part in ("key", "time", "watermark"):
        name = getattr(saved, part)
        if name and columns and name not in columns:
            yield part, f"“{name}” is not among the columns that are asked for: {', '.join(columns)[:300]}."
            return
    if saved.watermark and query.order() != saved.watermark:
        yield "watermark", f"Order the rows by {saved.watermark} first, the smallest first: else a limit loses some."
    if saved.watermark and not query.marked():
        yield "watermark", f"Ask only for what is new: put {WATERMARK} into a condition on {saved.watermark}."
    if query.marked() and not saved.watermark:
        yield "watermark", f"The question holds {WATERMARK}: say which column it is taken from."


def reads_of(connection: Connection, language: str = "") -> list[tuple[str, str]]:
    """Return the declared reads of a connection, or those that take a question in ``language``: name and label."""
    kind = registry.KINDS.get(connection.kind)
    asked = registry.operations_of(connection) if kind and kind.reads_as == "read" else ()
    found = [one for one in asked if isinstance(one, Read)]
    return [(one.name, one.label or one.name) for one in found if (one.query_language or "") == language]


def read_in(slug: str, language: str) -> str:
    """Return the read of a connection that takes a question in ``language``; blank where it has none."""
    connection = Connection.objects.filter(slug=slug).first()
    return next((name for name, _ in reads_of(connection, language)), "") if connection else ""


def language_of(saved: Saved) -> str:
    """Return the language of a free question; blank for a declared read and for a connection that is gone."""
    connection = Connection.objects.filter(slug=saved.connection).first()
    read = registry.operation_of(connection, saved.operation) if connection else None
    return str(read.query_language or "") if isinstance(read, Read) else ""


def languages() -> frozenset[str]:
    """Return the languages in which some connection can be asked freely."""
    # A free question is the kind's own: no configuration adds one.
    kinds = [registry.KINDS[kind] for kind in set(Connection.objects.values_list("kind", flat=True))
             if kind in registry.KINDS]  # fmt: skip
    reads = [one for kind in kinds for one in kind.operations if isinstance(one, Read)]
    return frozenset(str(one.query_language) for one in reads if one.query_language)


def entities_of(connection: Connection) -> frozenset[str]:
    """Return what a free question may read in a connection; nothing where its configuration is not usable."""
    try:
        kind = registry.kind_of(connection)
        return kind.queryable(kind.config.model_validate(connection.config))
    except (ConnectorError, ValidationError):
        return frozenset()


def ask(
    saved: Saved, *, watermark: str, now: datetime, actor: str, most: int | None = None, since: datetime | None = None
) -> Rows:
    """Ask the query and return its rows beyond ``watermark``; without one a free question begins at ``since``.

    Raises ``Invalid`` and ``CannotRead``. Only a read is ever sent: whatever a definition names, no effect can come of
    it.
    """
    if wrong := check(saved):
        raise Invalid("The saved query cannot be asked.", wrong)
    connection = Connection.objects.get(slug=saved.connection)
    read = registry.operation_of(connection, saved.operation)
    limit = min(most or saved.max_rows, saved.max_rows)
    first = watermark or saved.start
    free = isinstance(read, Read) and read.query_language is not None
    if free:
        first = first or (since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if since else "")
        arguments = _asked(saved, first, limit)
    else:
        arguments = {name: _filled(value, first) for name, value in saved.arguments.items()}
    try:
        records = gateway.call(connection, saved.operation, arguments, actor=actor).records
    except ConnectorError as error:
        raise CannotRead(_unread(saved, error, free)) from error
    rows = _rows(saved, records, watermark=watermark, now=now, most=limit)
    return rows if most is None else replace(rows, findings=_first(saved, records, now, limit), stuck="")


def _asked(saved: Saved, watermark: str, most: int) -> dict[str, Any]:
    # One row more than wanted tells whether there are more.
    return {**saved.arguments, "watermark": watermark, "rows": most + 1}


def _unread(saved: Saved, error: ConnectorError, free: bool) -> str:
    """Say what the system said, and what to do about it."""
    said = f"{saved.connection} did not answer {saved.operation}: {error}"
    if free and isinstance(error, Refused):
        return f"{said} Correct the question and look at its first rows again."
    return f"{said} It can be tried again." if error.retryable else said


def _filled(value: Any, watermark: str) -> Any:
    if isinstance(value, str):
        return value.replace(WATERMARK, watermark)
    return [_filled(part, watermark) for part in value] if isinstance(value, list) else value


def _rows(saved: Saved, records: list[Record], *, watermark: str, now: datetime, most: int) -> Rows:
    columns = dict.fromkeys(name for record in records for name in record.fields)
    fresh = [one for one in records if not watermark or _mark(saved, one.fields) > _order(watermark)]
    if saved.watermark:
        # The oldest first, so that what a limit cuts off comes next time.
        fresh.sort(key=lambda one: _mark(saved, one.fields))
    kept, stuck = fresh[:most], ""
    if saved.watermark and len(fresh) > most:
        # Of rows with one watermark all or none: the next look begins behind it.
        beyond = _mark(saved, fresh[most].fields)
        whole = [one for one in kept if _mark(saved, one.fields) != beyond]
        kept, stuck = (whole, "") if whole else (kept, _same(saved, most))
    elif saved.watermark and not fresh and len(records) > most:
        stuck = _same(saved, most)
    last = str(kept[-1].fields.get(saved.watermark) or watermark) if saved.watermark and kept else watermark
    if len(last) > MOST_LETTERS:
        stuck = (
            f"A value of {saved.watermark} has more than {MOST_LETTERS} letters: name another column that only grows."
        )
    found = tuple(_finding(saved, record, now) for record in kept)
    return Rows(found, last, tuple(columns), cut=len(fresh) > len(kept), stuck=stuck)


def _first(saved: Saved, records: list[Record], now: datetime, most: int) -> tuple[Finding, ...]:
    """Return the first rows as they came: where a person only looks, nothing is lost by cutting anywhere."""
    return tuple(_finding(saved, record, now) for record in records[:most])


def _same(saved: Saved, most: int) -> str:
    return (
        f"More than {most:,} rows have the same {saved.watermark}, so nothing behind them can be reached. Raise the"
        " limit of rows, ask for less, or name a column that grows with each row."
    )


def _order(value: Any) -> tuple[int, float, str]:
    """Return how a watermark compares: numbers and times by size, texts by letters."""
    at = as_moment(value) if isinstance(value, str) and len(value) >= 10 else None
    if at is not None:
        return 0, at.timestamp(), ""
    try:
        return 0, float(value), ""
    except (TypeError, ValueError):
        return 1, 0.0, str(value or "")


def _mark(saved: Saved, fields: Mapping[str, Any]) -> tuple[int, float, str]:
    # Without a column there is no order to stop at, so every row is news; ids make a repeat harmless.
    return _order(fields.get(saved.watermark)) if saved.watermark else (2, 0.0, "")


def _finding(saved: Saved, record: Record, now: datetime) -> Finding:
    name = str(record.fields.get(saved.key) or record.key) if saved.key else record.key
    at = as_moment(record.fields.get(saved.time)) if saved.time else None
    return Finding(
        key=f"row:{saved.operation}:{name}"[:300],
        at=min(at or now, now),
        entity=name[:200],
        text=f"{record.entity} {name} was returned by {saved.operation} of {saved.connection}.",
        values=dict(record.fields),
        evidence=({"record": record.key, "version": record.version, "url": record.url, **record.fields},),
    )
