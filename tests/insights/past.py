"""A made-up half month as rows, another for each seed: all endings, kinds, units and currencies, times at the edges."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from audit.actions import record
from connectors.models import Call
from incidents.models import Evidence, Incident, Queue
from incidents.states import Status
from insights.kpis import usage
from insights.kpis.models import Assumption
from insights.kpis.periods import Period
from playbooks.models import Attempt, DeadLetter, Execution, Plan, Step, StepRun
from playbooks.states import ExecutionState, PlanState, StepState
from tests.insights import score

BEGIN, END = datetime(2026, 3, 4, tzinfo=UTC), datetime(2026, 3, 19, tzinfo=UTC)
PERIOD = Period(BEGIN, END)
HAIR = timedelta(microseconds=1)
KINDS = (
    *("duplicate_invoice", "duplicate_invoice_eu", "duplicate_vendor_invoice", "freight_misrate"),
    *("freight_surcharge", "credit_hold", "duplicate_order"),
)
_OPEN = (Status.NEEDS_OPERATOR, Status.ON_HOLD, Status.EXECUTING, Status.AWAITING_APPROVAL, Status.ROLLING_BACK)
# As it was first read: what it was billed for and still owed, or whether it may be paid.
_INVOICES: tuple[dict[str, Any], ...] = (
    {"TotalInvoiceAmount": 80.1, "RemainingAmount": 80.1},
    {"TotalInvoiceAmount": 80, "RemainingAmount": 80.0},
    {"TotalInvoiceAmount": 80.1, "RemainingAmount": 0},
    {"TotalInvoiceAmount": 80.1, "RemainingAmount": 80.09},
    {"TotalInvoiceAmount": None, "RemainingAmount": None},
    {"TotalInvoiceAmount": 80.1},
    {"IsApproved": "No"},
    {"IsApproved": "Yes"},
    {},
)


@dataclass
class Past:
    """The dice, and what they made."""

    dice: random.Random
    made: list[Incident] = field(default_factory=list)


def build(seed: int, incidents: int = 84) -> Past:
    """Make a past of that seed: incidents with their runs, clocks, evidence and letters, calls, and assumptions."""
    past = Past(random.Random(seed))
    Queue.objects.bulk_create(Queue(slug=slug, label=slug) for slug in ("billing", "freight"))
    for number in range(incidents):
        past.made.append(_incident(past, number))
    for number in range(150):
        _call(past, number)
    while usage.count():
        pass
    return past


def assume(seed: int = 0) -> None:
    """State what no row tells: in general, and closer for some kinds, units and connections."""
    dice = random.Random(seed)
    for name, subject, value, currency in (
        ("minutes_by_hand", "", 25, ""),
        ("minutes_by_hand", "freight_misrate", 55, ""),
        ("minutes_to_approve", "", 3, ""),
        ("minutes_to_approve", "credit_hold", 7, ""),
        ("hourly_rate", "", 50, "EUR"),
        ("hourly_rate", "US", 72, "EUR"),
        ("token_price", "", 4, "EUR"),
        ("token_price", "ai-two", 9, "EUR"),
        ("days_by_hand", "duplicate_invoice", 12, ""),
        ("days_by_hand", "freight_misrate", 2, ""),
        ("days_by_hand", "credit_hold", 30, ""),
    ):
        exact = Decimal(value) + Decimal(dice.randrange(100)) / 100
        Assumption.objects.create(name=name, subject=subject, value=exact, currency=currency, because="timed in May")


def moment(past: Past) -> datetime:
    """A time around the period, every fifth at one of its very ends or at a midnight between weeks."""
    if past.dice.random() < 0.2:
        return past.dice.choice((BEGIN, BEGIN - HAIR, END, END - HAIR, datetime(2026, 3, 9, tzinfo=UTC)))
    return BEGIN + timedelta(seconds=past.dice.uniform(-4 * 86_400, 19 * 86_400))


def _incident(past: Past, number: int) -> Incident:
    dice, at = past.dice, moment(past)
    opened = at - timedelta(minutes=dice.uniform(2, 9_000))
    if dice.random() < 0.3:
        opened, at = at, at + timedelta(minutes=dice.uniform(2, 9_000))
    unit = dice.choice(("EU", "EU", "EU", "EU", "US", ""))
    at_risk, amount = dice.choice(((True, True), (True, False), (False, True), (False, False)))
    place: dict[str, Any] = {
        "code": KINDS[number % len(KINDS)],
        "business_unit": unit,
        "region": {"EU": dice.choice(("DE", "FR")), "US": "US-W", "": ""}[unit],
        "domain": dice.choice(("billing", "billing", "billing", "billing", "freight")),
        "currency": dice.choice(("EUR", "EUR", "USD", "JPY")) if at_risk or amount else "",
        "revenue_at_risk": Decimal(dice.randrange(1, 900_000)) / 100 if at_risk else None,
        "amount": Decimal(dice.randrange(1, 900_000)) / 100 if amount else None,
        "queue": dice.choice((None, *Queue.objects.all())),
        "opened_at": opened,
    }
    one = _ended(past, number, place, at)
    if dice.random() < 0.6:
        _clock(past, one)
    _evidence(past, one)
    return one


def _ended(past: Past, number: int, place: dict[str, Any], at: datetime) -> Incident:
    dice, sort = past.dice, number % 12
    over = {**place, "closed_at": at}
    if sort <= 5:
        one = score.make_incident(**over)
        if sort == 1:  # given up once, after something was sent or before
            _run(past, one, ExecutionState.CANCELLED, sent=dice.random() < 0.5)
        if sort == 2:
            score.hand_over(one)
        if sort == 3:  # mended, opened again, mended anew
            _run(past, one, ExecutionState.VERIFIED)
            record("incident.reopened", actor="anna", target=one, incident=one.pk)
        _run(past, one, ExecutionState.VERIFIED)
    elif sort == 6:
        one = score.make_incident(Status.ROLLED_BACK, **over)
        back = _run(past, one, ExecutionState.VERIFIED)
        _run(past, one, ExecutionState.VERIFIED, undoes=back)
    elif sort in (7, 8):
        one = score.make_incident(Status.DISMISSED, **over)
        score.dismiss(one, dice.choice(("anna", "system:loop")))
    elif sort == 9:
        one = score.make_incident(**over, merged_into=dice.choice(past.made))
    else:
        one = score.make_incident(dice.choice(_OPEN), **place)
        if dice.random() < 0.7:
            run = _run(past, one, dice.choice((ExecutionState.FAILED, ExecutionState.RUNNING)))
            DeadLetter.objects.create(
                incident=one, step_run=run.step_runs.last(), cause="refused", error="no", guidance="look",
                created_at=run.created_at,
            )  # fmt: skip
    return one


def _run(
    past: Past, one: Incident, state: ExecutionState, *, sent: bool = True, undoes: Execution | None = None
) -> Execution:
    """Carry a new plan out, or an old one back, as the engine enters it: one to three steps."""
    dice, done = past.dice, state is ExecutionState.VERIFIED
    begun = moment(past) if dice.random() < 0.3 else one.opened_at + timedelta(minutes=dice.uniform(0, 30))
    plan = undoes.plan if undoes else Plan.objects.create(
        incident=one, number=one.plans.count() + 1,
        playbook_version=score.version_of(dice.choice(("credit", "release")), dice.choice((1, 2))),
        state=PlanState.EXECUTED if done else PlanState.VOID, digest="d" * 64, risk_tier="low", rationale="So.",
        author="built-in", autonomous=dice.random() < 0.5, created_at=begun,
    )  # fmt: skip
    run = Execution.objects.create(
        incident=one, plan=plan, state=state, digest="d" * 64, requested_by="system:loop", created_at=begun,
        direction="backward" if undoes else "forward", undoes=undoes,
        first_attempt_verified=dice.random() < 0.8 if done and not undoes else None,
    )  # fmt: skip
    for number in range(1, dice.randrange(1, 4) + 1):
        _step(past, run, number, sent=sent, finished=sent and (done or dice.random() < 0.5))
    record("execution.begun", actor="system:loop", target=run, incident=one.pk)
    return run


def _step(past: Past, run: Execution, number: int, *, sent: bool, finished: bool) -> None:
    dice = past.dice
    connection, operation = dice.choice((("fo", "invoice.credit"), ("fo", "hold.release"), ("crm", "hold.release")))
    step, _ = Step.objects.get_or_create(
        plan=run.plan, number=number,
        defaults={
            "name": operation, "title": operation, "connection": connection, "operation": operation, "parameters": {},
            "reversible": "exact", "risk": "low", "lane": f"lane-{run.incident_id}",
        },
    )  # fmt: skip
    tries = dice.choice((1, 1, 1, 2)) if sent else 0
    # The intent is entered before anything is sent: an attempt alone is no effect.
    begun = run.created_at + timedelta(seconds=dice.uniform(0, 60))
    made = StepRun.objects.create(
        execution=run, step=step, number=number, state=StepState.VERIFIED if finished else StepState.STUCK,
        effect_key=f"key-{run.pk}-{number}", connection=connection, operation=operation, parameters={},
        lane=step.lane, attempts_count=tries, started_at=begun,
        finished_at=begun + timedelta(seconds=dice.expovariate(0.2) + 0.01) if finished else None,
    )  # fmt: skip
    for attempt in range(1, max(tries, 1) + 1):
        sent_at = begun + timedelta(seconds=attempt) if sent else None
        Attempt.objects.create(step_run=made, number=attempt, fence=1, started_at=begun, sent_at=sent_at)


def _clock(past: Past, one: Incident) -> None:
    dice = past.dice
    clock = score.make_clock(
        one, late=dice.random() < 0.4, contractual=dice.random() < 0.5, minutes=dice.choice((30, 600, 12_000, 10**6))
    )
    if dice.random() < 0.3 and one.closed_at is None:
        clock.paused_at = one.opened_at + timedelta(minutes=dice.choice((10, 900)))
        clock.save()


def _evidence(past: Past, one: Incident) -> None:
    """Read the invoice in two rounds; only the first tells how it was found."""
    dice = past.dice
    for turn in (1, 2):
        for form, name in dice.sample((("record", "invoice"), ("record", "twin"), ("signal", "invoice")), 2):
            Evidence.objects.create(
                incident=one, form=form, name=name, round=turn, system="fo", entity="SalesInvoiceHeadersV2",
                record_id=f"demf/{one.pk}", captured_at=one.opened_at, digest="d", content=dice.choice(_INVOICES),
            )  # fmt: skip


def _call(past: Past, number: int) -> None:
    dice, when = past.dice, moment(past)
    slug, model = (("ai", "small"), ("ai-two", "large"), ("fo", ""), ("crm", ""))[number % 4]
    Call.objects.create(
        connection=score.make_connection(slug), operation="chat.complete" if model else "invoice.get",
        direction="model" if model else dice.choice(("read", "write", "poll")), actor="system:loop",
        incident_id=dice.choice((*[None] * 20, *(one.pk for one in past.made))),
        arguments={"model": dice.choice((model, f"{model}-new"))} if model else {"model": "T-8"},
        started_at=when, finished_at=when + timedelta(seconds=1), outcome=dice.choice(("ok", "ok", "unanswered")),
        requests=dice.randrange(1, 4), tokens=dice.randrange(50_000, 900_000) if model else 0,
    )  # fmt: skip
