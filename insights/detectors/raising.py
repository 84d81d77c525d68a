"""From findings to incidents: cool-down, the limit of a run, and the signals that go through the ordinary intake."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from pydantic import ValidationError

from audit.errors import Invalid
from incidents.expressions import ExpressionFailed, number, render
from incidents.fingerprints import NoFingerprint, fingerprint
from incidents.normal import NormalSignal
from insights.detectors.definitions import Definition
from insights.detectors.findings import MOST_EVENTS, Finding
from insights.detectors.looking import World, events_before, variables
from insights.detectors.models import Detector
from insights.mining.cases import one_case
from insights.models import EventLog

CHANNEL = "detector"
EXAMPLES = 20


@dataclass(frozen=True)
class Sorted:
    """What becomes of each finding of a run: the ones to raise, the surest first, and the others with why not."""

    raised: tuple[Finding, ...]
    cooled: tuple[Finding, ...]
    held: tuple[Finding, ...]


def entity_of(definition: Definition, found: Finding) -> str:
    """Return the business entity that a finding is about; blank where it names none."""
    name = definition.opens.entity
    value = found.values.get(name) if name else found.entity
    return "" if value is None else str(value).strip()[:200]


def sort(definition: Definition, found: Iterable[Finding], last: Mapping[str, datetime]) -> Sorted:
    """Decide what is raised. ``last``: when each entity was told last. The same in a rehearsal and in earnest."""
    quiet = timedelta(hours=definition.limits.cool_down_hours)
    told, fresh, cooled = dict(last), list[Finding](), list[Finding]()
    for one in sorted(found, key=lambda each: (each.at, each.key)):
        entity = entity_of(definition, one)
        before = told.get(entity)
        if before is not None and quiet and one.at - before < quiet:
            cooled.append(one)
            continue
        told[entity] = one.at
        fresh.append(one)
    ranked = sorted(fresh, key=lambda one: (-one.score, one.at, one.key))
    cap = definition.limits.cap
    return Sorted(tuple(ranked[:cap]), tuple(cooled), tuple(ranked[cap:]))


def names_somebody(definition: Definition, found: Finding) -> bool:
    """Tell whether a finding names an entity that an incident can be about."""
    try:
        fingerprint(definition.opens.code, definition.opens.entity_type, entity_of(definition, found), {})
    except NoFingerprint:
        return False
    return True


def signal_of(
    detector: Detector, definition: Definition, found: Finding, world: World, version: int
) -> NormalSignal | None:
    """Return the signal that a finding sends; ``None`` where what it would say cannot be a signal."""
    opens = definition.opens
    values = found.values
    attributes = {
        **{name: values.get(source) for name, source in opens.attributes.items()},
        "detector": detector.slug, "detector_version": version, "found": found.facts,
        "evidence": list(events_before(definition, world, found)), "link": link_of(world.log, found),
        **({"severity_hint": opens.severity} if opens.severity else {}),
    }  # fmt: skip
    try:
        return NormalSignal(
            source=detector.source, id=found.key, time=found.at, channel=CHANNEL,
            type=f"detector.{definition.rule.kind}", code=opens.code, entity_type=opens.entity_type,
            entity_key=entity_of(definition, found), attributes=_plain(attributes),
            amount=_amount(opens.amount, values),
            currency=_currency(opens.currency, values), text=text_of(definition, found),
            # A detector of one unit speaks of that unit, whatever a record says.
            business_unit=detector.business_unit or _value(opens.business_unit, values)[:40],
            region=detector.region or _value(opens.region, values)[:40],
        )  # fmt: skip
    except ValidationError:
        return None


def text_of(definition: Definition, found: Finding) -> str:
    """Return what an incident's signal says: the detector's own words, where it has some, then what was found."""
    own = render(definition.opens.text, variables(found)) if definition.opens.text else ""
    return f"{own} {found.text}".strip()


def _amount(name: str, values: Mapping[str, Any]) -> Any:
    if not name or values.get(name) in (None, ""):
        return None
    try:
        return number(values[name])
    except ExpressionFailed:
        return None  # what is no amount is not guessed; the evidence shows it


def _currency(name: str, values: Mapping[str, Any]) -> str:
    said = str(values.get(name, name) or "").strip().upper()
    return said if len(said) == 3 and said.isascii() and said.isalpha() else ""


def _value(name: str, values: Mapping[str, Any]) -> str:
    return str(values.get(name) or "").strip() if name else ""


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)


def link_of(log: EventLog | None, found: Finding) -> str:
    """Return the address of the case in its log; blank where there is none."""
    if log is None or found.case_no is None:
        return ""
    return (
        f"{reverse('event_log_case', args=[log.pk])}?{urlencode({'case': str(found.values.get('case', found.entity))})}"
    )


def overflow(
    detector: Detector, definition: Definition, held: Sequence[Finding], *, now: datetime, version: int, run: int
) -> NormalSignal:
    """Return the one signal that says how much a run held back, and why."""
    shown = [
        {"entity": entity_of(definition, one), "at": one.at.isoformat(), "text": one.text} for one in held[:EXAMPLES]
    ]
    return NormalSignal(
        source=detector.source, id=f"held:{run}", time=now, channel=CHANNEL, type="detector.held",
        code=definition.opens.code, entity_type="detector", entity_key=detector.slug,
        attributes={"detector": detector.slug, "detector_version": version, "held_back": len(held), "evidence": shown,
                    "link": detector.get_absolute_url()},
        business_unit=detector.business_unit, region=detector.region,
        text=f"{detector.label} found {len(held):,} more than the {definition.limits.cap} that one run may open. They"
        " were held back. Something is wrong everywhere, or the detector is too eager: rehearse it.",
    )  # fmt: skip


def by_hand(log: EventLog, case: str, *, text: str, code: str, id: str) -> NormalSignal:
    """Return the signal of a person about one case, with its events. Raises ``Invalid`` for no such case."""
    found = one_case(log, case)
    if found is None:
        raise Invalid("This log has no such case.", {"case": ["Look it up in the log again."]})
    events = [
        {"position": one.position, "activity": one.activity, "at": one.at.isoformat(), **one.attributes}
        for one in found.events[-MOST_EVENTS:]
    ]
    about = Finding(key=id, at=found.case.last_at, entity=case, text=text, case_no=0, values={"case": case})
    money = str(log.mapping.get("amount") or "")
    attributes = {"case": found.attributes, "evidence": events, "link": link_of(log, about)}
    return NormalSignal(
        source="goldseam:insight", id=id, time=found.case.last_at, channel="console", type="insight", code=code,
        entity_type="case", entity_key=case[:200], attributes=_plain(attributes), text=text,
        amount=_amount(money, found.attributes),
        currency=_currency(str(log.mapping.get("currency") or ""), found.attributes),
        business_unit=log.business_unit, region=log.region,
    )  # fmt: skip
