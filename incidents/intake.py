"""Take signals in: each is kept once, and all that speak of one problem join one incident."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db import IntegrityError, OperationalError, connection, transaction

from audit.errors import NotAllowed
from incidents import aliasing, fastlane, history, homes, news, rows
from incidents.fingerprints import Fingerprint, fingerprint
from incidents.kinds import KindInBrief, in_brief, remembered
from incidents.models import Evidence, Incident, Signal
from incidents.moves import change
from incidents.normal import NormalSignal
from incidents.openings import announce, new_incident
from incidents.reach import EVERYWHERE, Reach
from incidents.signal_rows import evidence_row, signal_row

__all__ = ["Accepted", "NormalSignal", "accept", "accept_many"]
ATTEMPTS = 30


@dataclass(frozen=True)
class Accepted:
    """What became of a signal: its key, that of the incident it joined, and whether either was new."""

    key: int
    joined: int  # the first answer for ever: a merge by a person moves the signal, never this
    merged: bool  # it joined an incident that was already there
    repeated: bool = False  # this source and id had been taken in before; nothing was added

    @cached_property
    def signal(self) -> Signal:
        """The signal's row."""
        return Signal.objects.select_related("incident").get(pk=self.key)

    @property
    def incident(self) -> Incident:
        """The incident that it belongs to."""
        return self.signal.incident


@dataclass(frozen=True)
class _Item:
    """One signal on its way in: what it said, of which kind it is, and its fingerprint."""

    given: NormalSignal
    kind: KindInBrief | None
    print: Fingerprint
    reach: Reach = EVERYWHERE

    @property
    def apart(self) -> Fingerprint:
        return self.reach.apart(self.print, self.given)

    @property
    def name(self) -> tuple[str, str]:
        return self.given.source, self.given.id


def accept(signal: NormalSignal, *, actor: str = "system:intake", reach: Reach = EVERYWHERE) -> Accepted:
    """Take one signal in. Committed when it returns; the same source and id again adds nothing. See ``accept_many``."""
    kind = remembered(signal.code)
    print_ = _item(signal, {kind.code: kind} if kind else {}).print
    joined = fastlane.join(signal, print_, kind.source if kind else "", reach)
    if joined is not None:
        return Accepted(joined.signal, joined.incident, merged=True)
    return accept_many([signal], actor=actor, reach=reach)[0]


def accept_many(
    signals: Sequence[NormalSignal], *, actor: str = "system:intake", reach: Reach = EVERYWHERE
) -> list[Accepted]:
    """Take signals in, all or none, in a handful of statements however many they are.

    1. What was taken in before is answered as before. 2. The incidents that the rest belong to are counted up or
    opened by one statement, in the order of their fingerprints: two batches never wait for each other in a circle.
    3. The signals, their evidence and the incidents' history follow, then the ledger, whose end is held the shortest.
    Whoever loses a race against another process starts over and finds the winner's rows.
    Nothing joins an incident beyond the sender's ``reach``. Raises ``NoFingerprint`` where a signal names no entity,
    and ``NotAllowed`` where a source and id were used by a sender of another unit.
    """
    kinds = in_brief({signal.code for signal in signals})
    items = [_item(signal, kinds, reach) for signal in signals]
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                return _take(items, actor)
        except (IntegrityError, OperationalError, homes.JustChanged) as error:
            if attempt == ATTEMPTS or not _lost_a_race(error):
                raise
    raise AssertionError("unreachable")


def _lost_a_race(error: Exception) -> bool:
    # PostgreSQL names the constraint, SQLite the columns.
    signs = ("one_open_incident", "one_signal_per", "incident.fingerprint", "signal.source", "deadlock detected")
    return isinstance(error, homes.JustChanged) or any(sign in str(error) for sign in signs)


def _item(signal: NormalSignal, kinds: dict[str, KindInBrief], reach: Reach = EVERYWHERE) -> _Item:
    kind = kinds.get(signal.code.casefold())
    chosen = kind.fingerprint if kind else ()
    code = kind.code if kind else signal.code
    return _Item(
        signal, kind, fingerprint(code, signal.entity_type, signal.entity_key, signal.attributes, chosen), reach
    )


def _take(items: list[_Item], actor: str) -> list[Accepted]:
    seen = _look(items)
    if seen.hits:
        items = _renamed(items, seen.hits)
        seen = _look(items)
    answers = _kept(seen.kept, items)
    fresh: dict[tuple[str, str], _Item] = {}
    for item in items:
        if item.name not in answers:
            fresh.setdefault(item.name, item)
    if fresh:
        answers |= zip(fresh, _add(list(fresh.values()), seen, actor), strict=True)
    return [_again(answers[item.name], new=fresh.get(item.name) is item) for item in items]


def _again(answer: Accepted, *, new: bool) -> Accepted:
    return answer if new else replace(answer, repeated=True)


def _look(items: list[_Item]) -> homes.Seen:
    asked = [aliasing.question(item.print, item.given.time) for item in items]
    prints = {item.print.value for item in items} | {item.apart.value for item in items if item.reach != EVERYWHERE}
    return homes.look([item.name for item in items], prints, asked)


def _renamed(items: list[_Item], hits: list[Any]) -> list[_Item]:
    """Bring signals that use another system's name for their entity under the entity's own key."""
    meanings = aliasing.meanings(hits, [item.given for item in items])
    return [_under(item, meanings.get(place)) for place, item in enumerate(items)]


def _under(item: _Item, meaning: aliasing.Meaning | None) -> _Item:
    if meaning is None:
        return item
    given, print_ = aliasing.under(meaning, item.given, item.print)
    return replace(item, given=given, print=print_)


def _kept(keys: list[int], items: list[_Item]) -> dict[tuple[str, str], Accepted]:
    """Return the answers to what was taken in before, by source and id. Mostly nothing: then no row is read."""
    if not keys:
        return {}
    wanted = ("source", "event_id", "joined", "merged", "business_unit", "region")
    kept = {(row.source, row.event_id): row for row in Signal.objects.filter(pk__in=keys).only(*wanted)}
    for item in items:
        if item.name in kept and not item.reach.covers(kept[item.name]):
            raise NotAllowed(f"The id {item.given.id} of {item.given.source} is not yours to use.")
    return {name: Accepted(row.pk, row.joined_id, row.merged) for name, row in kept.items()}


def _add(items: list[_Item], seen: homes.Seen, actor: str) -> list[Accepted]:
    places = _Places(seen)
    placed = [places.place(item) for item in items]
    fresh = {
        mark: new_incident(item.given, item.kind, item.print, seen.now)
        for mark, item in places.firsts.items()
        if mark not in seen.open
    }
    if len(items) == len(fresh) == 1 and connection.vendor == "postgresql":
        return [_open_at_once(placed[0].item, fresh[placed[0].item.print.value], seen.now, actor)]
    present = [home for home in places.present.values() if home.signals]
    homes.open_or_count(present, fresh, seen.now)
    answers = _write(placed, places.firsts, seen.now)
    past = places.past.count()
    if any(home.waits and not home.opened for home in present):
        news.ring_for(min(one.key for one in answers), max(one.key for one in answers))
    opened = [fresh[mark] for mark in sorted(home.fingerprint for home in present if home.opened)]
    history.remember(opened, seen.now, kind="+")
    announce(opened, seen.now, actor)
    _complete([*present, *past], actor)
    return answers


@dataclass(frozen=True)
class _Placed:
    """A signal and the incident it belongs to."""

    item: _Item
    home: homes.Home


class _Places:
    """Which incident each signal belongs to, as far as a look can tell, and the first signal of each open one."""

    def __init__(self, seen: homes.Seen) -> None:
        self.seen, self.past = seen, homes.Past(seen.closed)
        self.present: dict[str, homes.Home] = {}
        self.firsts: dict[str, _Item] = {}

    def place(self, item: _Item) -> _Placed:
        home = self._home_of(item)
        if home is not None and not _covers(item.reach, home):
            # Not theirs to know of: they get an incident of their own, as if there were no other.
            item = replace(item, print=item.apart)
            home = self._home_of(item)
            if home is not None and not _covers(item.reach, home) and home.fingerprint != item.print.value:
                home = None  # theirs was merged into one that they may not know of
        mark = item.print.value
        if home is None:
            home = homes.Home(mark, business_unit=item.given.business_unit, region=item.given.region)
            self.present[mark] = home
        if home is self.present.get(mark):
            self.firsts.setdefault(mark, item)
        home.signals.append(item.given)
        return _Placed(item, home)

    def _home_of(self, item: _Item) -> homes.Home | None:
        mark = item.print.value
        standing = self.seen.open.get(mark)
        if mark not in self.present and standing is not None:
            self.present[mark] = homes.Home(
                mark, standing.key, business_unit=standing.business_unit, region=standing.region
            )
        return self.present.get(mark) or self.past.home_of(mark, item.given.time)


def _covers(reach: Reach, home: homes.Home) -> bool:
    return reach.covers(home)  # type: ignore[arg-type]  # it has unit and region as the rows have


def _write(placed: list[_Placed], firsts: dict[str, _Item], now: datetime) -> list[Accepted]:
    """Write the signals and the evidence that they are."""
    merged = [not (one.home.opened and firsts[one.home.fingerprint] is one.item) for one in placed]
    keys = rows.add(Signal, [_signal(one.item, one.home, late, now) for one, late in zip(placed, merged, strict=True)])
    rows.put(
        Evidence,
        [
            evidence_row(one.item.given, incident_id=one.home.key, signal_id=key, now=now)
            for one, key in zip(placed, keys, strict=True)
        ],
    )
    return [Accepted(key, one.home.key, late) for key, one, late in zip(keys, placed, merged, strict=True)]


def _signal(item: _Item, home: homes.Home, merged: bool, now: datetime) -> dict[str, Any]:
    return signal_row(
        item.given,
        item.print,
        incident_id=home.key,
        unit=home.business_unit,
        region=home.region,
        merged=merged,
        now=now,
    )


def _open_at_once(item: _Item, incident: Incident, now: datetime, actor: str) -> Accepted:
    """Write a new incident, its history and its one signal in one statement instead of four."""
    unit, region = incident.business_unit, incident.region
    signal = signal_row(item.given, item.print, incident_id=0, unit=unit, region=region, merged=False, now=now)
    evidence = evidence_row(item.given, incident_id=0, signal_id=0, now=now)
    (line,) = history.lines([incident], now, kind="+")
    home = {"incident_id": "r0.id"}
    keys = rows.add_together(
        [
            (Incident, rows.row_of(incident), {}),
            (Signal, signal, {**home, "joined_id": "r0.id"}),
            (Evidence, evidence, {**home, "signal_id": "r1.id"}),
            (history.model(), line, {"id": "r0.id"}),
        ]
    )
    rows.kept(incident, keys[0])
    announce([incident], now, actor)
    return Accepted(keys[1], keys[0], merged=False)


def _complete(joined: list[homes.Home], actor: str) -> None:
    """Fill in what an incident did not know and a later signal does."""
    for home in joined:
        columns = home.completed()
        if columns:
            incident = Incident.objects.get(pk=home.key)
            change(incident, "incident.completed", actor=actor, reason="A later signal knew more.", **columns)
