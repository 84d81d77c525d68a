"""Saved queries: a declared read of a connection, asked through the gateway, each row told as a finding."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit.errors import Invalid, Refusal
from connectors import gateway, registry
from connectors.base import ConnectorError, Read, Record
from connectors.models import Connection
from insights.detectors.definitions import Saved
from insights.detectors.findings import Finding, as_moment

PREVIEW_ROWS = 20
WATERMARK = "{watermark}"


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


def check(saved: Saved, path: str = "rule.query") -> dict[str, list[str]]:
    """Say, per field, why the query cannot be asked; empty: it can. Nothing is sent."""
    connection = Connection.objects.filter(slug=saved.connection).first()
    if connection is None:
        return {f"{path}.connection": [f"There is no connection “{saved.connection}”."]}
    if not isinstance(registry.operation_of(connection, saved.operation), Read):
        reads = ", ".join(name for name, _ in reads_of(connection))
        return {f"{path}.operation": [f"“{saved.operation}” is no read of this connection; it has {reads}."]}
    return {}


def reads_of(connection: Connection) -> list[tuple[str, str]]:
    """Return the reads that a connection's kind declares: name and label."""
    kind = registry.KINDS.get(connection.kind)
    found = [one for one in kind.operations if isinstance(one, Read)] if kind and kind.reads_as == "read" else []
    return [(one.name, one.label or one.name) for one in found]


def ask(saved: Saved, *, watermark: str, now: datetime, actor: str, most: int | None = None) -> Rows:
    """Ask the query and return its rows beyond ``watermark``. Raises ``Invalid`` and ``CannotRead``.

    Only a declared read is ever sent: whatever a definition names, no effect can come of it.
    """
    if wrong := check(saved):
        raise Invalid("The saved query cannot be asked.", wrong)
    connection = Connection.objects.get(slug=saved.connection)
    arguments = {name: _filled(value, watermark) for name, value in saved.arguments.items()}
    try:
        records = gateway.call(connection, saved.operation, arguments, actor=actor).records
    except ConnectorError as error:
        raise CannotRead(f"{saved.connection} did not answer {saved.operation}: {error}") from error
    return _rows(saved, records, watermark=watermark, now=now, most=min(most or saved.max_rows, saved.max_rows))


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
    kept = fresh[:most]
    last = str(kept[-1].fields.get(saved.watermark) or watermark) if saved.watermark and kept else watermark
    found = tuple(_finding(saved, record, now) for record in kept)
    return Rows(found, last, tuple(columns), cut=len(fresh) > len(kept))


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
