"""What waits for a person: the requests that they may decide now, found by the database."""

from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db.models import Exists, OuterRef, Q
from django.db.models.query import QuerySet

from approvals.models import ApprovalRequest, Decision
from approvals.seats import CannotDecide, NotThere, delegations_to, names_of, seat_for, visible_to
from approvals.states import State
from audit.access import roles_of
from audit.clock import db_now
from audit.errors import Invalid


def pending_for(user: User | AnonymousUser) -> QuerySet[ApprovalRequest]:
    """Return the pending requests that ``user`` may decide, in their own right or for somebody who lent them a voice.

    It leaves out what they asked for or have a part in, what they or somebody for them decided, and what ran out.
    """
    if not isinstance(user, User) or not user.is_active:
        return ApprovalRequest.objects.none()
    now = db_now()
    voices = _voice_of(user, now)
    for delegation in delegations_to(user, now=now):
        lent = _voice_of(delegation.giver, now)
        if delegation.request_id is not None:
            lent = lent.filter(pk=delegation.request_id)
        voices = voices | ApprovalRequest.objects.filter(pk__in=lent.values("pk"))
    mine = visible_to(user).filter(pk__in=voices.values("pk"))
    return _unspoken(mine.exclude(_barred(user)), user)


def person_of(user: AbstractBaseUser | AnonymousUser) -> User:
    """Return the signed-in person. Raises ``NotThere`` for nobody, should a page have forgotten to ask who it is."""
    if not isinstance(user, User):
        raise NotThere("There is no such approval.")
    return user


def taker_named(username: str) -> User:
    """Return the active person of that name. Raises ``Invalid`` in the words that an onlooker's name gets too."""
    found = User.objects.filter(username=username, is_active=True).first() if "\0" not in username else None
    if found is None:
        raise Invalid("There is nobody of that name who could decide this.", {"to": ["Name somebody who sees this."]})
    return found


def pending_count(user: User | AnonymousUser) -> int:
    """Count what waits for ``user``."""
    return pending_for(user).count()


def why_not(approval: ApprovalRequest, user: User) -> str:
    """Say why ``user`` cannot decide ``approval``; an empty text means that they can."""
    try:
        seat_for(approval, user, now=db_now())
    except CannotDecide as refusal:
        return str(refusal)
    return ""


def _voice_of(user: User, now: datetime) -> QuerySet[ApprovalRequest]:
    """Return what ``user`` could decide in their own right."""
    asked = Q(pk__in=[])
    for role in roles_of(user):
        asked |= Q(open_roles__contains=f"\n{role}\n")
    open_now = visible_to(user).filter(asked, state=State.PENDING, expires_at__gt=now)
    return _unspoken(open_now.exclude(_barred(user)), user)


def _barred(user: User) -> Q:
    barred = Q(pk__in=[])
    for name in names_of(user):
        barred |= Q(barred__contains=f"\n{name}\n")
    return barred


def _unspoken(requests: QuerySet[ApprovalRequest], user: User) -> QuerySet[ApprovalRequest]:
    spoke = Decision.objects.filter(Q(person=user) | Q(on_behalf_of=user), request=OuterRef("pk"))
    return requests.exclude(Exists(spoke))
