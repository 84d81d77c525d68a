"""The common case in three statements: one signal whose incident is open and already knows what the signal knows.

Everything else, and every lost race, is left to the longer way in ``intake``, which finds out what happened.
"""

from datetime import UTC, datetime

from django.db import IntegrityError, connection, transaction

from incidents import rows
from incidents.fingerprints import Fingerprint
from incidents.models import Signal
from incidents.normal import NormalSignal
from incidents.signal_rows import evidence_row, signal_row

# Finds the incident, holds it and counts. A signal that was taken in before matches nothing here.
_JOIN = """
UPDATE incidents_incident SET
  signals_count = signals_count + 1,
  first_signal_at = CASE WHEN {time} < first_signal_at THEN {time} ELSE first_signal_at END,
  last_signal_at = CASE WHEN {time} > last_signal_at THEN {time} ELSE last_signal_at END
WHERE fingerprint = %s AND closed_at IS NULL
  AND (business_unit <> '' OR %s = '') AND (region <> '' OR %s = '') AND (amount IS NOT NULL OR %s)
  AND NOT EXISTS (SELECT 1 FROM incidents_signal WHERE source = %s AND event_id = %s)
RETURNING id, business_unit, region, {now}
"""
_STATEMENTS = {
    "postgresql": _JOIN.format(time="%s::timestamptz", now="clock_timestamp()"),
    "sqlite": _JOIN.format(time="%s", now="STRFTIME('%%Y-%%m-%%dT%%H:%%M:%%f', 'NOW')"),
}


def join(given: NormalSignal, print_: Fingerprint) -> Signal | None:
    """Add a signal to the open incident of its fingerprint; ``None`` where the longer way must be gone."""
    try:
        with transaction.atomic():
            found = _held(given, print_)
            if found is None:
                return None
            incident_id, unit, region, now = found
            row = signal_row(given, print_, incident_id=incident_id, unit=unit, region=region, merged=True, now=now)
            rows.insert([row])
            rows.insert([evidence_row(row)])
            return row
    except IntegrityError:
        return None  # the same source and id came in at the same time


def _held(given: NormalSignal, print_: Fingerprint) -> tuple[int, str, str, datetime] | None:
    time = connection.ops.adapt_datetimefield_value(given.time)
    unit, region, amount = given.business_unit, given.region, given.amount
    wanted = [time, time, time, time, print_.value, unit, region, amount is None, given.source, given.id]
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENTS[connection.vendor], wanted)
        found = cursor.fetchone()
    if found is None:
        return None
    now = found[3]
    if isinstance(now, str):
        now = datetime.fromisoformat(now).replace(tzinfo=UTC)
    return found[0], found[1], found[2], now
