"""What people and the loop do to incidents. Every verb here writes one line in the ledger."""

from django.contrib.auth.models import User
from django.db import transaction

from audit.access import has_role, roles_of
from audit.clock import db_now
from audit.errors import IllegalMove, Invalid, NotAllowed
from incidents import merging, sla
from incidents.briefs import note
from incidents.models import Comment, Incident, Merge
from incidents.moves import change, check_version, lock, move, ring
from incidents.states import CLOSED, Status

__all__ = [
    "acknowledge",
    "assign",
    "change",
    "comment",
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
