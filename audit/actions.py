"""Write the ledger. The only writer of ``Entry`` and ``Head``."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, models
from django.db.models import F

from audit import context
from audit.clock import db_now
from audit.models import Entry, Head
from audit.proofs import GENESIS, canonical, digest, moment


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
    ``target`` the row or a plain name. Take it last in a transaction: appending holds the end of the
    chain until the commit. Raises ``LedgerUnavailable`` outside a transaction or where the chain's end is missing.
    """
    kind, key = _named(target)
    body = canonical({name: part for name, part in (("before", before), ("after", after), ("data", data)) if part})
    return record_all([Line(verb, actor, kind, key, incident, business_unit, region, reason, body)])[0]


def record_all(lines: Iterable[Line]) -> list[Entry]:
    """Enter many lines in order, in one statement. See ``record``."""
    lines = list(lines)
    if not lines:
        return []
    if not connection.in_atomic_block:
        raise LedgerUnavailable("The ledger is written inside the transaction of what it tells of.")
    # One UPDATE both locks the end of the chain and reserves the numbers.
    if not Head.objects.filter(pk=1).update(n=F("n") + len(lines)):
        Head.objects.create(pk=1, n=len(lines), hash=GENESIS)
    head = Head.objects.get(pk=1)
    now, source, previous = db_now(), context.current(), head.hash
    entries = []
    for number, line in enumerate(lines, start=head.n - len(lines) + 1):
        entry = _entry(number, line, now, source, previous)
        previous = entry.hash
        entries.append(entry)
    Entry.objects.bulk_create(entries)
    Head.objects.filter(pk=1).update(hash=previous)
    return entries


def _entry(number: int, line: Line, now: datetime, source: context.Source, previous: str) -> Entry:
    entry = Entry(
        n=number,
        at=now,
        actor=line.actor[:200],
        verb=line.verb[:100],
        target_type=line.target_type,
        target_id=line.target_id[:200],
        incident_id=line.incident,
        business_unit=line.business_unit,
        region=line.region,
        reason=line.reason,
        body=line.body,
        channel=source.channel,
        request_id=source.request_id,
        address=source.address,
        previous_hash=previous,
    )
    entry.hash = entry_hash(entry)
    return entry


def entry_hash(entry: Entry) -> str:
    """Return what ``entry.hash`` must be: the digest of every other column, the previous hash among them."""
    names = [field.attname for field in Entry._meta.concrete_fields if field.attname not in ("hash", "at")]
    return digest({"at": moment(entry.at), **{name: getattr(entry, name) for name in names}})


def _named(target: models.Model | str | None) -> tuple[str, str]:
    if target is None:
        return "", ""
    if isinstance(target, str):
        return "", target
    return target._meta.label_lower, str(target.pk)
