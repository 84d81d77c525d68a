"""Who may be told what: a subscription sees with the eyes of its user, and with nobody's eyes it sees nothing."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Q

from approvals import access as approvals
from approvals import seats
from approvals.models import ApprovalRequest
from approvals.states import State
from audit.access import may_look
from audit.clock import db_now
from audit.models import Entry
from incidents.models import Incident
from incidents.states import SEVERITY_ORDER, Severity
from playbooks.telling.models import Subscription
from playbooks.telling.states import Event

MOST_RECIPIENTS = 50
_REQUEST = ApprovalRequest._meta.label_lower
# Which family of rows a person must be allowed to look at, by what an event is about.
_FAMILIES = {"approval": "approvals", "execution": "plans", "dead_letter": "plans"}


def request_of(entry: Entry) -> int | None:
    """Return the number of the request for approval that an entry is about; ``None``: it is about none."""
    return int(entry.target_id) if entry.target_type == _REQUEST and entry.target_id.isdecimal() else None


@dataclass(frozen=True)
class Sight:
    """Which of some incidents and requests for approval one user may see. Asked for once, however many rows."""

    user: User | None
    incidents: frozenset[int] = frozenset()
    approvals: frozenset[int] = frozenset()

    def covers(self, event: Event, incident: int, approval: int | None) -> bool:
        """Tell whether the user may see what happened."""
        if self.user is None or incident not in self.incidents:
            return False
        if event.subject == "approval":
            return approval in self.approvals
        family = _FAMILIES.get(event.subject)
        return family is None or may_look(self.user, family)


def sight_of(user: User | None, incidents: Iterable[int], requests: Iterable[int]) -> Sight:
    """Look with the eyes of ``user`` at these incidents and requests; nobody, and who left, sees none."""
    if user is None or not user.is_active:
        return Sight(None)
    seen = Incident.objects.visible_to(user).filter(pk__in=list(incidents)).values_list("pk", flat=True)
    wanted = list(requests)
    asked = seats.visible_to(user).filter(pk__in=wanted).values_list("pk", flat=True) if wanted else []
    return Sight(user, frozenset(seen), frozenset(asked))


def wants(subscription: Subscription, incident: Incident) -> bool:
    """Tell whether an incident is within what a subscription was narrowed to."""
    floor = SEVERITY_ORDER[Severity(subscription.min_severity)] if subscription.min_severity else None
    if floor is not None and incident.severity_rank > floor:
        return False
    narrowed = (
        (subscription.domains, incident.domain),
        (subscription.business_units, incident.business_unit),
        (subscription.regions, incident.region),
    )
    return all(not allowed or value in allowed for allowed, value in narrowed)


def recipients_of(subscription: Subscription, event: Event, approval: ApprovalRequest | None) -> tuple[str, ...]:
    """Return the mail addresses that a message goes to: the named ones, and those of whoever may decide a request."""
    found = list(dict.fromkeys(subscription.recipients))
    if subscription.ask_approvers and event is Event.ASKED and approval is not None:
        found += [address for address in _deciders(approval) if address not in found]
    return tuple(found[:MOST_RECIPIENTS])


def _deciders(approval: ApprovalRequest) -> list[str]:
    """Return the addresses of the people who may decide a request now, whoever was lent a voice among them."""
    if approval.state != State.PENDING:
        return []
    roles, now = [one["role"] for one in approval.requirements], db_now()
    lent = Q(delegations_taken__starts_at__lte=now, delegations_taken__ends_at__gt=now)
    asked = User.objects.filter(Q(groups__name__in=roles) | lent, is_active=True).exclude(email="")
    people = asked.order_by("pk").distinct()
    return [person.email for person in people if not approvals.why_not(approval, person)]
