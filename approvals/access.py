"""What waits for a person: the requests that they may decide now, found by the database."""

from collections.abc import Iterable
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
    names = names_of(user)
    voices, held = _voice_of(user, names, now), delegations_to(user, now=now)
    for delegation in held:
        lent = _voice_of(delegation.giver, names_of(delegation.giver), now)
        if delegation.request_id is not None:
            lent = lent.filter(pk=delegation.request_id)
        # Joined into one condition on one table: a list of numbers to be `in` would first be made of all that wait.
        voices = voices | lent
    # A lent voice is bound by what its taker sees, asked for and decided; their own is so already.
    return _unspoken((visible_to(user) & voices).exclude(_barred(names)), user) if held else voices


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


def _voice_of(user: User, names: Iterable[str], now: datetime) -> QuerySet[ApprovalRequest]:
    """Return what ``user``, who acts under ``names``, could decide in their own right."""
    asked = Q(pk__in=[])
    for role in roles_of(user):
        asked |= Q(open_roles__contains=f"\n{role}\n")
    open_now = visible_to(user).filter(asked, state=State.PENDING, expires_at__gt=now)
    return _unspoken(open_now.exclude(_barred(names)), user)


def _barred(names: Iterable[str]) -> Q:
    barred = Q(pk__in=[])
    for name in names:
        barred |= Q(barred__contains=f"\n{name}\n")
    return barred


def _unspoken(requests: QuerySet[ApprovalRequest], user: User) -> QuerySet[ApprovalRequest]:
    spoke = Decision.objects.filter(Q(person=user) | Q(on_behalf_of=user), request=OuterRef("pk"))
    return requests.exclude(Exists(spoke))
