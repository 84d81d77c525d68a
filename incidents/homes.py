"""Find, lock, open and count the incidents that signals belong to. Used by intake, inside its transaction."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from audit.clock import as_utc
from audit.prepared import fetch_one
from incidents import aliasing, rows
from incidents.models import Incident
from incidents.normal import NormalSignal

# What is added to the row of an incident, whether by its number or by the fingerprint of which one may be open.
_COUNTED = (
    "signals_count = incidents_incident.signals_count + {count}, "
    "first_signal_at = {least}(incidents_incident.first_signal_at, {first}), "
    "last_signal_at = {greatest}(incidents_incident.last_signal_at, {last})"
)
_EXCLUDED = {"count": "excluded.signals_count", "first": "excluded.first_signal_at", "last": "excluded.last_signal_at"}
_UPSERT = (
    "INSERT INTO incidents_incident ({columns}) {given} ON CONFLICT (fingerprint) WHERE closed_at IS NULL "
    f"DO UPDATE SET {_COUNTED} RETURNING id, fingerprint, business_unit, region, amount IS NULL, "
    "status = 'needs_operator' AND due_at IS NULL, {fresh}"
)
_ADD = f"UPDATE incidents_incident SET {_COUNTED} FROM {{told}} WHERE incidents_incident.id = {{key}}"  # noqa: S608 - own
_WORDS = {
    # A row that was inserted, not updated, carries no mark of an updating transaction.
    "postgresql": {"least": "LEAST", "greatest": "GREATEST", "fresh": "xmax = 0"},
    # Nobody else writes meanwhile: what was not there before is fresh.
    "sqlite": {"least": "MIN", "greatest": "MAX", "fresh": "NULL"},
}
_NUMBERS = {"key": "CAST(value ->> 0 AS bigint)", "count": "CAST(value ->> 1 AS int)"}
_COUNT = {
    "postgresql": _ADD.format(
        told="json_array_elements(%s::json)",
        first="(value ->> 2)::timestamptz",
        last="(value ->> 3)::timestamptz",
        **_NUMBERS,
        **_WORDS["postgresql"],
    ),
    "sqlite": _ADD.format(
        told="json_each(%s)", first="value ->> 2", last="value ->> 3", **_NUMBERS, **_WORDS["sqlite"]
    ),
}
# The time, the signals that were taken in before, of each fingerprint the open incident with its place and the
# latest, and what the names mean that the signals use.
_LOOK = (
    "SELECT {now}, (SELECT {list}(id) FROM incidents_signal WHERE (source, event_id) IN "
    "(SELECT value ->> 0, value ->> 1 FROM {names})), "
    "(SELECT {list}({array}(f.fingerprint, f.latest, f.open, f.unit, f.region)) FROM (SELECT fingerprint, "
    "MAX(id) AS latest, MAX(id) FILTER (WHERE closed_at IS NULL) AS open, "
    "MAX(business_unit) FILTER (WHERE closed_at IS NULL) AS unit, "
    "MAX(region) FILTER (WHERE closed_at IS NULL) AS region "
    "FROM incidents_incident WHERE fingerprint {among} GROUP BY fingerprint) AS f), {hits}"
)
_LOOKS = {
    "postgresql": _LOOK.format(
        now="clock_timestamp()",
        list="json_agg",
        array="json_build_array",
        names="json_array_elements(%s::json)",
        among="= ANY(%s::text[])",
        hits=aliasing.HITS["postgresql"],
    ),
    "sqlite": _LOOK.format(
        now="STRFTIME('%%Y-%%m-%%dT%%H:%%M:%%f', 'NOW')",
        list="json_group_array",
        array="json_array",
        names="json_each(%s)",
        among="IN (SELECT value FROM json_each(%s))",
        hits=aliasing.HITS["sqlite"],
    ),
}


class JustChanged(Exception):
    """An incident was closed, or its place became known, between the look and the lock: look again."""


@dataclass(frozen=True)
class Standing:
    """An open incident, and whose it is."""

    key: int
    business_unit: str
    region: str


@dataclass(frozen=True)
class Seen:
    """What a look found: the database's time, signals kept before, and by fingerprint the open and the last closed."""

    now: datetime
    kept: list[int]
    open: dict[str, Standing]
    closed: dict[str, int]
    hits: list[Any]  # see aliasing.meanings


@dataclass
class Home:
    """One incident that signals of this transaction belong to, its key once it is known, and what they add to it."""

    fingerprint: str
    key: int = 0
    opened: bool = False
    business_unit: str = ""
    region: str = ""
    lacks_amount: bool = False
    waits: bool = False  # for a person, and no look at it is under way
    signals: list[NormalSignal] = field(default_factory=list)

    def counted(self) -> tuple[int, datetime, datetime]:
        """Return how many signals come, and the first and the last of their times, which may come in any order."""
        times = [signal.time for signal in self.signals]
        return len(times), min(times), max(times)

    def completed(self) -> dict[str, Any]:
        """Return what the incident did not know and one of the signals does; the first that knows counts."""
        found: dict[str, Any] = {}
        for signal in self.signals:
            if not self.business_unit and signal.business_unit:
                found.setdefault("business_unit", signal.business_unit)
            if not self.region and signal.region:
                found.setdefault("region", signal.region)
            if self.lacks_amount and signal.amount is not None and "amount" not in found:
                found |= {"amount": signal.amount, "currency": signal.currency}
        return found


def look(names: list[tuple[str, str]], fingerprints: Iterable[str], asked: list[list[str]]) -> Seen:
    """Ask in one statement for all that intake needs to know; ``asked`` is ``aliasing.question`` of each signal."""
    wanted = sorted(fingerprints)
    # For PostgreSQL an array of hexadecimal digests.
    prints = "{" + ",".join(wanted) + "}" if connection.vendor == "postgresql" else json.dumps(wanted)
    values = [json.dumps(names), prints, json.dumps(asked)]
    # For many another plan is right than for one, so theirs is made anew each time.
    found = fetch_one(_LOOKS[connection.vendor], values, keep=len(names) == 1) or (None, None, None, None)
    incidents = _parsed(found[2])
    return Seen(
        as_utc(found[0]),
        _parsed(found[1]),
        {mark: Standing(key, *place) for mark, _, key, *place in incidents if key is not None},
        {mark: latest for mark, latest, key, *_ in incidents if key is None},
        _parsed(found[3]),
    )


def _parsed(found: Any) -> list[Any]:
    parsed: list[Any] = json.loads(found or "[]") if isinstance(found, str | None) else found
    return parsed


class Past:
    """The last incidents of fingerprints of which none is open, held until the transaction ends.

    A signal that is no newer than the end of such an incident tells of what was mended then: it joins that one,
    so that an event fired again never opens a fixed problem anew.
    """

    def __init__(self, closed: dict[str, int]) -> None:
        """Lock them, in the order of their fingerprints."""
        held = _held().filter(pk__in=closed.values()).order_by("fingerprint", "pk") if closed else ()
        found = {row.pk: row for row in held}
        self._kept = {row.fingerprint: _kept(row, found) for row in list(found.values())}
        self._homes: dict[int, Home] = {}

    def home_of(self, fingerprint: str, time: datetime) -> Home | None:
        """Return the incident that a signal of this fingerprint and time joins, if it is one of the past."""
        row = self._kept.get(fingerprint)
        if row is None:
            return None
        end = row.resolved_at or row.closed_at
        if row.closed_at is not None and (end is None or time > end):
            return None
        # One row is one home, so that two problems that were folded together count into the same incident.
        return self._homes.setdefault(
            row.pk,
            Home(row.fingerprint, row.pk, False, row.business_unit, row.region, row.amount is None),
        )

    def count(self) -> list[Home]:
        """Write the counters of all that were joined, in one statement, and return them."""
        homes = [home for home in self._homes.values() if home.signals]
        if homes:
            moment = connection.ops.adapt_datetimefield_value
            counted = [(home.key, home.counted()) for home in homes]
            data = [[pk, count, str(moment(first)), str(moment(last))] for pk, (count, first, last) in counted]
            with connection.cursor() as cursor:
                cursor.execute(_COUNT[connection.vendor], [json.dumps(data)])
        return homes


def _held() -> QuerySet[Incident]:
    wanted = ("fingerprint", "closed_at", "resolved_at", "merged_into", "business_unit", "region", "amount")
    return Incident.objects.select_for_update().only(*wanted)


def _kept(incident: Incident, found: dict[int, Incident]) -> Incident:
    """Follow an incident that a person folded into another to the one that was kept."""
    seen = {incident.pk}
    while (pk := incident.merged_into_id) is not None and pk not in seen:
        seen.add(pk)
        incident = found[pk] if pk in found else found.setdefault(pk, _held().get(pk=pk))
    return incident


def open_or_count(homes: list[Home], fresh: dict[str, Incident], now: datetime) -> None:
    """Count into the open incident of each home, or open it: of two processes one opens and the other counts.

    All rows are locked by one statement in the order of their fingerprints, so that no two batches wait for each
    other in a circle. ``fresh`` holds what to insert for homes that no open incident was seen of.
    Raises ``JustChanged`` where one that was seen is not open any more, or is not of the place that was seen.
    """
    if not homes:
        return
    ordered = sorted(homes, key=lambda home: home.fingerprint)
    # What only counts need not say more; the rest is never stored.
    usual = rows.row_of(Incident(opened_at=now))
    given, values = rows.given(Incident, usual, [_row(home, fresh.get(home.fingerprint)) for home in ordered])
    words = _WORDS[connection.vendor]
    statement = _UPSERT.format(columns=", ".join(rows.columns(Incident)), given=given, **words, **_EXCLUDED)
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        found = {fingerprint: (pk, *rest) for pk, fingerprint, *rest in cursor.fetchall()}
    for home in ordered:
        key, unit, region, home.lacks_amount, home.waits, inserted = found[home.fingerprint]
        home.opened = key != home.key if inserted is None else inserted
        if (home.opened and home.fingerprint not in fresh) or (unit, region) != (home.business_unit, home.region):
            raise JustChanged
        home.key = key
        if home.opened:
            rows.kept(fresh[home.fingerprint], key)


def _row(home: Home, fresh: Incident | None) -> dict[str, Any]:
    count, first, last = home.counted()
    row = rows.row_of(fresh) if fresh is not None else {"fingerprint": home.fingerprint}
    return {**row, "signals_count": count, "first_signal_at": first, "last_signal_at": last}
