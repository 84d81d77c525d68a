"""What people do to hold-outs: begin, change and end a trial, and take one incident out of its comparison group."""

import hashlib
import secrets
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from audit.access import has_role
from audit.actions import record
from audit.clock import db_now
from audit.errors import Invalid, NotAllowed, Refusal
from incidents.actions import move
from incidents.models import Incident
from incidents.moves import check_version
from incidents.states import CLOSED, Severity, Status
from playbooks import endings, holdouts
from playbooks.definitions import PlaybookDefinition
from playbooks.holdout_models import LONGEST_DAYS, MOST_SHARE, HoldOut, HoldOutDraw
from playbooks.models import Playbook
from playbooks.moves import hold


class NotHeldOut(Refusal):
    """The incident is in no comparison group that it could leave."""

    code = "not_held_out"


@dataclass(frozen=True)
class Terms:
    """What a trial is asked to be: percent, why, for how many days, and above what nothing is held out."""

    share: int
    purpose: str = ""
    days: int = 30
    max_severity: str = Severity.MEDIUM.value
    max_amount: Decimal | None = None
    currency: str = ""

    @property
    def lot(self) -> tuple[Any, ...]:
        """What decides who is drawn: another value is another trial."""
        return self.share, self.max_severity, self.max_amount, self.currency


def terms_of(trial: HoldOut) -> Terms:
    """Return the terms of a trial."""
    return Terms(trial.share, trial.purpose, trial.days, str(trial.max_severity), trial.max_amount, trial.currency)


def objections(playbook: Playbook, terms: Terms) -> dict[str, list[str]]:
    """Say, per field, what speaks against a trial; empty: nothing."""
    found: dict[str, list[str]] = {}
    if not 0 <= terms.share <= MOST_SHARE:
        found["share"] = [f"Between 0 and {MOST_SHARE} percent."]
    if terms.share == 0:
        return found
    if not terms.purpose.strip():
        found["purpose"] = ["Say what is to be learnt: mends are held back for it."]
    if not 1 <= terms.days <= LONGEST_DAYS:
        found["days"] = [f"Between 1 and {LONGEST_DAYS} days."]
    if terms.max_severity not in Severity.values:
        found["max_severity"] = [f"One of {', '.join(Severity.values)}."]
    if (terms.max_amount is None) != (not terms.currency):
        found["currency"] = ["An amount and its currency belong together."]
    active = playbook.versions.filter(active=True).first()
    if active is None or PlaybookDefinition.model_validate(active.definition).autonomy is None:
        found["playbook"] = ["It never acts alone, so there is nothing to hold out."]
    return found


@transaction.atomic
def configure(playbook: Playbook, terms: Terms, *, actor: str, reason: str = "", anew: bool = False) -> HoldOut | None:
    """Make ``terms`` the trial of ``playbook``; returns it where anything changed, else ``None``.

    A share of 0 ends the one that runs. Another purpose or other days change it; anything that decides who is drawn
    ends it and begins the next. One that is over begins again only with other terms, or ``anew``. Raises ``Invalid``.
    """
    errors = objections(playbook, terms)
    if errors:
        raise Invalid(f"The hold-out of {playbook.slug} cannot be.", errors)
    # The playbook's row is held, so that two people begin their trials one after the other.
    Playbook.objects.select_for_update(no_key=True).get(pk=playbook.pk)
    latest, now = playbook.hold_outs.first(), db_now()
    if latest is not None and latest.ended_at is None and latest.ends_at <= now:
        end(latest, actor=holdouts.ACTOR, reason="Its time is over.")
    going = latest if latest is not None and latest.ended_at is None else None
    if terms.share == 0:
        return end(going, actor=actor, reason=reason) if going is not None else None
    if latest is not None and terms_of(latest) == terms and not stopped_early(latest) and not (anew and going is None):
        return None
    if going is not None and terms_of(going).lot == terms.lot:
        return _change(going, terms, actor=actor, reason=reason)
    if going is not None:
        end(going, actor=actor, reason=reason or "Replaced by a trial with other terms.")
    return _begin(playbook, terms, actor=actor, reason=reason)


def stopped_early(trial: HoldOut) -> bool:
    """Tell whether somebody ended a trial before its time."""
    return trial.ended_at is not None and trial.ended_at < trial.ends_at


def _begin(playbook: Playbook, terms: Terms, *, actor: str, reason: str) -> HoldOut:
    now, last = db_now(), playbook.hold_outs.first()
    seed = secrets.token_hex(32)
    trial = HoldOut(
        playbook=playbook,
        number=(last.number if last else 0) + 1,
        secret_seed=seed,
        author=actor,
        begun_at=now,
        ends_at=now + timedelta(days=terms.days),
        **asdict(terms),
    )
    _save(trial, reason)
    # The key itself is told when the trial ends: then everybody can draw the lots again and compare.
    data = {"seed_digest": hashlib.sha256(seed.encode()).hexdigest(), "playbook": playbook.slug}
    record("hold_out.begun", actor=actor, target=trial, reason=reason, after=_plain(terms), data=data)
    return trial


def _change(trial: HoldOut, terms: Terms, *, actor: str, reason: str) -> HoldOut:
    before, ends_at = terms_of(trial), trial.begun_at + timedelta(days=terms.days)
    if ends_at <= db_now():
        raise Invalid("It would be over already.", {"days": ["Give more days, or end it with a share of 0."]})
    trial.purpose, trial.days, trial.ends_at = terms.purpose, terms.days, ends_at
    _save(trial, reason)
    record("hold_out.changed", actor=actor, target=trial, reason=reason, before=_plain(before), after=_plain(terms))
    return trial


@transaction.atomic
def end(trial: HoldOut, *, actor: str, reason: str = "") -> HoldOut:
    """End a trial: nobody is drawn any more. Who was held out stays with people until somebody takes them out."""
    row = HoldOut.objects.select_for_update(no_key=True).get(pk=trial.pk)
    if row.ended_at is None:
        row.ended_at = min(db_now(), row.ends_at)
        _save(row, reason)
        record("hold_out.ended", actor=actor, target=row, reason=reason, data={"seed": row.secret_seed})
    trial.ended_at = row.ended_at
    return row


def end_due() -> int:
    """End the trials whose time is over; return how many. Harmless when two schedulers ring."""
    due = HoldOut.objects.filter(ended_at=None, ends_at__lte=db_now()).order_by("pk")
    return len([end(trial, actor=holdouts.ACTOR, reason="Its time is over.") for trial in due[:100]])


def leave(incident: Incident, *, by: User, reason: str, if_version: int | None = None) -> HoldOutDraw:
    """Take an incident out of the comparison group and let the playbook work on it, for a reason that the ledger keeps.

    It counts as held out all the same. Raises ``NotHeldOut``, ``NotAllowed`` and ``Invalid``.
    """
    if not has_role(by, "operator", "automation_admin"):
        raise NotAllowed("Operators do this. Ask one, or ask an administrator for the role.")
    why, who = reason.replace("\x00", "").strip(), by.get_username()
    if not why:
        raise Invalid("Say why it cannot wait for people.", {"reason": ["A reason is needed."]})
    with transaction.atomic():
        row = hold(incident.pk)
        check_version(row, if_version)
        drawn = holdouts.standing(row)
        if drawn is None or Status(row.status) in CLOSED or not holdouts.take_out(drawn, actor=who, reason=why):
            raise NotHeldOut(f"{row} is in no comparison group any more.")
        if row.status == Status.NEEDS_OPERATOR:
            endings.set_aside(row, actor=who, reason=f"Out of the comparison group: {why}")
            move(row, Status.TRIAGED, actor=who, reason=f"Out of the comparison group: {why}", by=by)
    return drawn


def _save(trial: HoldOut, reason: str) -> None:
    # simple-history looks for the reason under this name.
    trial.__dict__["_change_reason"] = reason[:100]
    trial.save()


def _plain(terms: Terms) -> dict[str, Any]:
    amount = None if terms.max_amount is None else str(terms.max_amount)
    return {**asdict(terms), "max_amount": amount}
