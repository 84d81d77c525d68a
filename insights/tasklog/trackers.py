"""Lists that people keep beside the systems: each line is held against recorded effects; what has none is an orphan.

A line and an effect belong together where they speak of the same record and lie no further apart than the tracker's
tolerance. Each effect accounts for one line: two lines and one effect leave one orphan. Nearest first, so the result
does not depend on the order of the file.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from audit.actions import record
from audit.clock import db_now
from audit.errors import IllegalMove, Invalid
from incidents.access import reach_of
from incidents.intake import NormalSignal, accept
from incidents.models import Incident
from insights.tasklog import pseudonyms
from insights.tasklog.actions import require, require_unit
from insights.tasklog.models import Tracker, TrackerLine
from insights.tasklog.reading import lines_of, moment
from playbooks.models import StepRun
from playbooks.states import StepState

MOST_LINES = 50_000
CODE = "shadow_change"
_NAMES = {
    "who": ("who", "user", "modifiedby", "editor", "changedby", "person", "name", "owner"),
    "record": ("record", "key", "recordid", "id", "invoice", "order", "document", "number", "item", "title"),
    "change": ("change", "action", "what", "comment", "note", "status", "description"),
    "when": ("when", "modified", "date", "time", "timestamp", "changedat", "modifiedat"),
}
_DONE = (StepState.DONE, StepState.VERIFIED, StepState.MISMATCH)


def take_in(
    chunks: Iterable[bytes],
    *,
    name: str,
    by: User,
    entity_type: str = "",
    tolerance_hours: int = 24,
    business_unit: str = "",
    region: str = "",
) -> Tracker:
    """Take a list in and hold it against what is recorded. Raises ``Invalid`` with the field at fault."""
    require(by)
    require_unit(by, business_unit, region)
    if not name.strip():
        raise Invalid("The list needs a name.", {"name": ["Give a name."]})
    lines, rejected = _read(chunks, db_now())
    if not lines:
        raise Invalid("No line of the file tells of a change.", {"file": ["It needs who, record, change and when."]})
    with transaction.atomic():
        tracker = Tracker.objects.create(
            name=name.strip()[:120], entity_type=entity_type.strip()[:60], tolerance_hours=tolerance_hours,
            business_unit=business_unit, region=region, lines_count=len(lines), rejected_count=rejected,
            uploaded_by=by, created_at=db_now(),
        )  # fmt: skip
        for line in lines:
            line.tracker = tracker
        TrackerLine.objects.bulk_create(lines, batch_size=1_000)
        record("tracker.received", actor=by.get_username(), target=tracker, data={"lines": len(lines)})
        match(tracker)
    return tracker


def match(tracker: Tracker) -> int:
    """Hold the lines that have no effect yet against the recorded ones; return how many found theirs."""
    open_ = list(tracker.lines.filter(effect_id=None).order_by("changed_at", "line"))
    if not open_:
        return 0
    slack = timedelta(hours=tracker.tolerance_hours)
    effects = _effects(tracker, open_[0].changed_at - slack, open_[-1].changed_at + slack)
    taken = set(TrackerLine.objects.filter(effect_id__isnull=False).values_list("effect_id", flat=True))
    pairs = [
        (abs((at - line.changed_at).total_seconds()), line.line, effect, line)
        for line in open_
        for effect, at in effects.get(_key(line.record), ())
        if abs(at - line.changed_at) <= slack and effect not in taken
    ]
    found: list[TrackerLine] = []
    for _, _, effect, line in sorted(pairs, key=lambda pair: pair[:3]):
        if effect not in taken and line.effect_id is None:
            taken.add(effect)
            line.effect_id = effect
            found.append(line)
    TrackerLine.objects.bulk_update(found, ["effect_id"], batch_size=500)
    return len(found)


def raise_incident(line: TrackerLine, *, by: User) -> Incident:
    """Open an incident about an orphan, through the ordinary intake; once. Raises ``IllegalMove`` for other lines."""
    require(by)
    if line.effect_id is not None:
        raise IllegalMove("A recorded effect accounts for this line.")
    tracker = line.tracker
    signal = NormalSignal(
        source=f"tracker:{tracker.pk}",
        id=f"line-{line.line}",
        time=line.changed_at,
        type="goldseam.shadow_change",
        channel="console",
        code=CODE,
        entity_type=tracker.entity_type or "record",
        entity_key=line.record,
        business_unit=tracker.business_unit,
        region=tracker.region,
        attributes={"tracker": tracker.name, "person": line.person},
        text=f"“{tracker.name}” tells of a change of {line.record} that no recorded effect accounts for: {line.change}",
    )
    incident: Incident = accept(signal, actor=by.get_username(), reach=reach_of(by)).incident
    with transaction.atomic():
        if TrackerLine.objects.filter(pk=line.pk, incident_id=None).update(incident_id=incident.pk):
            record("tracker.orphan_raised", actor=by.get_username(), target=tracker, incident=incident.pk)
    return incident


def _read(chunks: Iterable[bytes], latest: datetime) -> tuple[list[TrackerLine], int]:
    lines: list[TrackerLine] = []
    columns: dict[str, str] = {}
    rejected, key = 0, pseudonyms.person_key()
    for number, given in lines_of(chunks):
        if given is not None and not columns:
            columns = _columns(given)
        at = moment(given.get(columns["when"], ""), UTC, latest) if given else None
        told = given.get(columns["record"], "").strip()[:200] if given else ""
        if given is None or at is None or not _key(told):
            rejected += 1
            continue
        if len(lines) >= MOST_LINES:
            raise Invalid("The list is too long.", {"file": [f"It has more than {MOST_LINES:,} lines."]})
        who = given.get(columns.get("who", ""), "").strip()
        change = given.get(columns.get("change", ""), "").strip()[:500]
        person = pseudonyms.person(who, key) if who else ""
        lines.append(TrackerLine(line=number, person=person, record=told, change=change, changed_at=at))
    return lines, rejected


def _columns(given: Mapping[str, str]) -> dict[str, str]:
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(list(given))}
    found = {part: next((plain[name] for name in names if name in plain), "") for part, names in _NAMES.items()}
    missing = [part for part in ("record", "when") if not found[part]]
    if missing:
        shown = ", ".join(list(given)[:20])
        raise Invalid(
            "The list does not say what was changed when.",
            {"file": [f"A column called {part} is missing; the file has {shown}." for part in missing]},
        )
    return {part: name for part, name in found.items() if name}


def _effects(tracker: Tracker, since: datetime, until: datetime) -> dict[str, list[tuple[int, datetime]]]:
    """Return what our own executions changed in this time, by record; of the tracker's unit where it has one."""
    of_unit = Incident.objects.filter(pk=OuterRef("execution__incident"))
    for field in ("business_unit", "region"):
        if value := getattr(tracker, field):
            of_unit = of_unit.filter(Q(**{field: value}))
    rows = StepRun.objects.filter(Exists(of_unit), state__in=_DONE, finished_at__range=(since, until))
    found: dict[str, list[tuple[int, datetime]]] = defaultdict(list)
    for pk, lane, expected, at in rows.order_by("pk").values_list("pk", "lane", "expected", "finished_at").iterator():
        keys = {_key(one) for one in (lane.rsplit(":", 1)[-1], *_said(expected))} - {""}
        if at is not None:
            for key in sorted(keys):
                found[key].append((pk, at))
    return found


def _said(expected: Any) -> Iterable[str]:
    return [str(change.get("key", "")) for change in expected if isinstance(change, dict)]


def _key(text: str) -> str:
    """Return a record's name as it compares: without case and blanks."""
    return "".join(text.split()).lower()
