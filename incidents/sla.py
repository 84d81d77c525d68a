"""One clock per incident: started at opening, paused on hold, stopped at the end; warnings, breaches, escalations."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from audit.clock import db_now
from audit.plainrows import build, columns, names
from audit.prepared import fetch_all
from incidents import rows
from incidents.briefs import brief, note
from incidents.calendars import NeverOpen, add_business_minutes, business_minutes_between
from incidents.models import Calendar, Escalation, Evidence, Incident, SlaClock, SlaPolicy
from incidents.states import CLOSED, Status

__all__ = ["add_business_minutes", "business_minutes_between", "sweep"]
ACTOR = "system:sla"
BATCH = 500  # clocks per sweep and kind of news; the next sweep takes the rest


@dataclass(frozen=True)
class Targets:
    """When an incident must be acknowledged and resolved, and when to warn."""

    acknowledge: datetime | None = None
    resolve: datetime | None = None
    warn: datetime | None = None


@dataclass(frozen=True)
class Choice:
    """The policy that covers an incident, and why it and no other."""

    policy: SlaPolicy
    because: str


def choose(incident: Incident, policies: Iterable[SlaPolicy]) -> Choice | None:
    """Return the policy for an incident's domain, kind, unit and region: the one bound most closely to its place.

    Bound to unit and region goes before region alone, that before unit alone, that before unbound; among equals the
    lowest priority, then the slug. ``policies`` come in that last order.
    """
    fitting = [policy for policy in policies if _covers(policy, incident)]
    if not fitting:
        return None
    best = max(fitting, key=_closeness)  # of equals the first
    bound = " and ".join(
        f"{word} {value}"
        for word, values, value in (
            ("unit", best.business_units, incident.business_unit),
            ("region", best.regions, incident.region),
        )
        if values
    )
    because = f"It is bound to {bound}" if bound else "It is bound to no unit or region"
    rivals = [policy for policy in fitting if policy is not best]
    if any(_closeness(policy) == _closeness(best) for policy in rivals):
        because += f", and its priority {best.priority} goes first among those that are bound alike"
    elif rivals:
        because += f", closer than {', '.join(policy.label for policy in rivals[:3])}"
    return Choice(best, f"{because}.")


def _covers(policy: SlaPolicy, incident: Incident) -> bool:
    return all(
        not wanted or value in wanted
        for wanted, value in (
            (policy.domains, incident.domain),
            (policy.kinds, incident.code),
            (policy.business_units, incident.business_unit),
            (policy.regions, incident.region),
        )
    )


def _closeness(policy: SlaPolicy) -> int:
    return 2 * bool(policy.regions) + bool(policy.business_units)


def targets(policy: SlaPolicy, severity: str, start: datetime, calendar: Calendar | None = None) -> Targets:
    """Return the due times for a severity, counted from ``start`` in open time of ``calendar``, else the policy's."""
    minutes, calendar = policy.targets.get(severity, {}), calendar or policy.calendar
    resolve = minutes.get("resolve")
    warn = None if resolve is None else resolve * policy.warn_percent / 100
    try:
        return Targets(
            *(
                None if wanted is None else add_business_minutes(calendar, start, wanted)
                for wanted in (minutes.get("acknowledge"), resolve, warn)
            )
        )
    except NeverOpen:
        return Targets()


def _policies() -> list[SlaPolicy]:
    """Return the policies in force with their calendars, the most important first: read at every opening."""
    found = []
    read = fetch_all(
        f"SELECT {columns(SlaPolicy, 'p')}, {columns(Calendar, 'c')} FROM incidents_slapolicy p "  # noqa: S608 - own names only
        "JOIN incidents_calendar c ON c.id = p.calendar_id WHERE p.enabled ORDER BY p.priority, p.slug"
    )
    width = len(names(SlaPolicy))
    for row in read:
        policy, calendar = build(SlaPolicy, row[:width]), build(Calendar, row[width:])
        if policy is not None and calendar is not None:
            policy.calendar = calendar
            found.append(policy)
    return found


def start(incidents: list[Incident], now: datetime) -> None:
    """Start the clocks of incidents that have just been opened, each by the policy that fits best."""
    policies, clocks = _policies(), []
    for incident in incidents:
        found = choose(incident, policies)
        if found is not None:
            due = targets(found.policy, incident.severity, now)
            clocks.append(
                SlaClock(
                    incident=incident,
                    policy=found.policy,
                    calendar=found.policy.calendar,
                    because=found.because,
                    started_at=now,
                    acknowledge_due=due.acknowledge,
                    resolve_due=due.resolve,
                    warn_at=due.warn,
                )
            )
    rows.insert(clocks)


def retime(incident: Incident, before: str) -> None:
    """Set the due times anew after the severity changed, unless a pause has moved them already."""
    clock = _clock(incident)
    if clock is None or clock.stopped_at is not None:
        return
    if clock.resolve_due != targets(clock.policy, before, clock.started_at, hours_of(clock)).resolve:
        return
    due = targets(clock.policy, incident.severity, clock.started_at, hours_of(clock))
    SlaClock.objects.filter(pk=clock.pk).update(
        acknowledge_due=due.acknowledge, resolve_due=due.resolve, warn_at=due.warn
    )


def choose_again(incident: Incident, before: str) -> None:
    """Choose the policy anew once the records say the unit or region that the signals left out.

    A clock that has been paused, warned or missed keeps the policy that it did so by.
    """
    clock = _clock(incident)
    found = choose(incident, _policies())
    if clock is None:
        if found is not None and incident.closed_at is None:
            start([incident], incident.opened_at)
        return
    moved = clock.resolve_due != targets(clock.policy, before, clock.started_at, hours_of(clock)).resolve
    if found is None or found.policy.pk == clock.policy_id or clock.warned_at or clock.breached_at or moved:
        retime(incident, before)
        return
    due = targets(found.policy, incident.severity, clock.started_at)
    running = SlaClock.objects.filter(pk=clock.pk, stopped_at=None, paused_at=None)
    if running.update(
        policy=found.policy,
        calendar=found.policy.calendar,
        because=found.because,
        acknowledge_due=due.acknowledge,
        resolve_due=due.resolve,
        warn_at=due.warn,
    ):
        data = {"policy": found.policy.slug, "before": clock.policy.slug}
        note(incident, "sla.chosen", actor=ACTOR, reason=found.because, data=data)


def hours_of(clock: SlaClock) -> Calendar:
    """Return the calendar that a clock was started with."""
    return clock.calendar or clock.policy.calendar


def follow(incident: Incident, before: str, now: datetime) -> None:
    """Let the clock follow a move of its incident; called in the move's transaction."""
    clock = _clock(incident)
    if clock is None:
        return
    to = Status(incident.status)
    if to in CLOSED:
        SlaClock.objects.filter(pk=clock.pk, stopped_at=None).update(stopped_at=now, next_escalation_at=None)
    elif to is Status.ON_HOLD:
        SlaClock.objects.filter(pk=clock.pk, paused_at=None).update(paused_at=now)
    elif to is not Status.ROLLING_BACK:
        stood_still = clock.paused_at or clock.stopped_at
        if stood_still is not None:
            _resume(clock, stood_still, now)
        if before == Status.NEW and to is Status.TRIAGED:
            acknowledge(incident, now)


def acknowledge(incident: Incident, now: datetime) -> bool:
    """Note that somebody has taken the incident; ``False`` where somebody had before."""
    return bool(SlaClock.objects.filter(incident=incident, acknowledged_at=None).update(acknowledged_at=now))


def _clock(incident: Incident) -> SlaClock | None:
    return SlaClock.objects.select_related("policy__calendar", "calendar").filter(incident=incident).first()


def _resume(clock: SlaClock, since: datetime, now: datetime) -> None:
    """Go on after a pause: what was left of business time then is left now."""
    calendar = hours_of(clock)

    def moved(due: datetime | None) -> datetime | None:
        if due is None or due <= since:
            return due  # missed before the pause stays missed
        try:
            return add_business_minutes(calendar, now, business_minutes_between(calendar, since, due))
        except NeverOpen:
            return None

    SlaClock.objects.filter(pk=clock.pk).update(
        paused_at=None,
        stopped_at=None,
        acknowledge_due=moved(clock.acknowledge_due),
        resolve_due=moved(clock.resolve_due),
        warn_at=moved(clock.warn_at),
        next_escalation_at=now if clock.breached_at else None,
    )


# --- the sweep -----------------------------------------------------------------------------------


def sweep() -> dict[str, int]:
    """Warn, note breaches and escalate whatever is due; returns how many of each.

    Each clock is moved by a conditional update in a transaction of its own: two sweeps at once do each thing once.
    """
    running = SlaClock.objects.filter(stopped_at=None, paused_at=None)
    warnings = running.filter(warned_at=None, breached_at=None, warn_at__lte=Now())
    late = Q(resolve_due__lte=Now()) | Q(acknowledge_due__lte=Now(), acknowledged_at=None)
    return {
        "breached": _each(running.filter(late, breached_at=None), _breach),
        "warned": _each(warnings, _warn),
        "escalated": _each(running.filter(next_escalation_at__lte=Now()), _escalate),
    }


def _each(clocks: QuerySet[SlaClock], act: Callable[[SlaClock, datetime], bool]) -> int:
    found = clocks.select_related("incident__kind", "policy__calendar", "calendar").order_by("pk")[:BATCH]
    done = 0
    for clock in found:
        with transaction.atomic():
            done += act(clock, db_now())
    return done


def _standing(clock: SlaClock) -> QuerySet[SlaClock]:
    # Between the list and the act the incident may have been closed or put on hold.
    return SlaClock.objects.filter(pk=clock.pk, stopped_at=None, paused_at=None)


def _warn(clock: SlaClock, now: datetime) -> bool:
    if not _standing(clock).filter(warned_at=None).update(warned_at=now):
        return False
    reason = f"{clock.policy.warn_percent} % of the time to resolve has passed."
    note(clock.incident, "sla.warned", actor=ACTOR, reason=reason, data=_times(clock))
    return True


def _breach(clock: SlaClock, now: datetime) -> bool:
    first = now if clock.policy.escalate_to else None
    if not _standing(clock).filter(breached_at=None).update(breached_at=now, next_escalation_at=first):
        return False
    note(clock.incident, "sla.breached", actor=ACTOR, reason=_missed(clock, now), data=_times(clock))
    return True


def _escalate(clock: SlaClock, now: datetime) -> bool:
    """Tell the next role, once per role: after the last one there is nobody left to tell."""
    roles, level = clock.policy.escalate_to, clock.escalation_level + 1
    if level > len(roles):
        _standing(clock).update(next_escalation_at=None)
        return False
    after = _next(clock, now) if level < len(roles) else None
    mine = _standing(clock).filter(escalation_level=clock.escalation_level, next_escalation_at=clock.next_escalation_at)
    if not mine.update(escalation_level=level, next_escalation_at=after):
        return False
    role, why = roles[level - 1], _missed(clock, now)
    Escalation.objects.create(
        incident=clock.incident,
        level=level,
        role=role,
        justification=f"{why} Escalated to {role} ({level} of {len(roles)}) by the policy “{clock.policy.label}”.",
        snapshot=_snapshot(clock),
        created_at=now,
    )
    note(clock.incident, "sla.escalated", actor=ACTOR, reason=why, data={"role": role, "level": level})
    return True


def _next(clock: SlaClock, now: datetime) -> datetime | None:
    try:
        return add_business_minutes(hours_of(clock), now, clock.policy.escalate_every_minutes)
    except NeverOpen:
        return None


def postpone(incident: Incident, now: datetime) -> None:
    """Give whoever acknowledged an escalation one interval before the next role hears of it."""
    clock = _clock(incident)
    if clock is not None and clock.next_escalation_at is not None:
        SlaClock.objects.filter(pk=clock.pk, stopped_at=None).update(next_escalation_at=_next(clock, now))


def _missed(clock: SlaClock, now: datetime) -> str:
    missed = []
    if clock.acknowledge_due and clock.acknowledged_at is None and clock.acknowledge_due <= now:
        missed.append(f"nobody acknowledged it by {_shown(clock.acknowledge_due)}")
    if clock.resolve_due and clock.resolve_due <= now:
        missed.append(f"it was not resolved by {_shown(clock.resolve_due)}")
    contractual = " The target is part of a contract." if clock.policy.contractual else ""
    severity = str(clock.incident.severity)
    return f"{clock.incident}, {severity}: {' and '.join(missed) or 'a target was missed'}.{contractual}"


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _times(clock: SlaClock) -> dict[str, str | None]:
    names = ("started_at", "acknowledge_due", "acknowledged_at", "resolve_due", "warn_at")
    return {"policy": clock.policy.slug} | {
        name: None if (value := getattr(clock, name)) is None else value.isoformat() for name in names
    }


def _snapshot(clock: SlaClock) -> dict[str, object]:
    """Return the incident, its cause and its evidence as they stand: what the role is told must stay what it was."""
    incident = clock.incident
    cause = incident.root_causes.order_by("-round").values_list("summary", flat=True).first()
    seen = incident.evidence.order_by("-round", "pk")[:50]
    return {
        "incident": {name: str(value) if value is not None else None for name, value in brief(incident).items()},
        "status_reason": incident.status_reason,
        "root_cause": cause or "",
        "sla": _times(clock),
        "evidence": [_evidence(row) for row in seen],
    }


def _evidence(row: Evidence) -> dict[str, object]:
    return {"id": row.pk, "system": row.system, "record": row.record_id, "version": row.version, "digest": row.digest}
