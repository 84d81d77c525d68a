"""The first ninety days as a list that nobody ticks: each item is computed from rows and links to what proves it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, QuerySet
from django.urls import reverse

from approvals.models import ApprovalRequest
from audit.access import has_role
from audit.models import Entry, Scope
from connectors.models import Call, Connection
from incidents.judgements import Decision
from incidents.models import ExceptionKind, Incident, RootCause
from insights.kpis.models import Assumption
from insights.models import EventLog
from insights.states import LogState
from playbooks import access
from playbooks.models import DeadLetter, Execution, Playbook, PlaybookVersion, Policy, PolicyVersion
from playbooks.states import ExecutionState

AUDITORS = ("operator", "compliance", "auditor")


@dataclass(frozen=True)
class Proof:
    """Whether something is so: the figures in words, and where they can be seen."""

    done: bool
    text: str
    url: str


@dataclass(frozen=True)
class Item:
    """One thing to reach: what, how one gets there, and the proof as it stands."""

    name: str
    how: str
    proof: Proof


@dataclass(frozen=True)
class Stage:
    """Thirty days of the rollout."""

    title: str
    items: tuple[Item, ...]

    @property
    def done(self) -> int:
        """How many items are reached."""
        return sum(one.proof.done for one in self.items)


Prove = Callable[[User], Proof]


def checklist(user: User) -> list[Stage]:
    """Return the three stages as rows show them now; incidents count as far as ``user`` may see them."""
    return [Stage(title, tuple(Item(name, how, prove(user)) for name, how, prove in items)) for title, items in _STAGES]


def _counted(n: int, one: str, url: str, *, need: int = 1, many: str = "") -> Proof:
    return Proof(n >= need, f"{n:,} {one if n == 1 else many or f'{one}s'}", url)


def _page(name: str, query: str = "") -> str:
    return f"{reverse(name)}{f'?{query}' if query else ''}"


def _newest(rows: "QuerySet[Any]", fallback: str, *, number: str = "incident_id") -> str:
    """Return the page of the incident that the newest of ``rows`` is about, ``fallback`` where there is none."""
    found = rows.order_by("-id").values_list(number, flat=True).first()
    return fallback if found is None else reverse("incident", args=[found])


# --- The first thirty days -----------------------------------------------------------------------


def _mapped(user: User) -> Proof:
    logs = EventLog.objects.visible_to(user).filter(state=LogState.READY)
    first = logs.first()
    return _counted(
        logs.count(), "process mapped", first.get_absolute_url() if first else "/insights/", many="processes mapped"
    )


def _modelled(user: User) -> Proof:
    kinds = ExceptionKind.objects.filter(enabled=True).count()
    incidents = Incident.objects.visible_to(user).exclude(kind=None).exists()
    text = f"{kinds} exception kinds, {'with' if incidents else 'no'} incidents"
    return Proof(bool(kinds) and incidents, text, _page("incidents", "show=all"))


def _triaged(user: User) -> Proof:
    mine = Incident.objects.visible_to(user).values("pk")
    n = Decision.objects.filter(subject="severity", incident__in=mine).exclude(basis="").count()
    return _counted(n, "incident sized up by rules", _page("incidents", "show=all"), many="incidents sized up by rules")


def _connected(user: User) -> Proof:
    used = Call.objects.filter(outcome="ok", connection__enabled=True).exclude(direction="model")
    named = Connection.objects.filter(enabled=True, pk__in=used.values("connection"))
    return _counted(named.count(), "system that answers", _page("connections"), many="systems that answer")


def _approved(user: User) -> Proof:
    yes = ApprovalRequest.objects.filter(subject="plan", state="approved").values("subject_id")
    runs = access.executions(user).filter(state=ExecutionState.VERIFIED, direction="forward", plan__in=yes)
    url = _newest(runs, _page("approvals"))
    return _counted(runs.count(), "approved and verified mend", url)


# --- Until the sixtieth day ----------------------------------------------------------------------


def _explained(user: User) -> Proof:
    causes = RootCause.objects.filter(incident__in=Incident.objects.visible_to(user).values("pk")).exclude(cause="")
    url = _newest(causes, _page("incidents"))
    return _counted(causes.count(), "root cause with evidence", url, many="root causes with evidence")


def _called(user: User) -> Proof:
    mine = Incident.objects.visible_to(user).values("pk")
    calls = Call.objects.filter(direction="model", outcome="ok", incident_id__in=mine)
    url = _newest(calls, _page("connections"))
    return _counted(calls.count(), "answer of a model", url, many="answers of a model")


def _three_playbooks(user: User) -> Proof:
    proved = access.executions(user).filter(state=ExecutionState.VERIFIED, direction="forward")
    slugs = proved.values("plan__playbook_version__playbook").distinct()
    n = Playbook.objects.filter(enabled=True, versions__active=True, pk__in=slugs).count()
    return _counted(
        n, "playbook with a verified mend", _page("playbooks"), need=3, many="playbooks with a verified mend"
    )


def _controlled(user: User) -> Proof:
    checks = Entry.objects.filter(verb="guardrail.checked")
    url = _page("audit", "verb=guardrail.checked") if has_role(user, *AUDITORS) else _page("playbooks")
    return _counted(
        checks.count(),
        "change stopped or corrected before it was made",
        url,
        many="changes stopped or corrected before they were made",
    )


def _measured(user: User) -> Proof:
    n = Incident.objects.visible_to(user).filter(status="resolved", merged_into=None).count()
    return _counted(
        n, "verified mend behind the figures", _page("insights"), need=20, many="verified mends behind the figures"
    )


def _reviewed(user: User) -> Proof:
    rites = Entry.objects.filter(verb__in=("ledger.exported", "ledger.verified"))
    url = _page("audit") if has_role(user, *AUDITORS) else _page("insights_checklist")
    return _counted(rites.count(), "review of the ledger", url, many="reviews of the ledger")


# --- Until the ninetieth day ---------------------------------------------------------------------


def _second_system(user: User) -> Proof:
    used = Call.objects.filter(outcome="ok").exclude(direction="model").values("connection")
    kinds = Connection.objects.filter(enabled=True, pk__in=used).values("kind").distinct().count()
    return _counted(
        kinds, "kind of system that answers", _page("connections"), need=2, many="kinds of system that answer"
    )


def _across(user: User) -> Proof:
    several = Incident.objects.visible_to(user).filter(signals_count__gte=2)
    rows = several.annotate(channels=Count("signals__source", distinct=True)).filter(channels__gte=2)
    url = _newest(rows, _page("incidents", "show=all"), number="id")
    return _counted(rows.count(), "incident told by several senders", url, many="incidents told by several senders")


def _letters(user: User) -> Proof:
    letters = access.dead_letters(user).exclude(state=DeadLetter.State.WAITING)
    return _counted(letters.count(), "dead letter dealt with", _page("dead-letters"), many="dead letters dealt with")


def _undone(user: User) -> Proof:
    runs = access.executions(user).filter(direction=Execution.Direction.BACKWARD, state=ExecutionState.VERIFIED)
    url = _newest(runs, _page("incidents"))
    return _counted(runs.count(), "verified rollback", url)


def _as_code(user: User) -> Proof:
    active = PolicyVersion.objects.filter(active=True, policy__enabled=True).count()
    return _counted(
        active, "versioned policy in force", f"{_page('playbooks')}#policies", many="versioned policies in force"
    )


def _narrow_access(user: User) -> Proof:
    bound = sum(1 for scope in Scope.objects.all() if "*" not in scope.business_units)
    return _counted(bound, "person bound to units", reverse("admin:auth_user_changelist"), many="people bound to units")


def _priced(user: User) -> Proof:
    n = Assumption.objects.filter(name__in=("token_price", "calls_per_day")).count()
    return _counted(
        n, "price or quota stated", reverse("admin:insights_assumption_changelist"), many="prices and quotas stated"
    )


def _owned(user: User) -> Proof:
    active = PlaybookVersion.objects.filter(active=True, playbook__enabled=True)
    orphans = active.filter(playbook__owner=None).count() + Policy.objects.filter(enabled=True, owner=None).count()
    text = f"{orphans} playbooks and policies without an owner"
    return Proof(active.exists() and not orphans, text, _page("playbooks"))


_STAGES: tuple[tuple[str, tuple[tuple[str, str, Prove], ...]], ...] = (
    (
        "Days 0 to 30: one slice that works",
        (
            ("One process is mapped", "Import an event log and look at its map.", _mapped),
            ("Exceptions have a model", "Install a pack; its kinds turn signals into incidents.", _modelled),
            ("Triage runs", "Rules of the kind give each incident its severity and queue.", _triaged),
            ("One source answers", "Connect one system with the fewest rights that do.", _connected),
            ("One playbook behind approval", "Approve a mend and see it read back from the source.", _approved),
        ),
    ),
    (
        "Days 31 to 60: causes, controls, figures",
        (
            ("Root causes rest on evidence", "Kinds declare hypotheses; records carry or refute them.", _explained),
            ("A model helps by function calls", "Connect a model; it picks among what code selected.", _called),
            ("Three playbooks are proved", "Two more playbooks with a verified mend each.", _three_playbooks),
            ("One control before the commit", "Have a system ask POST guardrails/check/ before it posts.", _controlled),
            ("Figures are worth reading", "Twenty verified mends give the page something to say.", _measured),
            ("The ledger is reviewed", "Take an auditor's export, or review a sample.", _reviewed),
        ),
    ),
    (
        "Days 61 to 90: breadth with guards",
        (
            ("A second ERP or CRM", "Connect another kind of system.", _second_system),
            ("One incident across channels", "Signals of several senders fold into one incident.", _across),
            ("Dead letters are worked off", "Replay or resolve what could not go on.", _letters),
            ("A rollback is proved", "Take a mend back and see the old state read back.", _undone),
            ("Policies are code", "Apply policies from files; each change is a version.", _as_code),
            ("Access is narrow", "Bind people to their units.", _narrow_access),
            ("Cost is bounded", "State token prices and the calls a day that are allowed.", _priced),
            ("Everything has an owner", "Name an owner for each playbook and policy.", _owned),
        ),
    ),
)
