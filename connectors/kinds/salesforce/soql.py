"""SOQL and ids: literals that no text can break out of, times as Salesforce writes them, records out of rows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

from connectors.base import Record

_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f", '"': '\\"'}
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}(?:\.[A-Za-z][A-Za-z0-9_]{0,79})?\Z")


def literal(value: Any) -> str:
    """Write a value as a SOQL literal: texts quoted and escaped, times and numbers bare."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
    if isinstance(value, date):
        return value.isoformat()
    return "'" + "".join(_ESCAPES.get(letter, letter) for letter in str(value)) + "'"


def select(entity: str, fields: Sequence[str], where: Mapping[str, Any], *, order: str = "Id", limit: int = 0) -> str:
    """Write a query for records that have all of ``where``, or for the first ``limit`` of them."""
    for name in (entity, *fields, *where):
        if not NAME.match(name):
            raise ValueError(f"{name!r} is no name of an object or field.")
    conditions = " AND ".join(f"{name} = {literal(value)}" for name, value in where.items())
    most = f" LIMIT {limit}" if limit else ""
    return f"SELECT {', '.join(fields)} FROM {entity} WHERE {conditions} ORDER BY {order}{most}"  # noqa: S608


def moment_of(text: Any) -> datetime | None:
    """Read a time as Salesforce writes it: ``2026-01-01T00:00:00.000+0000``, no colon in the offset."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", text))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def http_date(version: str) -> str:
    """Write a change stamp as an HTTP date, whole seconds, or nothing where it is no time."""
    moment = moment_of(version)
    return format_datetime(moment.replace(microsecond=0), usegmt=True) if moment else ""


def record(system: str, base: str, row: Mapping[str, Any], entity: str = "") -> Record:
    """Make a record of a row; its version is the system's own change stamp."""
    kind = entity or str((row.get("attributes") or {}).get("type") or "")
    fields = {name: _plain(value) for name, value in row.items() if name != "attributes"}
    key = str(row.get("Id") or "")
    return Record(
        system=system,
        entity=kind,
        key=key,
        version=str(row.get("SystemModstamp") or row.get("LastModifiedDate") or ""),
        fields=fields,
        url=f"{base}/{key}" if key else "",
    )


def flat(record: Record, columns: Sequence[str]) -> Record:
    """Give a record the columns that a question names, as it writes them; a parent's field has its whole path."""
    return replace(record, fields={name: _at(record.fields, name.lower().split(".")) for name in columns})


def _at(value: Any, path: Sequence[str]) -> Any:
    for step in path:
        named = {str(name).lower(): part for name, part in value.items()} if isinstance(value, Mapping) else {}
        value = named.get(step)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items() if name != "attributes"}
    return value
