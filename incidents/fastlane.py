"""The common case at once: one signal whose incident is open and already knows what the signal knows.

Everything else, and every lost race, is left to the longer way in ``intake``, which finds out what happened.
"""

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import IntegrityError, connection, transaction

from audit.clock import as_utc
from audit.prepared import fetch_one
from incidents import rows
from incidents.fingerprints import Fingerprint
from incidents.models import Evidence, Signal
from incidents.normal import NormalSignal
from incidents.reach import EVERYWHERE, Reach
from incidents.signal_rows import evidence_row, signal_row

# Finds the incident, holds it and counts. A signal that was taken in before matches nothing here, and neither does
# one whose fingerprint was made by a kind that has changed since, nor one that says something new of an incident that
# waits for a person (see incidents.news, whose comparison this is).
_JOIN = """
UPDATE incidents_incident SET
  signals_count = signals_count + 1,
  first_signal_at = CASE WHEN {time} < first_signal_at THEN {time} ELSE first_signal_at END,
  last_signal_at = CASE WHEN {time} > last_signal_at THEN {time} ELSE last_signal_at END
WHERE fingerprint = %s AND closed_at IS NULL
  AND (business_unit <> '' OR %s = '') AND (region <> '' OR %s = '') AND (amount IS NOT NULL OR %s)
  AND ({places} IS NULL OR business_unit = '' OR business_unit IN ({among}))
  AND ({places} IS NULL OR region = '' OR region IN ({among}))
  AND NOT EXISTS (SELECT 1 FROM incidents_signal WHERE source = %s AND event_id = %s)
  AND COALESCE((SELECT CAST(definition -> 'fingerprint' AS text) FROM incidents_exceptionkind WHERE code = %s), '') = %s
  AND (status <> 'needs_operator' OR due_at IS NOT NULL OR EXISTS (
    SELECT 1 FROM incidents_signal AS told WHERE told.incident_id = incidents_incident.id
    AND told.source = %s AND told.type = %s AND told.attributes = {attributes} AND told.amount {same} {amount}
    AND told.currency = %s AND told.text = %s
    AND told.business_unit = COALESCE(NULLIF(%s, ''), incidents_incident.business_unit)
    AND told.region = COALESCE(NULLIF(%s, ''), incidents_incident.region)))
RETURNING id, business_unit, region, {now}
"""
_FOR_SQLITE = _JOIN.format(
    time="%s",
    now="STRFTIME('%%Y-%%m-%%dT%%H:%%M:%%f', 'NOW')",
    places="%s",
    among="SELECT value FROM json_each(%s)",
    attributes="%s",
    amount="%s",
    same="IS",
)
_FOR_POSTGRESQL = _JOIN.format(
    time="%s::timestamptz",
    now="clock_timestamp() AS now",
    places="%s::text",
    among="SELECT json_array_elements_text(%s::json)",
    attributes="%s::jsonb",
    amount="%s::numeric",
    same="IS NOT DISTINCT FROM",
)


@dataclass(frozen=True, slots=True)
class Joined:
    """The keys of a signal that was added and of the incident that it joined."""

    signal: int
    incident: int


def join(given: NormalSignal, print_: Fingerprint, kind_source: str = "", reach: Reach = EVERYWHERE) -> Joined | None:
    """Add a signal to the open incident of its fingerprint; ``None`` where the longer way must be gone.

    ``kind_source`` is ``KindInBrief.source`` of the kind that the fingerprint was made with.
    """
    take = _at_once if connection.vendor == "postgresql" else _step_by_step
    try:
        return take(given, print_, _wanted(given, print_, kind_source, reach))
    except IntegrityError:
        return None  # the same source and id came in at the same time


def _wanted(given: NormalSignal, print_: Fingerprint, kind_source: str, reach: Reach) -> list[Any]:
    time = connection.ops.adapt_datetimefield_value(given.time)
    unit, region, amount = given.business_unit, given.region, given.amount
    name = [given.source, given.id]
    places = [None if listed is None else json.dumps(listed) for listed in (reach.units, reach.regions)]
    within = [place for place in places for _ in range(2)]
    sum_ = None if amount is None else str(amount)
    said = [given.source, given.type, given.text_of("attributes"), sum_, given.currency, given.text, unit, region]
    kind = [given.code.casefold(), kind_source]
    return [*[time] * 4, print_.value, unit, region, amount is None, *within, *name, *kind, *said]


def _step_by_step(given: NormalSignal, print_: Fingerprint, wanted: list[Any]) -> Joined | None:
    with transaction.atomic():
        found = fetch_one(_FOR_SQLITE, wanted)
        if found is None:
            return None
        incident, unit, region, now = *found[:3], as_utc(found[3])
        row = signal_row(given, print_, incident_id=incident, unit=unit, region=region, merged=True, now=now)
        (signal,) = rows.add(Signal, [row])
        rows.add(Evidence, [evidence_row(given, incident_id=incident, signal_id=signal, now=now)])
        return Joined(signal, incident)


def _at_once(given: NormalSignal, print_: Fingerprint, wanted: list[Any]) -> Joined | None:
    """Update, signal and evidence in one statement: it is its own transaction, and five round trips fewer."""
    signal = signal_row(given, print_, incident_id=0, unit="", region="", merged=True, now=given.time)
    evidence = evidence_row(given, incident_id=0, signal_id=0, now=given.time)
    # Inside a transaction of somebody else's a refused insert must not take everything with it.
    around: AbstractContextManager[Any] = transaction.atomic() if connection.in_atomic_block else nullcontext()
    with around:
        found = fetch_one(_statement(), [*wanted, rows.as_json(signal), rows.as_json(evidence)])
    return None if found is None else Joined(*found)


@lru_cache(maxsize=1)
def _statement() -> str:
    """Return the one statement: what only the incident knows is filled in beside what the signal said."""
    signal = {
        "incident_id": "home.id",
        "joined_id": "home.id",
        "received_at": "home.now",
        "business_unit": "COALESCE(NULLIF(given.business_unit, ''), home.business_unit)",
        "region": "COALESCE(NULLIF(given.region, ''), home.region)",
    }
    evidence = {"incident_id": "signal.incident_id", "signal_id": "signal.id", "captured_at": "signal.received_at"}
    kept = "id, incident_id, received_at"
    return (
        f"WITH home AS ({_FOR_POSTGRESQL}), "  # noqa: S608 - only names of our own models
        f"signal AS ({rows.insert_from(Signal, signal, ['home'])} RETURNING {kept}), "
        f"evidence AS ({rows.insert_from(Evidence, evidence, ['signal'])}) "
        "SELECT id, incident_id FROM signal"
    )
