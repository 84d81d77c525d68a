"""Which seat a person may take at a request: the one place that knows who must not decide, and why not."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Count, Q

from approvals.models import ApprovalRequest, Delegation
from approvals.states import State
from audit.access import ScopedQuerySet, roles_of
from audit.errors import Invalid, Refusal
from audit.roles import ROLES

LOOKING = frozenset(name for name, role in ROLES.items() if "approvals" in role.rights)
# Whoever only looks on, audits or is a program cannot be lent a voice.
WORKING = frozenset({"operator", "approver", "compliance", "automation_admin"})


class CannotDecide(Refusal):
    """This decision was not taken, for the reason given."""

    code = "cannot_decide"


class NotThere(CannotDecide):
    """For this person the request does not exist."""

    status = 404
    code = "not_found"


class Settled(CannotDecide):
    """It was approved, rejected, withdrawn or ran out before."""

    code = "settled"


class OwnRequest(CannotDecide):
    """Four eyes: nobody decides what they asked for, edited or own the policy of."""

    status = 403
    code = "own_request"


class StaleDigest(CannotDecide):
    """The person saw something else than what stands to be decided."""

    code = "stale_digest"


class AlreadyDecided(CannotDecide):
    """One person, one voice."""

    code = "already_decided"


class RoleMissing(CannotDecide):
    """Nobody asked this person."""

    status = 403
    code = "role_missing"


@dataclass(frozen=True)
class Seat:
    """The requirement that a person's voice counts towards, and whose voice it is when it is lent."""

    rule: str
    role: str
    on_behalf_of: User | None = None


def seat_for(approval: ApprovalRequest, person: User, *, now: datetime, rejecting: bool = False) -> Seat:
    """Return the seat that ``person`` may take, or raise the ``CannotDecide`` that says why there is none.

    A no may come from anyone whose role was asked, a yes only where a yes is still missing. One's own role
    comes before a lent one. ``now`` is the database's time.
    """
    may_look_and_decide(approval, person, now=now)
    wanted = approval.requirements if rejecting else open_requirements(approval)
    seat = _own_seat(wanted, person) or _lent_seat(approval, person, now=now, rejecting=rejecting)
    if seat is None:
        raise RoleMissing(_what_is_missing(approval, person))
    return seat


def may_look_and_decide(approval: ApprovalRequest, person: User, *, now: datetime) -> None:
    """Raise unless ``person`` sees the request, it is open, and neither their own nor decided by them already."""
    if not sees(approval, person):
        raise NotThere("There is no such approval.")
    if approval.state != State.PENDING:
        raise Settled(f"This was {State(approval.state).label.lower()} already; there is nothing left to decide.")
    if approval.expires_at <= now:
        raise Settled("This has run out; ask again if it is still wanted.")
    if is_barred(approval, person):
        raise OwnRequest(
            "Someone else has to decide this: you asked for it, edited it or own a policy that speaks about it."
        )
    if has_spoken(approval, person):
        raise AlreadyDecided("You have decided this already, or somebody did on your behalf.")


def sees(approval: ApprovalRequest, person: User) -> bool:
    """Tell whether the request is among the rows that ``person`` may see."""
    return visible_to(person).filter(pk=approval.pk).exists()


def visible_to(person: User | AnonymousUser) -> ScopedQuerySet[ApprovalRequest]:
    """Return the requests that ``person`` may see: those of their units, where a role of theirs looks at any."""
    if not roles_of(person) & LOOKING:
        return ApprovalRequest.objects.none()
    return ApprovalRequest.objects.visible_to(person)


def is_barred(approval: ApprovalRequest, person: User) -> bool:
    """Tell whether ``person``, under their own name or that of one of their tokens, must not decide."""
    return not names_of(person).isdisjoint({*approval.excluded, approval.requested_by})


def names_of(person: User) -> frozenset[str]:
    """Return every name under which ``person`` acts: the username, and a name for each token ever issued."""
    tokens: Iterable[str] = person.api_tokens.values_list("name", flat=True)
    return frozenset({person.get_username(), *(f"token:{name}" for name in tokens)})


def has_spoken(approval: ApprovalRequest, person: User) -> bool:
    """Tell whether ``person`` has decided, or somebody has on their behalf."""
    return approval.decisions.filter(Q(person=person) | Q(on_behalf_of=person)).exists()


def open_requirements(approval: ApprovalRequest) -> list[dict[str, Any]]:
    """Return the requirements that still lack a yes; each decision counts towards the one it was given for."""
    given = approval.decisions.filter(verdict="approve").values_list("rule", "role").annotate(n=Count("id"))
    counts = {(rule, role): number for rule, role, number in given}
    return [one for one in approval.requirements if counts.get((one["rule"], one["role"]), 0) < one["quorum"]]


def delegations_to(person: User, *, now: datetime) -> list[Delegation]:
    """Return the delegations that ``person`` holds at this moment, oldest first, of givers who are still active."""
    held = Delegation.objects.filter(taker=person, starts_at__lte=now, ends_at__gt=now, giver__is_active=True)
    return list(held.select_related("giver").order_by("id"))


def may_give(approval: ApprovalRequest, giver: User, *, rejecting: bool = False) -> Seat | None:
    """Return the seat that ``giver`` could take in their own right; only that can be lent, never a lent one."""
    if is_barred(approval, giver) or has_spoken(approval, giver) or not sees(approval, giver):
        return None
    return _own_seat(approval.requirements if rejecting else open_requirements(approval), giver)


def may_take(approval: ApprovalRequest, giver: User, taker: User) -> None:
    """Raise unless ``taker`` may speak for ``giver`` in this request."""
    if taker.pk == giver.pk:
        raise Invalid("A voice is lent to somebody else.", {"to": ["Name somebody else."]})
    if not (roles_of(taker) & WORKING) or not sees(approval, taker):
        # One answer for all three, or the form would tell who works for which unit.
        raise Invalid("There is nobody of that name who could decide this.", {"to": ["Name somebody who sees this."]})
    if is_barred(approval, taker):
        raise OwnRequest("They have a part in it: they asked for it, edited it or own a policy that speaks about it.")
    if has_spoken(approval, taker):
        raise AlreadyDecided("They have decided this themselves already.")


def _own_seat(wanted: list[dict[str, Any]], person: User) -> Seat | None:
    mine = [one for one in wanted if one["role"] in roles_of(person)]
    if not mine:
        return None
    # The rarest role first: whoever holds two must not use up the seat that many could take.
    rarest = min(mine, key=lambda one: (holders(one["role"]), one["rule"])) if len(mine) > 1 else mine[0]
    return Seat(rarest["rule"], rarest["role"])


def _lent_seat(approval: ApprovalRequest, person: User, *, now: datetime, rejecting: bool) -> Seat | None:
    for delegation in delegations_to(person, now=now):
        if delegation.request_id not in (None, approval.pk):
            continue
        seat = may_give(approval, delegation.giver, rejecting=rejecting)
        if seat is not None:
            return replace(seat, on_behalf_of=delegation.giver)
    return None


def holders(role: str) -> int:
    """Count the active people in ``role``."""
    return User.objects.filter(groups__name=role, is_active=True).count()


def _what_is_missing(approval: ApprovalRequest, person: User) -> str:
    missing = ", ".join(sorted({one["role"] for one in open_requirements(approval)}))
    if roles_of(person) & {one["role"] for one in approval.requirements}:
        return f"Your role has given its yes; what is still missing is: {missing}."
    return f"This asks for the role {missing}, which you do not hold and nobody has lent you."
