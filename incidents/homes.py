"""Find, lock, open and count the incidents that signals belong to. Used by intake, inside its transaction."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from audit.clock import as_utc
from audit.prepared import fetch_one
from incidents import rows
from incidents.briefs import brief
from incidents.expressions import render
from incidents.fingerprints import FINGERPRINT_VERSION, Fingerprint
from incidents.kinds import KindInBrief
from incidents.models import Incident
from incidents.normal import NormalSignal
from incidents.states import SEVERITY_ORDER, Severity, Status

_COUNT = {
    "postgresql": "UPDATE incidents_incident SET signals_count = (value ->> 1)::int, "
    "first_signal_at = (value ->> 2)::timestamptz, last_signal_at = (value ->> 3)::timestamptz "
    "FROM json_array_elements(%s::json) WHERE incidents_incident.id = (value ->> 0)::bigint",
    "sqlite": "UPDATE incidents_incident SET signals_count = json_extract(value, '$[1]'), "
    "first_signal_at = json_extract(value, '$[2]'), last_signal_at = json_extract(value, '$[3]') "
    "FROM json_each(%s) WHERE incidents_incident.id = json_extract(value, '$[0]')",
}
# The time, the signals that were taken in before, and of each fingerprint the open incident or else the latest.
_LOOK = (
    "SELECT {now}, (SELECT {list}(id) FROM incidents_signal WHERE (source, event_id) IN ({names})), "
    "(SELECT {list}(found.id) FROM (SELECT COALESCE(MAX(id) FILTER (WHERE closed_at IS NULL), MAX(id)) AS id "
    "FROM incidents_incident WHERE fingerprint {among} GROUP BY fingerprint) AS found)"
)
_LOOKS = {
    "postgresql": _LOOK.format(
        now="clock_timestamp()",
        list="json_agg",
        names="SELECT value ->> 0, value ->> 1 FROM json_array_elements(%s::json)",
        among="= ANY(%s::text[])",
    ),
    "sqlite": _LOOK.format(
        now="STRFTIME('%%Y-%%m-%%dT%%H:%%M:%%f', 'NOW')",
        list="json_group_array",
        names="SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(%s)",
        among="IN (SELECT value FROM json_each(%s))",
    ),
}
# What intake looks at; an incident has many more columns.
_LOOKED_AT = (
    *("fingerprint", "closed_at", "resolved_at", "merged_into", "signals_count", "first_signal_at", "last_signal_at"),
    *("business_unit", "region", "amount"),
)


@dataclass
class Homes:
    """The incidents of some fingerprints, held until the transaction ends."""

    open: dict[str, Incident] = field(default_factory=dict)
    closed: dict[str, Incident] = field(default_factory=dict)
    touched: dict[int, Incident] = field(default_factory=dict)
    # What an incident did not know and a later signal does.
    completed: dict[int, dict[str, Any]] = field(default_factory=dict)

    def hold(self, ids: list[int]) -> None:
        """Lock the candidates that ``look`` named, in the order of their fingerprints."""
        if not ids:
            return
        found = {row.pk: row for row in _held().filter(pk__in=ids).order_by("fingerprint", "pk")}
        self.open = {row.fingerprint: row for row in found.values() if row.closed_at is None}
        for row in list(found.values()):
            if row.closed_at is not None:
                kept = _kept(row, found)
                (self.open if kept.closed_at is None else self.closed)[row.fingerprint] = kept

    def home_of(self, fingerprint: str, time: datetime) -> Incident | None:
        """Return the incident that a signal of this fingerprint and time joins; ``None``: one must be opened.

        A signal that is no newer than the end of the last incident tells of what was mended then:
        it joins that one, so that an event fired again never opens a fixed problem anew.
        """
        if fingerprint in self.open:
            return self.open[fingerprint]
        past = self.closed.get(fingerprint)
        if past is not None:
            end = past.resolved_at or past.closed_at
            if end is not None and time <= end:
                return past
        return None

    def settle(self, incident: Incident) -> Incident:
        """Take in an incident that is about to be opened."""
        self.open[incident.fingerprint] = incident
        return incident

    def joined(self, incident: Incident, signal: NormalSignal) -> None:
        """Count one more signal; times may come in any order."""
        incident.signals_count += 1
        incident.first_signal_at = min(incident.first_signal_at, signal.time)
        incident.last_signal_at = max(incident.last_signal_at, signal.time)
        if incident.pk is not None:
            self.touched[incident.pk] = incident
            self._complete(incident, signal)

    def _complete(self, incident: Incident, signal: NormalSignal) -> None:
        names = [name for name in ("business_unit", "region") if not getattr(incident, name) and getattr(signal, name)]
        if incident.amount is None and signal.amount is not None:
            names += ["amount", "currency"]
        if names:
            columns = {name: getattr(signal, name) for name in names}
            self.completed[incident.pk] = {**columns, **self.completed.get(incident.pk, {})}

    def count(self) -> None:
        """Write the counters of all that were joined, in one statement; their rows are locked."""
        if not self.touched:
            return
        moment = connection.ops.adapt_datetimefield_value
        counted = [
            [row.pk, row.signals_count, str(moment(row.first_signal_at)), str(moment(row.last_signal_at))]
            for row in self.touched.values()
        ]
        with connection.cursor() as cursor:
            cursor.execute(_COUNT[connection.vendor], [json.dumps(counted)])


def _held() -> QuerySet[Incident]:
    return Incident.objects.select_for_update().only(*_LOOKED_AT)


def look(names: list[tuple[str, str]], fingerprints: set[str]) -> tuple[datetime, list[int], list[int]]:
    """Return the database's time, the signals already kept by source and id, and the incidents that may be joined."""
    if connection.vendor == "postgresql":
        prints = "{" + ",".join(sorted(fingerprints)) + "}"  # an array of hexadecimal digests
    else:
        prints = json.dumps(sorted(fingerprints))
    found = fetch_one(_LOOKS[connection.vendor], [json.dumps(names), prints])
    now, kept, candidates = found or (None, None, None)
    return as_utc(now), _numbers(kept), _numbers(candidates)


def _numbers(found: Any) -> list[int]:
    numbers: list[int] = json.loads(found or "[]") if isinstance(found, str | None) else found
    return numbers


def _kept(incident: Incident, found: dict[int, Incident]) -> Incident:
    """Follow an incident that a person folded into another to the one that was kept.

    One row is one object in ``found``, so that two folded problems count into the same incident.
    """
    seen = {incident.pk}
    while (pk := incident.merged_into_id) is not None and pk not in seen:
        seen.add(pk)
        incident = found[pk] if pk in found else found.setdefault(pk, _held().get(pk=pk))
    return incident


def open_all(incidents: list[Incident]) -> None:
    """Insert new incidents. Raises ``IntegrityError`` where another process was faster with one of them."""
    rows.insert(incidents)


def new_incident(signal: NormalSignal, kind: KindInBrief | None, print_: Fingerprint, now: datetime) -> Incident:
    """Return the incident that a first signal opens, not yet saved."""
    status, reason = Status.NEW, ""
    if kind is None:
        status, reason = Status.NEEDS_OPERATOR, f"No exception kind {signal.code} is known here; decide what it means."
    elif not kind.enabled:
        status, reason = Status.NEEDS_OPERATOR, f"The exception kind {kind.label} is switched off."
    incident = Incident(
        kind_id=kind.pk if kind else None,
        code=kind.code if kind else signal.code,
        fingerprint=print_.value,
        fingerprint_version=FINGERPRINT_VERSION,
        status=status,
        status_reason=reason,
        severity=Severity.MEDIUM,
        severity_rank=SEVERITY_ORDER[Severity.MEDIUM],
        domain=kind.domain if kind else "",
        entity_type=signal.entity_type,
        entity_key=signal.entity_key,
        attributes=signal.attributes,
        business_unit=signal.business_unit,
        region=signal.region,
        amount=signal.amount,
        currency=signal.currency,
        signals_count=1,
        first_signal_at=signal.time,
        last_signal_at=signal.time,
        opened_at=now,
        due_at=now if status is Status.NEW else None,
    )
    incident.title = _title(incident, kind)
    return incident


def _title(incident: Incident, kind: KindInBrief | None) -> str:
    plain = f"{kind.label if kind else incident.code}: {incident.entity_type} {incident.entity_key}"
    if kind is None or not kind.title:
        return plain[:300]
    filled = render(kind.title, {"incident": brief(incident)})
    # What only the evidence knows is filled in by triage.
    return (plain if "?" in filled else filled)[:300]
