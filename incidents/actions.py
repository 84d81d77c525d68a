"""What people and the loop do to incidents. Every verb here writes one line in the ledger."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from audit.access import has_role, roles_of
from audit.clock import db_now
from audit.errors import IllegalMove, Invalid, NotAllowed
from incidents import confidence, merging, sla
from incidents.briefs import note
from incidents.judgements import Decision
from incidents.models import Comment, ExceptionKind, Incident, Merge, Queue
from incidents.moves import change, check_version, lock, move, ring
from incidents.states import CLOSED, SEVERITY_ORDER, Severity, Status
from incidents.triage import route

__all__ = [
    "acknowledge",
    "assign",
    "change",
    "comment",
    "correct",
    "dismiss",
    "hold",
    "merge",
    "move",
    "release",
    "reopen",
    "ring",
    "unmerge",
]
WORKERS = ("operator", "automation_admin")
COMMENTERS = (*WORKERS, "approver", "compliance")
LONGEST = 10_000


def assign(
    incident: Incident, *, by: User, to: User | None, reason: str = "", if_version: int | None = None
) -> Incident:
    """Give an incident to a person, or to nobody; whoever gets it must be able to see and to work on it."""
    _may(by, WORKERS)
    if to is not None:
        if not has_role(to, *COMMENTERS):
            raise Invalid(f"{to} has no role that works on incidents.", {"assignee": ["Choose an operator."]})
        if not Incident.objects.visible_to(to).filter(pk=incident.pk).exists():
            raise Invalid(f"{to} may not see {incident}.", {"assignee": ["Choose somebody of this unit and region."]})
    with transaction.atomic():
        changed = change(
            incident,
            "incident.assigned",
            actor=by.get_username(),
            reason=reason,
            by=by,
            if_version=if_version,
            assignee_id=to.pk if to else None,
        )
        if to is not None:
            sla.acknowledge(incident, db_now())
    return changed


def acknowledge(incident: Incident, *, by: User, reason: str = "", if_version: int | None = None) -> Incident:
    """Say that somebody has seen it: the clock to acknowledge stops. Saying so again changes nothing.

    Escalations to one's own roles are answered by it, and the next role hears of it one interval later.
    """
    _may(by, COMMENTERS)
    check_version(incident, if_version)
    with transaction.atomic():
        now, name = db_now(), by.get_username()
        first = sla.acknowledge(incident, now)
        told = incident.escalations.filter(acknowledged_at=None, role__in=roles_of(by))
        answered = told.update(acknowledged_at=now, acknowledged_by=name)
        if answered:
            sla.postpone(incident, now)
        if first or answered:
            note(incident, "incident.acknowledged", actor=name, reason=reason, data={"escalations": answered})
    return incident


def correct(
    incident: Incident,
    *,
    by: User,
    severity: str = "",
    domain: str = "",
    reason: str = "",
    if_version: int | None = None,
) -> Incident:
    """Set the severity or the domain right, for a reason; triage leaves both alone from then on.

    The clock is timed anew for the new severity, the queue chosen anew for the new domain. It is what the confidence
    of later decisions is measured by. Raises ``Invalid`` for a domain that neither a kind nor a queue knows.
    """
    _may(by, WORKERS)
    reason, name = _needed(reason), by.get_username()
    columns = _corrections(incident, severity, domain, f"{reason} ({name})")
    with transaction.atomic():
        row = lock(incident.pk)
        check_version(row, if_version)
        before = {"severity": str(row.severity), "domain": row.domain}
        changed = change(row, "incident.corrected", actor=name, reason=reason, by=by, **columns)
        for subject, to in ((Decision.Subject.SEVERITY, severity), (Decision.Subject.DOMAIN, domain)):
            if to:
                confidence.corrected(changed, subject, before=before[subject], to=to, by=name)
        if changed.severity != before["severity"]:
            sla.retime(changed, before["severity"])
    return changed


def _corrections(incident: Incident, severity: str, domain: str, because: str) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if not severity and not domain:
        raise Invalid("Say what is right.", {"severity": ["Give a severity, a domain, or both."]})
    if severity:
        if severity not in Severity.values:
            raise Invalid("There is no such severity.", {"severity": [f"Choose one of {', '.join(Severity.values)}."]})
        rank = SEVERITY_ORDER[Severity(severity)]
        columns |= {"severity": Severity(severity), "severity_rank": rank, "severity_reason": because}
    if domain:
        if domain not in (known := domains()):
            raise Invalid(f"There is no domain {domain}.", {"domain": [f"Choose one of {', '.join(known)}."]})
        queue, why = route(domain, incident.business_unit)
        columns |= {"domain": domain, "queue": queue, "queue_reason": why}
    return columns


def domains() -> list[str]:
    """Return the domains that a kind or a queue knows, in order."""
    found = set(ExceptionKind.objects.values_list("domain", flat=True))
    return sorted(found.union(*Queue.objects.values_list("domains", flat=True)))


def hold(incident: Incident, *, by: User, reason: str = "", if_version: int | None = None) -> Incident:
    """Let it rest: the loop stops and the clock stands still until it is released."""
    return _by_hand(incident, Status.ON_HOLD, by, _needed(reason), if_version)


def release(incident: Incident, *, by: User, reason: str = "", if_version: int | None = None) -> Incident:
    """Let the loop go on with a held incident, from fresh evidence."""
    return _by_hand(incident, Status.TRIAGED, by, reason or "Released.", if_version, only=frozenset({Status.ON_HOLD}))


def dismiss(incident: Incident, *, by: User, reason: str = "", if_version: int | None = None) -> Incident:
    """Close it without a mend, for a reason that will be read."""
    return _by_hand(incident, Status.DISMISSED, by, _needed(reason), if_version)


def reopen(incident: Incident, *, by: User, reason: str = "", if_version: int | None = None) -> Incident:
    """Take a closed incident up again, from fresh evidence."""
    return _by_hand(incident, Status.TRIAGED, by, _needed(reason), if_version, only=CLOSED)


def comment(incident: Incident, *, by: User, text: str, if_version: int | None = None) -> Comment:
    """Write something about an incident."""
    _may(by, COMMENTERS)
    check_version(incident, if_version)
    text = text.replace("\x00", "").strip()
    if not text or len(text) > LONGEST:
        raise Invalid("Write something.", {"text": [f"Between 1 and {LONGEST} characters."]})
    with transaction.atomic():
        written = Comment.objects.create(incident=incident, author=by.get_username(), text=text, created_at=db_now())
        note(incident, "incident.commented", actor=by.get_username(), data={"comment": written.pk})
    return written


def merge(kept: Incident, folded: Incident, *, by: User, reason: str = "", if_version: int | None = None) -> Merge:
    """Fold ``folded`` into ``kept``; ``if_version`` is that of ``folded``."""
    _may(by, WORKERS)
    check_version(folded, if_version)
    return merging.merge(kept, folded, by=by, reason=_needed(reason))


def unmerge(merge: Merge, *, by: User, reason: str = "") -> Merge:
    """Take a merge apart exactly."""
    _may(by, WORKERS)
    return merging.unmerge(merge, by=by, reason=_needed(reason))


def _by_hand(
    incident: Incident,
    to: Status,
    by: User,
    reason: str,
    if_version: int | None,
    *,
    only: frozenset[Status] | None = None,
) -> Incident:
    _may(by, WORKERS)
    with transaction.atomic():
        # Held, so that the version that is checked is the version that is changed.
        row = lock(incident.pk)
        check_version(row, if_version)
        if row.merged_into_id is not None:
            raise IllegalMove(f"{row} was merged into INC-{row.merged_into_id}: take the merge apart instead.")
        if only is not None and row.status not in only:
            raise IllegalMove(f"{row} is {row.get_status_display().lower()}: there is nothing to take up.")
        sla.acknowledge(row, db_now())
        return move(row, _afresh(row) if to is Status.TRIAGED else to, actor=by.get_username(), reason=reason, by=by)


def _afresh(incident: Incident) -> Status:
    """Return where an incident goes on: the loop can do nothing for one of an unknown kind that was on hold."""
    known = incident.kind_id is not None or incident.status != Status.ON_HOLD
    return Status.TRIAGED if known else Status.NEEDS_OPERATOR


def _needed(reason: str) -> str:
    reason = reason.replace("\x00", "").strip()
    if not reason:
        raise Invalid("Say why: people will read it.", {"reason": ["A reason is needed."]})
    return reason


def _may(by: User, roles: tuple[str, ...]) -> None:
    if not has_role(by, *roles):
        raise NotAllowed("Your role does not do this. Operators do; ask one, or ask an administrator for the role.")
