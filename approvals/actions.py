"""Ask, decide, withdraw: the only writers of requests and decisions. Every refusal is entered too."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from approvals.models import ApprovalRequest, ApprovalRule, Decision, Delegation
from approvals.rules import Requirement
from approvals.seats import (
    AlreadyDecided,
    CannotDecide,
    NotThere,
    RoleMissing,
    Settled,
    StaleDigest,
    may_give,
    may_look_and_decide,
    may_take,
    open_requirements,
    seat_for,
)
from approvals.signals import approval_settled
from approvals.states import NEXT, State
from audit.actions import record
from audit.clock import db_now
from audit.errors import IllegalMove, Invalid, LostRace, Refusal, Stale

COMMENT_LIMIT = 2_000
STANDING = (State.PENDING, State.APPROVED)
SWEEP = "system:approvals"


class AlreadyAsked(Refusal):
    """Another question about the same thing stands; withdraw it first."""

    code = "already_asked"


@dataclass(frozen=True)
class Question:
    """What people are asked: may exactly this be done? ``digest`` binds the answer to what they see."""

    subject: str
    subject_id: int
    incident_id: int
    digest: str
    title: str
    requirements: list[Requirement]
    requested_by: str
    risk_tier: str
    summary: dict[str, Any] = field(default_factory=dict)
    domain: str = ""
    amount: Decimal | None = None
    currency: str = ""
    business_unit: str = ""
    region: str = ""
    excluded: Iterable[str] = ()
    because: str = ""


def ask(question: Question) -> ApprovalRequest:
    """Put ``question`` to the people whom its requirements name, and return the request.

    Asking the same digest again returns the request that stands. Raises ``AlreadyAsked`` while another digest
    of the same subject stands, and ``Invalid`` without requirements or digest: a question to nobody would be a yes.
    """
    if not question.requirements or not question.digest:
        raise Invalid("A request for approval needs somebody to ask and a digest of what is asked.")
    try:
        with transaction.atomic():
            return _standing_or_new(question)
    except IntegrityError as error:
        found = _standing(question.subject, question.subject_id)
        if found is None or found.digest != question.digest:
            raise AlreadyAsked(f"{question.subject} {question.subject_id} has been asked about just now.") from error
        return found


def _standing_or_new(question: Question) -> ApprovalRequest:
    found = _standing(question.subject, question.subject_id)
    if found is None:
        return _new_request(question)
    if found.digest != question.digest:
        raise AlreadyAsked(f"{found} about the same {question.subject} still stands, for something else.")
    return found


def _standing(subject: str, subject_id: int) -> ApprovalRequest | None:
    return ApprovalRequest.objects.filter(subject=subject, subject_id=subject_id, state__in=STANDING).first()


def _new_request(question: Question) -> ApprovalRequest:
    now, demands = db_now(), _together(question.requirements)
    excluded = sorted({*question.excluded, question.requested_by, *_owners(demands)} - {""})
    because = "; ".join(dict.fromkeys(part for part in (question.because, *(one.because for one in demands)) if part))
    approval = ApprovalRequest.objects.create(
        subject=question.subject,
        subject_id=question.subject_id,
        incident_id=question.incident_id,
        digest=question.digest,
        title=question.title[:300],
        summary=question.summary,
        risk_tier=question.risk_tier,
        domain=question.domain,
        amount=question.amount,
        currency=question.currency,
        business_unit=question.business_unit,
        region=question.region,
        requirements=[asdict(one) for one in demands],
        required=sum(one.quorum for one in demands),
        asked_because=because,
        requested_by=question.requested_by,
        excluded=excluded,
        barred=lines(excluded),
        open_roles=lines(one.role for one in demands),
        created_at=now,
        expires_at=now + timedelta(minutes=min(one.expires_minutes for one in demands)),
    )
    asked = {name: getattr(approval, name) for name in ("digest", "required", "requirements", "excluded", "expires_at")}
    _enter("approval.asked", approval, actor=question.requested_by, reason=because, data=asked)
    return approval


def _together(demands: Iterable[Requirement]) -> list[Requirement]:
    """Add up demands of one rule for one role: a yes is counted for a rule and a role, and must not count twice."""
    found: dict[tuple[str, str], Requirement] = {}
    for one in demands:
        known = found.get((one.rule, one.role))
        found[one.rule, one.role] = replace(one, quorum=one.quorum + known.quorum) if known else one
    return list(found.values())


def _owners(demands: Iterable[Requirement]) -> set[str]:
    owners = ApprovalRule.objects.filter(slug__in=[one.rule for one in demands], owner__isnull=False)
    return set(owners.values_list("owner__username", flat=True))


def lines(names: Iterable[str]) -> str:
    """Return names one a line, set off by line breaks, so that a search for a whole line finds exactly one name."""
    return "".join(f"\n{name}" for name in sorted(set(names))) + "\n"


def decide(
    approval: ApprovalRequest, *, by: User, verdict: str, digest: str, comment: str = "", if_version: int | None = None
) -> ApprovalRequest:
    """Count ``by``'s yes or no to exactly ``digest``, settle the request where that settles it, and return it.

    ``verdict`` is ``approve`` or ``reject``; a no needs a comment and settles at once. The roles, scope and
    delegations of ``by`` are read anew; ``if_version``, where given, is the row's version that they saw. Raises
    a ``CannotDecide`` (entered in the ledger before it leaves), ``Invalid`` or ``Stale``. Call it outside a
    transaction, or the entry of a refusal goes when that is rolled back.
    """
    said = _comment(verdict, comment)
    try:
        with transaction.atomic():
            return _decide(_locked(approval.pk, if_version), _fresh(by), Decision.Verdict(verdict), said, digest)
    except CannotDecide as refusal:
        enter_refusal(approval, by, f"refused.{verdict}", refusal)
        raise


def _comment(verdict: str, comment: str) -> str:
    if verdict not in Decision.Verdict.values:
        raise Invalid("A decision is approve or reject.", {"verdict": ["approve or reject."]})
    said = _keepable(comment)
    if verdict == Decision.Verdict.REJECT and not said:
        raise Invalid("Say why: whoever plans again reads it.", {"comment": ["A reason is needed to reject."]})
    return said


def _keepable(comment: str) -> str:
    said = comment.strip()
    if len(said) > COMMENT_LIMIT or "\0" in said:
        raise Invalid("The comment cannot be kept.", {"comment": [f"At most {COMMENT_LIMIT} characters of text."]})
    return said


def _locked(pk: int, if_version: int | None) -> ApprovalRequest:
    """Return the row as it stands now, held until the commit (SQLite holds the whole file, which is as good)."""
    found = ApprovalRequest.objects.select_for_update().filter(pk=pk).first()
    if found is None:
        raise NotThere("There is no such approval.")
    if if_version is not None and if_version != found.row_version:
        raise Stale(f"You saw version {if_version}; version {found.row_version} stands now.")
    return found


def _fresh(person: User) -> User:
    """Return ``person`` as they are now: a role that was taken away a second ago must not decide."""
    found = User.objects.filter(pk=person.pk, is_active=True).first()
    if found is None:
        raise NotThere("There is no such approval.")
    return found


def _decide(
    approval: ApprovalRequest, person: User, verdict: Decision.Verdict, comment: str, digest: str
) -> ApprovalRequest:
    now, rejecting = db_now(), verdict == Decision.Verdict.REJECT
    may_look_and_decide(approval, person, now=now)
    if digest != approval.digest:
        raise StaleDigest("This has changed since you looked at it. Look again, then decide.")
    seat = seat_for(approval, person, now=now, rejecting=rejecting)
    _count(
        Decision(
            request=approval,
            person=person,
            on_behalf_of=seat.on_behalf_of,
            rule=seat.rule,
            role=seat.role,
            verdict=verdict,
            comment=comment,
            digest=digest,
            decided_at=now,
        )
    )
    settled = _outcome(approval, rejecting)
    if settled is not None:
        settle(approval, settled, reason=comment if rejecting else "", now=now)
    spoke = {"digest": digest, "role": seat.role, "rule": seat.rule, "given": f"{approval.given}/{approval.required}"}
    if seat.on_behalf_of is not None:
        spoke["on_behalf_of"] = seat.on_behalf_of.get_username()
    _enter(
        "approval.decided", approval, actor=person.get_username(), reason=comment, data={"verdict": verdict, **spoke}
    )
    if settled is not None:
        _enter(f"approval.{settled}", approval, actor=person.get_username(), reason=comment, data={"digest": digest})
    return approval


def _count(decision: Decision) -> None:
    """Write the decision down. The constraints have the last word on who has spoken before."""
    try:
        with transaction.atomic():
            decision.save(force_insert=True)
    except IntegrityError as error:
        raise AlreadyDecided("You have decided this already, or somebody did on your behalf.") from error


def _outcome(approval: ApprovalRequest, rejecting: bool) -> State | None:
    """Bring the counts in line with the decisions and return the state that follows, if one does."""
    missing = open_requirements(approval)
    approval.given = approval.decisions.filter(verdict=Decision.Verdict.APPROVE).count()
    approval.open_roles = lines(one["role"] for one in missing)
    approval.row_version += 1
    counts = {name: getattr(approval, name) for name in ("given", "open_roles", "row_version")}
    if not ApprovalRequest.objects.filter(pk=approval.pk, state=State.PENDING).update(**counts):
        raise Settled("This was settled just now.")
    if rejecting:
        return State.REJECTED
    return None if missing else State.APPROVED


def settle(approval: ApprovalRequest, to: State, *, reason: str, now: datetime) -> None:
    """Change the state, or say why not, and tell the floor above. Nothing else writes ``state``.

    The ledger comes after the news: it is held until the commit, so nobody may lock another row behind it.
    """
    if to not in NEXT[State(approval.state)]:
        raise IllegalMove(f"{approval}: {approval.state} → {to}")
    changes = {"state": to, "state_reason": reason, "settled_at": now, "row_version": approval.row_version + 1}
    if not ApprovalRequest.objects.filter(pk=approval.pk, state=approval.state).update(**changes):
        raise LostRace(f"{approval} was settled by someone else.")
    approval.__dict__.update(changes)
    approval_settled.send(ApprovalRequest, approval=approval)


@transaction.atomic
def void(subject: str, subject_id: int, *, reason: str, actor: str) -> ApprovalRequest | None:
    """Take back the standing question, or the yes that was given; ``None`` where nothing stands.

    For whatever was edited, has drifted or was replaced.
    """
    approval = (
        ApprovalRequest.objects.select_for_update()
        .filter(subject=subject, subject_id=subject_id, state__in=STANDING)
        .first()
    )
    if approval is None:
        return None
    before = approval.state
    settle(approval, State.VOID, reason=reason, now=db_now())
    _enter("approval.voided", approval, actor=actor, reason=reason, data={"from": before, "digest": approval.digest})
    return approval


def expire_due() -> int:
    """Settle every question whose time has run out unanswered; return how many this call settled."""
    due = ApprovalRequest.objects.filter(state=State.PENDING, expires_at__lte=db_now()).order_by("expires_at")
    return sum(expire(subject, subject_id) for subject, subject_id in due.values_list("subject", "subject_id"))


@transaction.atomic
def expire(subject: str, subject_id: int) -> bool:
    """Settle the standing question, or the yes, whose time is over; ``False`` where there is none.

    Only the floor above knows whether a yes was used: it asks for those that were not.
    """
    now = db_now()
    late = ApprovalRequest.objects.select_for_update().filter(state__in=STANDING, expires_at__lte=now)
    approval = late.filter(subject=subject, subject_id=subject_id).first()
    if approval is None:
        return False
    before, reason = approval.state, f"Nobody completed it in time: {approval.given} of {approval.required} said yes."
    if before == State.APPROVED:
        reason = "It was approved, but its time ran out before it was used. Ask anew."
    settle(approval, State.EXPIRED, reason=reason, now=now)
    data = {"from": before, "digest": approval.digest}
    _enter("approval.expired", approval, actor=SWEEP, reason=reason, data=data)
    return True


def standing(subject: str, subject_id: int, digest: str) -> ApprovalRequest | None:
    """Return the yes that stands for exactly this digest at this moment, or ``None``: then nothing may be sent."""
    return ApprovalRequest.objects.filter(
        subject=subject, subject_id=subject_id, digest=digest, state=State.APPROVED, expires_at__gt=db_now()
    ).first()


def delegate(
    approval: ApprovalRequest, *, by: User, to: User, reason: str = "", digest: str = "", if_version: int | None = None
) -> Delegation:
    """Lend ``by``'s voice in this one request to ``to``, who then decides on their behalf, until it runs out.

    Only a voice of one's own can be lent, and only to somebody who sees the request, works here (not merely looks
    on), has not spoken and has no part in it. ``digest``, where given, is what ``by`` saw. Raises a ``CannotDecide``
    (entered in the ledger before it leaves) or ``Invalid``.
    """
    said = _keepable(reason)
    try:
        with transaction.atomic():
            return _delegate(_locked(approval.pk, if_version), _fresh(by), to, said, digest)
    except CannotDecide as refusal:
        enter_refusal(approval, by, "refused.delegate", refusal)
        raise


def _delegate(approval: ApprovalRequest, giver: User, taker: User, reason: str, digest: str) -> Delegation:
    now = db_now()
    may_look_and_decide(approval, giver, now=now)
    if digest and digest != approval.digest:
        raise StaleDigest("This has changed since you looked at it. Look again, then decide.")
    seat = may_give(approval, giver, rejecting=True)
    if seat is None:
        raise RoleMissing("Only a voice of your own can be lent, and this does not ask for yours.")
    may_take(approval, giver, taker)
    times = {"starts_at": now, "ends_at": approval.expires_at}
    delegation = Delegation.objects.create(giver=giver, taker=taker, request=approval, reason=reason, **times)
    given = {"to": taker.get_username(), "role": seat.role, "digest": approval.digest, "until": approval.expires_at}
    _enter("approval.delegated", approval, actor=giver.get_username(), reason=reason, data=given)
    return delegation


def enter_refusal(approval: ApprovalRequest, by: User, verb: str, refusal: Refusal) -> None:
    """Enter that ``by`` was refused, in a transaction of its own: the refused one is rolled back."""
    with transaction.atomic():
        _enter(verb, approval, actor=by.get_username(), reason=str(refusal), data={"code": refusal.code})


def _enter(verb: str, approval: ApprovalRequest, *, actor: str, reason: str, data: dict[str, Any]) -> None:
    record(
        verb,
        actor=actor,
        target=approval,
        incident=approval.incident_id,
        business_unit=approval.business_unit,
        region=approval.region,
        reason=reason,
        data={"subject": f"{approval.subject} {approval.subject_id}", **data},
    )
