"""The verbs of detectors: write a version, rehearse it, switch it on and off."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils.text import slugify

from audit.access import has_role
from audit.actions import record
from audit.clock import db_now
from audit.errors import Invalid, LostRace, NotAllowed, Stale
from audit.proofs import digest
from incidents.models import Incident
from insights.access import may_act
from insights.detectors import queries
from insights.detectors.checking import check
from insights.detectors.definitions import Definition, plain, read
from insights.detectors.looking import World
from insights.detectors.models import Detector, DetectorVersion, Rehearsal
from insights.detectors.rehearsing import DAYS, rehearse
from insights.models import EventLog


def _require(user: Any) -> None:
    if not may_act(user):
        raise NotAllowed("Detectors are changed by operators and automation owners.")


def may_ask(user: Any) -> bool:
    """Tell whether ``user`` may ask saved queries."""
    return has_role(user, "automation_admin")


def _require_for(user: Any, definition: Definition) -> None:
    """Refuse a saved query to whoever does not configure connections: its rows are of every unit."""
    if definition.saved is not None and not may_ask(user):
        raise NotAllowed("Saved queries are asked by automation owners: a connection shows rows of every unit.")


def create(
    *,
    label: str,
    definition: Mapping[str, Any],
    by: Any,
    log: EventLog | None = None,
    business_unit: str = "",
    region: str = "",
) -> Detector:
    """Make a detector with its first version, switched off. Raises ``Invalid`` with the path of each field at fault."""
    _require(by)
    text = read(dict(definition))
    _require_for(by, text)
    unit, place = (log.business_unit, log.region) if log is not None else (business_unit, region)
    _in_reach(by, unit, place)
    _raise(check(text, log))
    if not label.strip():
        raise Invalid("The detector needs a name.", {"label": ["Give a name."]})
    with transaction.atomic():
        detector = Detector.objects.create(
            slug=_free_slug(label), label=label.strip()[:120], log=log, log_name=log.name if log else "",
            business_unit=unit, region=place, created_by=by, created_at=db_now(),
        )  # fmt: skip
        record("detector.added", actor=by.get_username(), target=detector, after={"label": detector.label})
        publish(detector, text, author=by.get_username())
    return detector


def _in_reach(user: Any, unit: str, place: str) -> None:
    """Refuse a detector for a unit or region that its author does not work for: it would open incidents there."""
    if getattr(user, "is_superuser", False):
        return
    scope = getattr(user, "scope", None)
    for name, given, allowed in (
        ("business_unit", unit, scope.business_units if scope else []),
        ("region", place, scope.regions if scope else []),
    ):
        if "*" not in allowed and given not in allowed:
            raise Invalid("That is not yours to watch.", {name: ["Name a unit and region that you work for."]})


def _raise(errors: dict[str, list[str]]) -> None:
    if errors:
        raise Invalid("The detector cannot work as it is.", errors)


def _free_slug(label: str) -> str:
    stem = slugify(label)[:50] or "detector"
    taken = set(Detector.objects.filter(slug__startswith=stem).values_list("slug", flat=True))
    return next(name for name in (stem, *(f"{stem}-{n}" for n in range(2, 10_000))) if name not in taken)


def revise(
    detector: Detector, *, definition: Mapping[str, Any], by: Any, label: str = "", if_version: int | None = None
) -> DetectorVersion:
    """Write the next version; the detector is switched off until that one has been rehearsed. Raises as ``create``."""
    _require(by)
    text = read(dict(definition))
    _require_for(by, text)
    _raise(check(text, log_of(detector)))
    with transaction.atomic():
        held = _hold(detector, if_version)
        if label.strip() and label.strip() != held.label:
            record("detector.changed", actor=by.get_username(), target=held, before={"label": held.label},
                   after={"label": label.strip()[:120]})  # fmt: skip
            held.label = label.strip()[:120]
        before = held.active
        version = publish(held, text, author=by.get_username())
        if before is not None and version.pk != before.pk and held.enabled:
            held.enabled, held.next_at = False, None
            record("detector.disabled", actor=by.get_username(), target=held, reason="Another version was written.")
        held.row_version += 1
        held.save()
    detector.refresh_from_db()
    return version


def _hold(detector: Detector, if_version: int | None) -> Detector:
    held: Detector = Detector.objects.select_for_update().get(pk=detector.pk)
    if if_version is not None and held.row_version != if_version:
        raise Stale(f"You saw version {if_version}; version {held.row_version} stands now. Look again.")
    return held


def publish(detector: Detector, text: Definition, *, author: str) -> DetectorVersion:
    """Make this text the version that stands, inside the caller's transaction; the same text again changes nothing."""
    definition = plain(text)
    print_, active = digest(definition), detector.active
    if active is not None and active.digest == print_:
        return active
    detector.versions.filter(active=True).update(active=False)
    if active is not None and active.definition.get("rule", {}).get("query") != definition["rule"].get("query"):
        # How far another question had read says nothing about this one.
        detector.watermark = ""
        detector.save(update_fields=["watermark"])
    number = (detector.versions.aggregate(last=Max("number"))["last"] or 0) + 1
    try:
        version = DetectorVersion.objects.create(
            detector=detector, number=number, definition=definition, digest=print_, author=author, created_at=db_now()
        )
    except IntegrityError as error:
        raise LostRace(f"Somebody else changed {detector} just now. Look again.") from error
    record(
        "detector.versioned", actor=author, target=detector, after={"version": number, "definition": definition},
        before={"version": active.number, "definition": active.definition} if active else None,
    )  # fmt: skip
    return version


def log_of(detector: Detector) -> EventLog | None:
    """Return the log that a detector looks at: its own, or the newest of that name in its unit."""
    if detector.log is not None or not detector.log_name:
        return detector.log
    found = EventLog.objects.filter(
        name=detector.log_name, business_unit=detector.business_unit, region=detector.region, generation__gt=0
    )
    return found.order_by("-pk").first()


def world_of(detector: Detector, *, actor: str, watermark: str = "") -> World:
    """Return what a detector may look at now."""
    return World(log_of(detector), db_now(), detector.business_unit, watermark, actor)


def _standing(detector: Detector) -> DetectorVersion:
    version = detector.active
    if version is None:
        raise Invalid("The detector has no version yet.", {"definition": ["Write one."]})
    return version


def rehearse_now(detector: Detector, *, by: Any, days: int = DAYS) -> Rehearsal:
    """Rehearse the version that stands and keep what it showed. Raises ``Refusal`` where it cannot look."""
    _require(by)
    version = _standing(detector)
    who = by.get_username()
    text = read(version.definition)
    _require_for(by, text)
    result = rehearse(text, world_of(detector, actor=who), visible=Incident.objects.visible_to(by), days=days)
    with transaction.atomic():
        rehearsal = Rehearsal.objects.create(
            version=version, by=who, made_at=db_now(), since=result.since, until=result.until, found=result.found,
            raised=result.raised, per_week=result.per_week, result=result.plain(),
        )  # fmt: skip
        record("detector.rehearsed", actor=who, target=detector,
               data={"version": version.number, "found": result.found, "raised": result.raised})  # fmt: skip
    return rehearsal


def preview(detector_definition: Mapping[str, Any], *, by: Any) -> queries.Rows:
    """Return the first rows that a saved query gives now. Raises ``Invalid`` and ``CannotRead``."""
    _require(by)
    text = read(dict(detector_definition))
    _require_for(by, text)
    saved = text.saved
    if saved is None:
        raise Invalid("This detector rests on no saved query.", {"rule.query": ["Name a connection and a read."]})
    now = db_now()
    since = now - timedelta(days=text.limits.look_back_days)
    return queries.ask(saved, watermark="", now=now, actor=by.get_username(), most=queries.PREVIEW_ROWS, since=since)


def enable(detector: Detector, *, by: Any, reason: str = "", if_version: int | None = None) -> Detector:
    """Switch it on. Needs a rehearsal of the version that stands, or a reason. Raises ``Invalid`` where both lack."""
    _require(by)
    with transaction.atomic():
        held = _hold(detector, if_version)
        version = _standing(held)
        _raise(check(read(version.definition), log_of(held)))
        if not version.rehearsals.exists() and not reason.strip():
            message = f"Version {version.number} was never rehearsed. Rehearse it first, or say why it goes on without."
            raise Invalid(message, {"reason": [message]})
        if held.enabled:
            return held
        held.enabled, held.enabled_reason, held.next_at = True, reason.strip()[:2000], db_now()
        # Whoever still runs it from before has lost it by the next claim's fence.
        held.lease_until = None
        held.row_version += 1
        held.save()
        record("detector.enabled", actor=by.get_username(), target=held, reason=reason.strip(),
               data={"version": version.number, "rehearsed": version.rehearsals.exists()})  # fmt: skip
    detector.refresh_from_db()
    return detector


def disable(detector: Detector, *, by: Any, reason: str = "", if_version: int | None = None) -> Detector:
    """Switch it off; the incidents that it opened stay."""
    _require(by)
    with transaction.atomic():
        held = _hold(detector, if_version)
        if held.enabled:
            held.enabled, held.next_at = False, None
            held.row_version += 1
            held.save()
            record("detector.disabled", actor=by.get_username(), target=held, reason=reason.strip())
    detector.refresh_from_db()
    return detector
