"""Take signals in: each is kept once, and all that speak of one problem join one incident."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, OperationalError, connection, transaction

from audit.actions import Line, record_all
from audit.proofs import canonical
from incidents import fastlane, history, homes, rows, sla
from incidents.fingerprints import Fingerprint, fingerprint
from incidents.kinds import KindInBrief, in_brief, remembered
from incidents.models import Incident, Signal
from incidents.moves import change
from incidents.normal import NormalSignal
from incidents.signal_rows import evidence_row, signal_row
from incidents.signals import incident_due

__all__ = ["Accepted", "NormalSignal", "accept", "accept_many"]
ATTEMPTS = 30
_TURN = 0x676F6C64  # names our lock among the advisory locks of the database
_SHARED = "SELECT pg_advisory_xact_lock_shared(%s)"
_ALONE = "SELECT pg_advisory_xact_lock(%s)"


@dataclass(frozen=True)
class Accepted:
    """What became of a signal: its row, the incident it belongs to, and whether it was new."""

    signal: Signal
    repeated: bool  # this source and id had been taken in before; nothing was added

    @property
    def incident(self) -> Incident:
        """The incident that it belongs to."""
        return self.signal.incident

    @property
    def merged(self) -> bool:
        """Whether it joined an incident that was already there."""
        return self.signal.merged


@dataclass(frozen=True)
class _Item:
    """One signal on its way in: what it said, of which kind it is, and its fingerprint."""

    given: NormalSignal
    kind: KindInBrief | None
    print: Fingerprint

    @property
    def name(self) -> tuple[str, str]:
        return self.given.source, self.given.id


@dataclass(frozen=True)
class _Placed:
    """A signal and the incident it belongs to."""

    item: _Item
    incident: Incident
    opened: bool


def accept(signal: NormalSignal, *, actor: str = "system:intake") -> Accepted:
    """Take one signal in. Committed when it returns; the same source and id again adds nothing. See ``accept_many``."""
    kind = remembered(signal.code)
    print_ = _item(signal, {kind.code: kind} if kind else {}).print
    row = fastlane.join(signal, print_, kind.source if kind else "")
    return accept_many([signal], actor=actor)[0] if row is None else Accepted(row, repeated=False)


def accept_many(signals: Sequence[NormalSignal], *, actor: str = "system:intake") -> list[Accepted]:
    """Take signals in, all or none, in a handful of statements however many they are.

    1. What was taken in before is answered as before. 2. The incidents that the rest belong to are locked, in the
    order of their fingerprints, so that two batches never wait for each other. 3. Missing incidents are opened. Whoever
    loses a race against another process starts over and finds the winner's rows.
    Raises ``NoFingerprint`` where a signal names no entity.
    """
    kinds = in_brief({signal.code for signal in signals})
    return _take_all([_item(signal, kinds) for signal in signals], actor)


def _take_all(items: list[_Item], actor: str) -> list[Accepted]:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                _take_turns(items, attempt)
                return _take(items, actor)
        except (IntegrityError, OperationalError) as error:
            if attempt == ATTEMPTS or not _lost_a_race(error):
                raise
    raise AssertionError("unreachable")


def _take_turns(items: list[_Item], attempt: int) -> None:
    """Let batches run side by side until one loses a race: it then runs alone.

    Without this, many batches that open the same problems at once would make each other start over again and again.
    """
    if len(items) > 1 and connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_SHARED if attempt == 1 else _ALONE, [_TURN])


def _lost_a_race(error: Exception) -> bool:
    # PostgreSQL names the constraint, SQLite the columns.
    signs = ("one_open_incident", "one_signal_per", "incident.fingerprint", "signal.source", "deadlock detected")
    return any(sign in str(error) for sign in signs)


def _item(signal: NormalSignal, kinds: dict[str, KindInBrief]) -> _Item:
    kind = kinds.get(signal.code.casefold())
    chosen = kind.fingerprint if kind else ()
    code = kind.code if kind else signal.code
    return _Item(signal, kind, fingerprint(code, signal.entity_type, signal.entity_key, signal.attributes, chosen))


def _take(items: list[_Item], actor: str) -> list[Accepted]:
    now, known, candidates = homes.look([item.name for item in items], {item.print.value for item in items})
    kept = _kept(known)
    fresh: dict[tuple[str, str], _Item] = {}
    for item in items:
        if item.name not in kept:
            fresh.setdefault(item.name, item)
    if fresh:
        kept |= _add(list(fresh.values()), candidates, now, actor)
    return [Accepted(kept[item.name], repeated=fresh.get(item.name) is not item) for item in items]


def _kept(keys: list[int]) -> dict[tuple[str, str], Signal]:
    """Return what was taken in before, by source and id. Mostly nothing: then no row is built."""
    if not keys:
        return {}
    kept = Signal.objects.filter(pk__in=keys).select_related("incident")
    return {(signal.source, signal.event_id): signal for signal in kept}


def _add(items: list[_Item], candidates: list[int], now: datetime, actor: str) -> dict[tuple[str, str], Signal]:
    found = homes.Homes()
    found.hold(candidates)
    placed = [_place(item, found, now) for item in items]
    opened = sorted((one.incident for one in placed if one.opened), key=lambda incident: incident.fingerprint)
    if len(placed) == len(opened) == 1 and connection.vendor == "postgresql":
        signals = [_open_at_once(placed[0], now)]
    else:
        homes.open_all(opened)
        found.count()
        signals = [_row(one, now) for one in placed]
        rows.insert(signals)
        rows.insert([evidence_row(signal) for signal in signals])
        history.remember(opened, now, kind="+")
    if opened:
        _announce(opened, now, actor)
    for pk, columns in found.completed.items():
        change(
            Incident.objects.get(pk=pk),
            "incident.completed",
            actor=actor,
            reason="A later signal knew more.",
            **columns,
        )
    return {(signal.source, signal.event_id): signal for signal in signals}


def _open_at_once(placed: _Placed, now: datetime) -> Signal:
    """Write a new incident, its history and its one signal in one statement instead of four."""
    incident, signal = placed.incident, _row(placed, now)
    home = {"incident_id": "r0.id"}
    rows.insert_together(
        [
            (incident, {}),
            (signal, {**home, "joined_id": "r0.id"}),
            (evidence_row(signal), {**home, "signal_id": "r1.id"}),
            (history.line(incident, now, kind="+"), {"id": "r0.id"}),
        ]
    )
    signal.incident = incident  # again, now that it has a key
    signal.joined_id = incident.pk
    return signal


def _row(placed: _Placed, now: datetime) -> Signal:
    incident, item = placed.incident, placed.item
    row = signal_row(
        item.given,
        item.print,
        incident_id=incident.pk,
        unit=incident.business_unit,
        region=incident.region,
        merged=not placed.opened,
        now=now,
    )
    row.incident = incident
    return row


def _place(item: _Item, found: homes.Homes, now: datetime) -> _Placed:
    home = found.home_of(item.print.value, item.given.time)
    if home is None:
        opened = homes.new_incident(item.given, item.kind, item.print, now)
        found.settle(opened)
        return _Placed(item, opened, opened=True)
    found.joined(home, item.given)
    return _Placed(item, home, opened=False)


def _announce(opened: list[Incident], now: datetime, actor: str) -> None:
    sla.start(opened, now)
    record_all(_opening(incident, actor) for incident in opened)
    for incident in opened:
        if incident.due_at is not None:
            incident_due.send(sender=Incident, incident_id=incident.pk)


def _opening(incident: Incident, actor: str) -> Line:
    after = {
        "status": str(incident.status),
        "code": incident.code,
        "entity_type": incident.entity_type,
        "entity_key": incident.entity_key,
        "fingerprint": incident.fingerprint,
    }
    return Line(
        "incident.opened",
        actor,
        Incident._meta.label_lower,
        str(incident.pk),
        incident.pk,
        incident.business_unit,
        incident.region,
        incident.status_reason,
        canonical({"after": after}),
    )
