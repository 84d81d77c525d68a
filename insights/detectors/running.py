"""Run detectors that are switched on: one worker each, bounded, and harmless when it happens twice.

1. The detector is claimed by one conditional UPDATE, for a lease's time. 2. It looks, with no transaction open. 3. What
was found before is left out; cool-down and limit decide about the rest. 4. Signals, findings and the run's end are
committed together, if the lease still holds: a worker that was stopped and woken adds nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Max, Q, QuerySet
from django.db.models.functions import Now

from audit.clock import db_now
from audit.errors import Refusal
from incidents.intake import Accepted, accept_many
from incidents.normal import NormalSignal
from incidents.reach import EVERYWHERE, Reach
from insights.detectors.actions import world_of
from insights.detectors.definitions import Definition, read
from insights.detectors.findings import Finding, Looked
from insights.detectors.looking import World, look
from insights.detectors.models import Detector, DetectorFinding, DetectorRun
from insights.detectors.raising import Sorted, entity_of, names_somebody, overflow, signal_of, sort
from insights.detectors.states import Fate, Outcome

LEASE = timedelta(minutes=15)
AFTER_FAILURE = timedelta(minutes=5)
MOST_DUE = 50
KEEP_RUNS = 500
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Claim:
    """The right to run one detector until the lease ends or the detector is switched off."""

    detector: Detector
    fence: int

    def mine(self) -> QuerySet[Detector]:
        found: QuerySet[Detector] = Detector.objects.filter(pk=self.detector.pk, fence=self.fence, enabled=True)
        return found


class _Lost(Exception):
    """Somebody else has the detector, or it was switched off meanwhile."""


def due() -> list[int]:
    """Return the detectors whose turn has come and that nobody runs, the longest waiting first."""
    rows = Detector.objects.filter(_free(), enabled=True, next_at__lte=Now())
    return list(rows.order_by("next_at", "pk").values_list("pk", flat=True)[:MOST_DUE])


def _free() -> Q:
    return Q(lease_until__isnull=True) | Q(lease_until__lte=Now())


def _claim(detector_id: int) -> _Claim | None:
    """Take a detector whose turn has come: of several workers the database lets one through."""
    until = db_now() + LEASE
    rows = Detector.objects.filter(_free(), pk=detector_id, enabled=True, next_at__lte=Now())
    if not rows.update(lease_until=until, fence=F("fence") + 1):
        return None
    detector = Detector.objects.select_related("log").get(pk=detector_id)
    return _Claim(detector, detector.fence) if detector.lease_until == until else None


def run(detector_id: int) -> DetectorRun | None:
    """Run one detector whose turn has come; ``None`` where another worker has it, or it is off or not due."""
    claim = _claim(detector_id)
    version = claim.detector.active if claim else None
    if claim is None or version is None:
        return None
    detector = claim.detector
    made = DetectorRun.objects.create(detector=detector, version=version, started_at=db_now())
    try:
        definition = read(version.definition)
        world = world_of(detector, actor=detector.source, watermark=detector.watermark)
        made.since = _since(definition, world)
        looked = look(definition, world, made.since)
        _settle(claim, made, definition, world, looked)
    except _Lost:
        _fail(claim, made, "Another worker took over, or the detector was switched off; nothing was added.")
    except Refusal as refusal:
        _fail(claim, made, str(refusal))
    except Exception as error:
        # A fault of ours: the run must say so, the next turn must come, and the error must rise.
        _fail(claim, made, f"{type(error).__name__}: {error}")
        raise
    return made


def _since(definition: Definition, world: World) -> datetime:
    now = world.now
    if definition.of_log and world.log is not None:
        now = world.reader(definition).until
    return now - timedelta(days=definition.limits.look_back_days)


def _settle(claim: _Claim, made: DetectorRun, definition: Definition, world: World, looked: Looked) -> None:
    detector = claim.detector
    fresh = _fresh(detector, looked.findings)
    named = [one for one in fresh if names_somebody(definition, one)]
    chosen = sort(definition, named, _told_last(detector, definition, named))
    number = made.version.number
    signals = [(one, signal_of(detector, definition, one, world, number)) for one in chosen.raised]
    sent = [(one, signal) for one, signal in signals if signal is not None]
    extra = (
        [overflow(detector, definition, chosen.held, now=world.now, version=number, run=made.pk)] if chosen.held else []
    )
    nameless = _others(fresh, named, signals)
    with transaction.atomic():
        if not claim.mine().update(
            lease_until=None, next_at=db_now() + timedelta(minutes=definition.limits.every_minutes),
            watermark=looked.watermark or detector.watermark,
        ):  # fmt: skip
            raise _Lost
        accepted = _accept(detector, [signal for _, signal in sent] + extra)
        told = {one.key: answer.joined for (one, _), answer in zip(sent, accepted, strict=False)}
        fates: dict[Fate, Sequence[Finding]] = {
            Fate.RAISED: [one for one, _ in sent], Fate.COOLED: chosen.cooled, Fate.HELD: chosen.held,
            Fate.REFUSED: nameless,
        }  # fmt: skip
        _keep(made, definition, fates, told)
        _finish(
            made, looked, known=len(looked.findings) - len(fresh), raised=len(sent), chosen=chosen, lost=len(nameless)
        )
    _forget_old(detector)


def _fresh(detector: Detector, found: Sequence[Finding]) -> list[Finding]:
    """Leave out what was found before, whatever became of it then."""
    keys = [one.key for one in found]
    known = set[str]()
    for start in range(0, len(keys), 500):
        part = DetectorFinding.objects.filter(detector=detector, key__in=keys[start : start + 500])
        known |= set(part.values_list("key", flat=True))
    fresh: dict[str, Finding] = {}
    for one in found:
        if one.key not in known:
            fresh.setdefault(one.key, one)
    return list(fresh.values())


def _told_last(detector: Detector, definition: Definition, found: Sequence[Finding]) -> dict[str, datetime]:
    entities = sorted({entity_of(definition, one) for one in found})
    last: dict[str, datetime] = {}
    for start in range(0, len(entities), 500):
        rows = DetectorFinding.objects.filter(
            detector=detector, fate=Fate.RAISED, entity_key__in=entities[start : start + 500]
        )
        last |= dict(rows.order_by().values_list("entity_key").annotate(at=Max("at")))
    return last


def _others(
    fresh: Sequence[Finding], named: Sequence[Finding], signals: Sequence[tuple[Finding, NormalSignal | None]]
) -> list[Finding]:
    """Return what cannot be a signal: it names no record, or says more than a signal holds."""
    able = {one.key for one in named}
    return [one for one in fresh if one.key not in able] + [one for one, signal in signals if signal is None]


def _accept(detector: Detector, signals: list[NormalSignal]) -> list[Accepted]:
    if not signals:
        return []
    units = (detector.business_unit,) if detector.business_unit else None
    reach = Reach(units, (detector.region,) if detector.region else None) if units or detector.region else EVERYWHERE
    return accept_many(signals, actor=detector.source, reach=reach)


def _keep(
    made: DetectorRun, definition: Definition, fates: dict[Fate, Sequence[Finding]], joined: dict[str, int]
) -> None:
    rows = [
        DetectorFinding(
            detector=made.detector, run=made, key=one.key, entity_key=entity_of(definition, one), at=one.at,
            text=one.text[:500], fate=fate, incident_id=joined.get(one.key),
        )
        for fate, found in fates.items() for one in found
    ]  # fmt: skip
    DetectorFinding.objects.bulk_create(rows, batch_size=500)


def _finish(made: DetectorRun, looked: Looked, *, known: int, raised: int, chosen: Sorted, lost: int) -> None:
    said = [*looked.notes, *(f"Could not be judged: {one}" for one in looked.doubts)]
    said += [f"{lost} named no record that an incident can be about."] if lost else []
    made.finished_at, made.outcome, made.message = db_now(), Outcome.DONE, " ".join(said)[:2000]
    made.until, made.found, made.known, made.raised = looked.until, len(looked.findings), known, raised
    made.cooled, made.held = len(chosen.cooled), len(chosen.held)
    made.save()


def _fail(claim: _Claim, made: DetectorRun, message: str) -> None:
    made.finished_at, made.outcome, made.message = db_now(), Outcome.FAILED, message[:2000]
    made.save(update_fields=["finished_at", "outcome", "message"])
    claim.mine().update(lease_until=None, next_at=db_now() + AFTER_FAILURE)
    logger.warning("the detector %s failed: %s", claim.detector.slug, message)


def _forget_old(detector: Detector) -> None:
    """Keep the newest runs, and every run that found something."""
    old = DetectorRun.objects.filter(detector=detector, findings=None).order_by("-pk")
    cut = old.values_list("pk", flat=True)[KEEP_RUNS : KEEP_RUNS + 1]
    if last := list(cut):
        old.filter(pk__lte=last[0]).delete()
