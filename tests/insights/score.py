"""A small history of incidents with mends, clocks and calls, as rows: what the measures are computed from."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from audit.actions import record
from connectors.models import Call, Connection
from incidents.models import Calendar, ExceptionKind, Incident, SlaClock, SlaPolicy
from incidents.states import Status
from playbooks.models import Attempt, Execution, Plan, Playbook, PlaybookVersion, Step, StepRun, Verification
from playbooks.states import ExecutionState, PlanState, StepState

MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC)


def at(days: float = 0, minutes: float = 0) -> datetime:
    """That long after the first Monday of March 2026, eight o'clock."""
    return MONDAY + timedelta(days=days, minutes=minutes)


def kind_of(code: str) -> ExceptionKind:
    """An exception kind of that code, made once; it declares its process and the four costs."""
    costs = {"sla_penalty": 50.0, "write_off_share": 0.1, "regulatory": 20.0, "rework_minutes": 30.0}
    values = {
        "label": code.replace("_", " ").capitalize(),
        "domain": "billing",
        "entity_type": "invoice",
        "definition": {"title": "Invoice {incident.entity_key}", "process": "order-to-cash", "costs": costs},
    }
    return ExceptionKind.objects.get_or_create(code=code, defaults=values)[0]


def make_incident(status: Status = Status.RESOLVED, *, code: str = "duplicate_invoice", **changes: Any) -> Incident:
    """An incident opened on ``MONDAY`` and, unless it is open, closed an hour later."""
    number = Incident.objects.count() + 1
    over = status in (Status.RESOLVED, Status.ROLLED_BACK, Status.DISMISSED)
    opened = changes.pop("opened_at", MONDAY)
    values: dict[str, Any] = {
        "kind": kind_of(code),
        "code": code,
        "fingerprint": f"{number:064d}",
        "title": f"Invoice CIV-{number:06d} bills an order a second time",
        "status": status,
        "domain": "billing",
        "entity_type": "invoice",
        "entity_key": f"CIV-{number:06d}",
        "business_unit": "EU",
        "region": "DE",
        "revenue_at_risk": Decimal("1000.00"),
        "currency": "EUR",
        "first_signal_at": opened,
        "last_signal_at": opened,
        "opened_at": opened,
        "closed_at": opened + timedelta(hours=1) if over else None,
        "resolved_at": opened + timedelta(hours=1) if status == Status.RESOLVED else None,
        **changes,
    }
    return Incident.objects.create(**values)


def version_of(slug: str = "credit", number: int = 1) -> PlaybookVersion:
    """A version of a playbook, made once."""
    playbook, _ = Playbook.objects.get_or_create(slug=slug, defaults={"label": slug, "kind_code": "duplicate_invoice"})
    values = {"definition": {}, "digest": "d" * 64, "author": "automation", "created_at": MONDAY}
    return PlaybookVersion.objects.get_or_create(playbook=playbook, number=number, defaults=values)[0]


def make_mend(
    incident: Incident,
    state: ExecutionState = ExecutionState.VERIFIED,
    *,
    autonomous: bool = False,
    first: bool | None = True,
    playbook: str = "credit",
    version: int = 1,
    sent: bool = True,
    begun: datetime | None = None,
    took: float = 2.0,
) -> Execution:
    """A forward run of one step that took so many seconds; ``first``: whether the first read-back agreed."""
    begun = begun or incident.opened_at + timedelta(minutes=30)
    plan = Plan.objects.create(
        incident=incident,
        number=incident.plans.count() + 1,
        playbook_version=version_of(playbook, version),
        state=PlanState.EXECUTED if state is ExecutionState.VERIFIED else PlanState.VOID,
        digest="d" * 64,
        risk_tier="low",
        rationale="Credit it.",
        author="built-in",
        autonomous=autonomous,
        created_at=begun,
    )
    step = Step.objects.create(
        plan=plan, number=1, name="credit", title="Credit", connection="fo", operation="invoice.credit", parameters={},
        reversible="exact", risk="low", lane=f"lane-{incident.pk}",
    )  # fmt: skip
    done = state is ExecutionState.VERIFIED
    run = Execution.objects.create(
        incident=incident, plan=plan, state=state, digest="d" * 64, requested_by="system:loop", created_at=begun,
        first_attempt_verified=first if done else None, finished_at=begun + timedelta(minutes=1) if done else None,
    )  # fmt: skip
    step_run = StepRun.objects.create(
        execution=run, step=step, number=1, state=StepState.VERIFIED if done else StepState.STUCK,
        effect_key=f"key-{run.pk}", connection="fo", operation="invoice.credit", parameters={}, lane=step.lane,
        attempts_count=(1 if first else 2) if sent else 0, started_at=begun if sent else None,
        finished_at=begun + timedelta(seconds=took) if sent else None,
    )  # fmt: skip
    if sent:
        Attempt.objects.create(step_run=step_run, number=1, fence=1, started_at=begun, sent_at=begun, outcome="ok")
    if done:
        Verification.objects.create(step_run=step_run, matched=True, read_at=begun + timedelta(minutes=1))
    return run


def hand_over(incident: Incident) -> None:
    """Enter in the ledger that the incident once needed an operator."""
    record("incident.needs_operator", actor="system:loop", target=incident, incident=incident.pk)


def dismiss(incident: Incident, actor: str) -> None:
    """Enter in the ledger who dismissed the incident."""
    record("incident.dismissed", actor=actor, target=incident, incident=incident.pk)


def make_clock(incident: Incident, *, late: bool = False, contractual: bool = False, minutes: float = 240) -> SlaClock:
    """A clock of so many minutes; ``late``: its breach was noted when they were over."""
    hours = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    calendar, _ = Calendar.objects.get_or_create(slug="always", defaults={"label": "Always", "hours": hours})
    slug = "contract" if contractual else "internal"
    policy, _ = SlaPolicy.objects.get_or_create(
        slug=slug, defaults={"label": slug, "calendar": calendar, "contractual": contractual, "targets": {}}
    )
    due = incident.opened_at + timedelta(minutes=minutes)
    return SlaClock.objects.create(
        incident=incident,
        policy=policy,
        started_at=incident.opened_at,
        resolve_due=due,
        stopped_at=incident.closed_at,
        breached_at=due if late else None,
    )


def make_connection(slug: str = "fo", kind: str = "dynamics_fo") -> Connection:
    """A connection of that name, made once."""
    return Connection.objects.get_or_create(slug=slug, defaults={"kind": kind, "label": slug.upper()})[0]


def make_call(when: datetime, incident: Incident | None = None, *, slug: str = "fo", tokens: int = 0) -> Call:
    """A call that was answered after a second; with tokens it asked a model."""
    return Call.objects.create(
        connection=make_connection(slug),
        operation="chat.complete" if tokens else "invoice.get",
        direction="model" if tokens else "read",
        actor="system:loop",
        incident_id=incident.pk if incident else None,
        arguments={"model": "gpt-x"} if tokens else {},
        started_at=when,
        finished_at=when + timedelta(seconds=1),
        outcome="ok",
        requests=1,
        tokens=tokens,
    )
