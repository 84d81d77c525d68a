"""Begin, hold up and go on with a subscription, send again or set aside: the only writers beside reader and sender."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction

from audit.access import has_role
from audit.actions import record
from audit.clock import db_now
from audit.errors import IllegalMove, Invalid, LostRace, NotAllowed
from playbooks.console.offers import MENDERS
from playbooks.telling.models import LedgerMark, Outgoing, Subscription
from playbooks.telling.reading import head
from playbooks.telling.states import NEXT, OutState


def begin_now(subscription: Subscription) -> None:
    """Have a subscription, which the caller saves, be told of what happens from now on and of nothing before."""
    subscription.begins_after = head()
    # Whoever is the first to want to be told sets the mark, lest the next turn of the schedule does so later.
    LedgerMark.objects.get_or_create(pk=1, defaults={"read_to": subscription.begins_after})


def may_lend_eyes(by: User, user: User) -> str:
    """Say why ``by`` may not have things told as ``user`` sees them; blank: they may.

    Nobody lets out what they could not see themselves.
    """
    if by.is_superuser or by.pk == user.pk:
        return ""
    if user.is_superuser:
        return "Only a superuser has things told as a superuser sees them."
    mine, theirs = getattr(by, "scope", None), getattr(user, "scope", None)
    for name in ("business_units", "regions"):
        allowed, wanted = (set(getattr(scope, name, None) or []) for scope in (mine, theirs))
        if "*" not in allowed and not wanted <= allowed:
            return "This user sees units or regions that you do not see yourself."
    return ""


@transaction.atomic
def pause(subscription: Subscription, *, actor: str, reason: str) -> bool:
    """Hold up what goes out to a subscription, with a reason; ``False`` where it is held up already."""
    row = Subscription.objects.select_for_update().get(pk=subscription.pk)
    if row.paused_at is not None:
        return False
    row.paused_at, row.paused_reason = db_now(), reason
    _save(row, reason)
    record("subscription.paused", actor=actor, target=row, reason=reason, data={"name": row.slug})
    return True


@transaction.atomic
def resume(subscription: Subscription, *, actor: str, reason: str = "") -> int:
    """Go on with a subscription and return how many messages are skipped because they have grown too old meanwhile."""
    row = Subscription.objects.select_for_update().get(pk=subscription.pk)
    if row.paused_at is None:
        return 0
    row.paused_at, row.paused_reason = None, ""
    _save(row, reason)
    old = row.outgoing.filter(state=OutState.PENDING, occurred_at__lt=db_now() - timedelta(hours=row.skip_hours))
    why = f"Older than {row.skip_hours} hours when the subscription went on."
    skipped = old.update(state=OutState.SKIPPED, state_reason=why)
    record("subscription.resumed", actor=actor, target=row, reason=reason, data={"name": row.slug, "skipped": skipped})
    return skipped


def _save(row: Subscription, reason: str) -> None:
    # simple-history looks for the reason under this name.
    row.__dict__["_change_reason"] = reason[:100]
    row.save(update_fields=["paused_at", "paused_reason"])


def send_again(row: Outgoing, *, by: User, reason: str) -> Outgoing:
    """Have a dead message sent again, the same under its old id. Raises ``NotAllowed``, ``Invalid``, ``LostRace``."""
    return _close(row, OutState.PENDING, "outgoing.sent_again", by, reason, attempts=0, due_at=db_now())


def set_aside(row: Outgoing, *, by: User, reason: str) -> Outgoing:
    """Let a dead message rest for good. Raises ``NotAllowed``, ``Invalid``, ``LostRace``."""
    return _close(row, OutState.SKIPPED, "outgoing.set_aside", by, reason)


def _close(row: Outgoing, to: OutState, verb: str, by: User, reason: str, **columns: object) -> Outgoing:
    if not has_role(by, *MENDERS):
        raise NotAllowed("Sending again takes the role operator or automation owner.")
    if not reason.strip():
        raise Invalid("Say why.", {"reason": ["Say why."]})
    move(row, to, verb, actor=by.get_username(), reason=reason.strip(), **columns)
    return row


@transaction.atomic
def move(row: Outgoing, to: OutState, verb: str, *, actor: str, reason: str, **columns: object) -> None:
    """Change the state of a message as it stood when it was read, and enter it in the ledger.

    Raises ``IllegalMove`` where it may not follow, and ``LostRace`` where somebody has sent or moved it meanwhile.
    """
    if to not in NEXT[OutState(row.state)]:
        raise IllegalMove(f"This message is {row.get_state_display().lower()}: it cannot become {to.label.lower()}.")
    # Compare and swap, the fence of whoever sends it included.
    mine = Outgoing.objects.filter(pk=row.pk, state=row.state, claims=row.claims)
    if not mine.update(state=to, state_reason=reason, claims=row.claims + 1, **columns):
        raise LostRace("This message was sent or moved just now.")
    told = {"subscription": row.subscription.slug, "event": row.event, "id": row.event_id}
    incident = row.incident
    record(
        verb, actor=actor, target=row, incident=incident.pk, business_unit=incident.business_unit,
        region=incident.region, reason=reason, data=told,
    )  # fmt: skip
    row.refresh_from_db()
