"""What needs one person now, most urgent first: found by the database, bounded, and only what they may see."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet

from approvals.access import pending_for
from audit.access import has_role, roles_of
from incidents.models import Escalation, Incident, SlaClock
from incidents.states import CLOSED, SEVERITY_ORDER, Severity, Status
from playbooks.console.seam import progress
from playbooks.holdout_models import HoldOutDraw
from playbooks.models import DeadLetter, Execution, Verification
from playbooks.states import ExecutionState

LIMIT = 50
# What a line shows; an incident has three times as many columns, and a page reads a few hundred incidents.
COLUMNS = (
    *("title", "status", "status_reason", "severity", "severity_rank", "revenue_at_risk", "currency"),
    *("assignee", "last_signal_at", "sla__resolve_due"),
)
MOVING = 500  # of the incidents under way anywhere, that the list of what mends itself is taken from
_FAR = datetime.max.replace(tzinfo=UTC)
WORKING = ("operator", "automation_admin")


@dataclass(frozen=True)
class Need:
    """One thing that waits for a person: why, what, how urgent, and the one action that it asks for."""

    status: str  # a word that the page knows how to draw
    why: str
    title: str
    url: str
    action: str
    incident_id: int
    note: str = ""
    severity: str = ""
    amount: Decimal | None = None
    currency: str = ""
    due: datetime | None = None
    mine: bool = False

    @property
    def urgency(self) -> tuple[int, int, datetime, int]:
        """What sorts needs: the severer first, then what is assigned to me, then what is due first."""
        rank = SEVERITY_ORDER.get(Severity(self.severity), 9) if self.severity else 9
        return (rank, 0 if self.mine else 1, self.due or _FAR, self.incident_id)


class Word(NamedTuple):
    """How a need is put: the state that draws it, why, what about it, and what to do."""

    status: str
    why: str
    note: str
    action: str


@dataclass(frozen=True)
class Mending:
    """One incident that the loop is at work on, without needing anybody who looks at this page."""

    incident: Incident
    status: str
    label: str
    since: datetime


def needs_of(user: User) -> list[Need]:
    """Return what waits for ``user``, one line an incident: the ``LIMIT`` most urgent of the first of each sort.

    One more than ``LIMIT`` says that there are more. About ten queries.
    """
    found: dict[int, Need] = {}
    for need in _all(user, Incident.objects.visible_to(user)):
        # The first word about an incident is the most telling one.
        found.setdefault(need.incident_id, need)
    return sorted(found.values(), key=lambda need: need.urgency)[: LIMIT + 1]


def count_of(user: User, asked: Iterable[int]) -> int:
    """Count what waits for ``user`` for the bar, a little above ``LIMIT`` at most.

    ``asked``: the incidents whose approval they are asked for.
    """
    waiting = set(asked)
    if has_role(user, *WORKING):
        waiting |= {incident.pk for incident in _stuck(user, Incident.objects.visible_to(user))}
    return len(waiting)


def _all(user: User, visible: "QuerySet[Incident]") -> Iterator[Need]:
    yield from _approvals(user)
    if has_role(user, *WORKING):
        yield from _needing_a_person(user, visible)
    yield from _escalated(user, visible)
    if has_role(user, *WORKING):
        yield from _nearly_late(user, visible)


def _approvals(user: User) -> Iterator[Need]:
    columns = ("subject", "incident_id", "title", "asked_because", "amount", "currency", "expires_at")
    asked = list(pending_for(user).order_by("expires_at", "id").only(*columns)[: LIMIT + 1])
    incidents = Incident.objects.only("severity").in_bulk({one.incident_id for one in asked})
    for one in asked:
        incident = incidents.get(one.incident_id)
        undo = one.subject == "rollback"
        yield Need(
            status="awaiting_approval",
            why="Approve the undo" if undo else "Approve",
            title=one.title,
            note=one.asked_because,
            url=one.get_absolute_url(),
            action="Review",
            incident_id=one.incident_id,
            severity=incident.severity if incident else "",
            amount=one.amount,
            currency=one.currency,
            due=one.expires_at,
        )


def _stuck(user: User, visible: "QuerySet[Incident]") -> list[Incident]:
    """Return what cannot go on, most urgent first: found by number, each sort by its own index, and then read."""
    letters = DeadLetter.objects.filter(state=DeadLetter.State.WAITING).order_by("id")
    resting = visible.filter(status=Status.NEEDS_OPERATOR).order_by("severity_rank", "-id")
    ids = {
        *letters.values_list("incident_id", flat=True)[: 4 * LIMIT],
        # Apart, and without their clocks: asked together, all that rest are sorted before the first is shown.
        *resting.filter(assignee=user).values_list("pk", flat=True)[: LIMIT + 1],
        *resting.filter(assignee__isnull=True).values_list("pk", flat=True)[: LIMIT + 1],
    }
    mine = visible.filter(Q(assignee=user) | Q(assignee__isnull=True), pk__in=ids).select_related("sla")
    held_out = HoldOutDraw.objects.filter(incident=OuterRef("pk"), held_out=True, left_at=None)
    mine = mine.annotate(held_out=Exists(held_out))
    return list(mine.only(*COLUMNS).order_by("severity_rank", "-id")[: LIMIT + 1])


def _needing_a_person(user: User, visible: "QuerySet[Incident]") -> Iterator[Need]:
    incidents = _stuck(user, visible)
    letters: dict[int, DeadLetter] = {}
    waiting = DeadLetter.objects.filter(
        incident__in=[incident.pk for incident in incidents], state=DeadLetter.State.WAITING
    )
    waiting = waiting.only("incident_id", "error", "guidance")
    differs = Verification.objects.filter(step_run=OuterRef("step_run"), matched=False)
    for letter in waiting.annotate(differs=Exists(differs)).order_by("id"):
        letters.setdefault(letter.incident_id, letter)
    for incident in incidents:
        yield _of_incident(incident, user, _word_for(incident, letters.get(incident.pk)))


def _word_for(incident: Incident, letter: DeadLetter | None) -> Word:
    if letter is None:
        why = "Held out" if getattr(incident, "held_out", False) else "Needs a person"
        return Word("needs_operator", why, incident.status_reason, "Look")
    if getattr(letter, "differs", False):
        return Word("mismatch", "Read-back differs", letter.error, "Compare")
    return Word("failed", "Dead letter", letter.guidance or letter.error, "Fix")


def _of_incident(incident: Incident, user: User, word: Word) -> Need:
    clock = getattr(incident, "sla", None)
    return Need(
        status=word.status,
        why=word.why,
        title=incident.title,
        note=word.note,
        url=incident.get_absolute_url(),
        action=word.action,
        incident_id=incident.pk,
        severity=incident.severity,
        amount=incident.revenue_at_risk,
        currency=incident.currency,
        due=clock.resolve_due if clock else None,
        mine=incident.assignee_id == user.pk,
    )


def _escalated(user: User, visible: "QuerySet[Incident]") -> Iterator[Need]:
    told = Escalation.objects.filter(role__in=roles_of(user), acknowledged_at__isnull=True)
    told = told.filter(_seen(visible)).exclude(incident__status__in=CLOSED)
    told = told.select_related("incident__sla").only("justification", *(f"incident__{name}" for name in COLUMNS))
    for one in told.order_by("-created_at")[: LIMIT + 1]:
        yield _of_incident(one.incident, user, Word("expired", "Escalated to you", one.justification, "Look"))


def _nearly_late(user: User, visible: "QuerySet[Incident]") -> Iterator[Need]:
    clocks = SlaClock.objects.filter(warned_at__isnull=False, stopped_at__isnull=True, paused_at__isnull=True)
    clocks = clocks.filter(_seen(visible)).exclude(incident__status__in=CLOSED)
    shown = (f"incident__{name}" for name in COLUMNS if not name.startswith("sla"))
    clocks = clocks.select_related("incident").only("resolve_due", "breached_at", *shown)
    for clock in clocks.order_by("resolve_due")[: LIMIT + 1]:
        why = "Late" if clock.breached_at else "Nearly late"
        incident = clock.incident
        incident.sla = clock
        note = incident.status_reason or incident.get_status_display()
        yield _of_incident(incident, user, Word("expired", why, note, "Look"))


def _seen(visible: "QuerySet[Incident]") -> Exists:
    """Return the condition that a row's incident is among ``visible``, asked through its primary key."""
    return Exists(visible.filter(pk=OuterRef("incident")))


def mending_now(user: User, *, besides: Iterable[Need] = (), limit: int = 12) -> list[Mending]:
    """Return what goes on without ``user``, latest first; ``besides`` are the needs that are shown above it."""
    visible, above = Incident.objects.visible_to(user), {need.incident_id for need in besides}
    incidents: list[Incident] = []
    # What waits for others comes last: nothing happens there until they decide.
    for statuses in ((Status.EXECUTING, Status.VERIFYING, Status.ROLLING_BACK), (Status.AWAITING_APPROVAL,)):
        # The status alone, so that its index serves; the few that are under way are then held against what is visible.
        moving = Incident.objects.filter(status__in=statuses).order_by("-id").values_list("pk", flat=True)
        ids = [pk for pk in moving[:MOVING] if pk not in above]
        room = limit - len(incidents)
        shown = visible.filter(pk__in=ids).only("title", "status", "last_signal_at")
        incidents += shown.order_by("-id")[:room] if ids and room else []
    live = Execution.objects.filter(incident__in=incidents, state=ExecutionState.RUNNING)
    runs = {run.incident_id: run for run in live.prefetch_related("step_runs")}
    return [_mending(incident, runs.get(incident.pk)) for incident in incidents]


def _mending(incident: Incident, run: Execution | None) -> Mending:
    label = ""
    if run is not None and incident.status != Status.VERIFYING:
        label = f"{'undo, ' if run.undoes_id else ''}{progress(run)}"
    return Mending(incident, incident.status, label, run.created_at if run else incident.last_signal_at)
