"""Write the ledger. The only writer of ``Entry`` and ``Head``."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection, models

from audit import context
from audit.clock import as_utc
from audit.models import Entry, Head
from audit.prepared import fetch_one
from audit.proofs import GENESIS, canonical, link


class LedgerUnavailable(RuntimeError):
    """The ledger cannot be written, so nothing that needs an entry may happen."""


@dataclass(frozen=True)
class Line:
    """One thing to be entered: the arguments of ``record``, for writing many at once."""

    verb: str
    actor: str
    target_type: str = ""
    target_id: str = ""
    incident: int | None = None
    business_unit: str = ""
    region: str = ""
    reason: str = ""
    body: str = "{}"


def record(
    verb: str,
    *,
    actor: str,
    target: models.Model | str | None = None,
    incident: int | None = None,
    business_unit: str = "",
    region: str = "",
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
) -> Entry:
    """Enter one thing that was done, refused or that failed; commits or vanishes with the caller's transaction.

    ``verb`` is past tense (``incident.opened``), ``actor`` a username or ``system:…``/``token:…``,
    ``target`` the row or a plain name; unit and region are the target's own unless given. Take it last
    in a transaction: appending holds the end of the chain until the commit. Raises ``LedgerUnavailable``
    outside a transaction, where the chain's end is missing, and where the database refuses.
    """
    kind, key = _named(target)
    unit, place = business_unit or _own(target, "business_unit"), region or _own(target, "region")
    body = canonical({name: part for name, part in (("before", before), ("after", after), ("data", data)) if part})
    return record_all([Line(verb, actor, kind, key, incident, unit, place, reason, body)])[0]


def record_all(lines: Iterable[Line]) -> list[Entry]:
    """Enter many lines in order, in two or three statements whatever their number. See ``record``."""
    lines = list(lines)
    if not lines:
        return []
    if not connection.in_atomic_block:
        raise LedgerUnavailable("The ledger is written inside the transaction of what it tells of.")
    try:
        return _append(lines)
    except DatabaseError as error:
        raise LedgerUnavailable("The ledger cannot be written, so nothing was done.") from error


def _append(lines: list[Line]) -> list[Entry]:
    last, previous, now = _reserve(len(lines))
    source, entries = context.current(), []
    for number, line in enumerate(lines, start=last - len(lines) + 1):
        entry = _entry(number, line, now, source, previous)
        previous = entry.hash
        entries.append(entry)
    for start in range(0, len(entries), _ROWS):
        _insert(entries[start : start + _ROWS])
    return entries


# As many rows as one statement takes on either database with this many columns.
_ROWS = 500
_FIELDS = Entry._meta.concrete_fields
_NAMES = [field.attname for field in _FIELDS]


def _insert(entries: list[Entry]) -> None:
    """Insert entries and move the chain's end to the last with plain SQL: the ledger is on every path.

    This takes a third of the ORM's time, and for a single entry on PostgreSQL one statement. Many travel there as
    one JSON text: putting thousands of values into a statement costs more than writing them.
    """
    names = ", ".join(str(field.column) for field in _FIELDS)
    end = "UPDATE audit_head SET hash = %s WHERE id = 1"
    at = connection.ops.adapt_datetimefield_value(entries[0].at)
    rows = [[at if name == "at" else getattr(entry, name) for name in _NAMES] for entry in entries]
    if connection.vendor == "postgresql" and len(entries) > 1:
        given = json.dumps([dict(zip(_NAMES, row, strict=True)) for row in rows], ensure_ascii=False, default=str)
        taken = f"SELECT {names} FROM json_populate_recordset(NULL::audit_entry, %s::json)"  # noqa: S608 - own names only
        fetch_one(
            f"WITH head AS ({end}) INSERT INTO audit_entry ({names}) {taken} RETURNING n", [entries[-1].hash, given]
        )
        return
    row = f"({', '.join(['%s'] * len(_FIELDS))})"
    sql = f"INSERT INTO audit_entry ({names}) VALUES " + ", ".join([row] * len(entries))  # noqa: S608 - own names only
    values = [value for row in rows for value in row]
    if connection.vendor == "postgresql":
        fetch_one(f"WITH head AS ({end}) {sql} RETURNING n", [entries[0].hash, *values])
        return
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        cursor.execute(end, [entries[-1].hash])


def _reserve(count: int) -> tuple[int, str, datetime]:
    """Lock the end of the chain, take ``count`` numbers, and return the last of them, the end's hash and the time."""
    for _ in range(2):
        row = fetch_one(_RESERVE[connection.vendor], [count])
        if row is not None:
            return row[0], row[1], as_utc(row[2])
        # An empty database; of several first writers one makes the row and the others wait for it.
        if not Entry.objects.exists():
            Head.objects.bulk_create([Head(pk=1, n=0, hash=GENESIS)], ignore_conflicts=True)
    raise LedgerUnavailable("The end of the ledger's chain is missing: run verify_audit.")


_TAKE = "UPDATE audit_head SET n = n + %s WHERE id = 1 RETURNING n, hash, "
_RESERVE = {
    "postgresql": _TAKE + "clock_timestamp()",
    "sqlite": _TAKE + "STRFTIME('%%Y-%%m-%%dT%%H:%%M:%%f', 'NOW')",
}


def _entry(number: int, line: Line, now: datetime, source: context.Source, previous: str) -> Entry:
    entry = Entry(
        n=number,
        at=now,
        actor=_text(line.actor, 200),
        verb=_text(line.verb, 100),
        target_type=_text(line.target_type, 100),
        target_id=_text(line.target_id, 200),
        incident_id=line.incident,
        business_unit=_text(line.business_unit, 40),
        region=_text(line.region, 40),
        reason=_text(line.reason),
        body=_text(line.body),
        channel=source.channel,
        request_id=source.request_id,
        address=source.address,
        token=source.token,
        previous_hash=previous,
    )
    entry.hash = entry_hash(entry)
    return entry


def entry_hash(entry: Entry) -> str:
    """Return what ``entry.hash`` must be (see ``audit.proofs.link``)."""
    return link({field.attname: getattr(entry, field.attname) for field in _FIELDS})


def _text(value: str, limit: int | None = None) -> str:
    """Return text that both databases keep byte for byte: no NUL, no half characters, not too long."""
    if value.isascii() and "\x00" not in value:
        return value[:limit]
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:limit]


def _named(target: models.Model | str | None) -> tuple[str, str]:
    if target is None:
        return "", ""
    if isinstance(target, str):
        return "", target
    return target._meta.label_lower, str(target.pk)


def _own(target: models.Model | str | None, column: str) -> str:
    value = getattr(target, column, "") if isinstance(target, models.Model) else ""
    return value if isinstance(value, str) else ""
