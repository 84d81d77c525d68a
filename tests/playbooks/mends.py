"""Playbook, policy, plan, runs and dead letters about the doubled invoice, as rows."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from approvals.rules import Requirement
from audit.clock import db_now
from audit.proofs import digest
from connectors.models import Connection
from incidents.models import Incident
from playbooks.models import (
    Attempt,
    DeadLetter,
    Execution,
    Guardrail,
    Plan,
    Playbook,
    PlaybookVersion,
    Policy,
    PolicyVersion,
    Step,
    StepRun,
    Verification,
)
from playbooks.plans import summary
from playbooks.states import ExecutionState, PlanState, StepState

TEXT = {
    "rationale": "The second invoice repeats the first: credit it and tell the customer.",
    "autonomy": {"max_risk": "low", "max_amount": "500.00", "currency": "EUR"},
    "steps": [
        {
            "name": "credit",
            "title": "Issue credit note",
            "connection": "fo",
            "operation": "invoice.credit",
            "arguments": {"company": "'demf'", "invoice": "incident.entity_key", "reason": "'posted twice'"},
        },
        {
            "name": "tell",
            "title": "Close the case",
            "connection": "crm",
            "operation": "case.close",
            "arguments": {"case": "'00012917'"},
        },
    ],
}
CREDIT = {"entity": "SalesInvoiceHeadersV2", "key": "demf/INV-10482", "side_effect": False}
BALANCE = {"entity": "CustomersV3", "key": "demf/DE-001", "side_effect": True}
CASE = {"entity": "Case", "key": "5003000000D8cuI", "side_effect": False}
PREDICTED = [
    [
        {**CREDIT, "field": "CreditedAmount", "before": 0.0, "after": 1250.0},
        {**BALANCE, "field": "OpenBalance", "before": 8940.0, "after": 7690.0},
    ],
    [{**CASE, "field": "Status", "before": "Working", "after": "Closed"}],
]


def make_connections() -> None:
    """The two systems that plans are about."""
    for slug, kind, label in (("fo", "dynamics_fo", "Finance & Operations"), ("crm", "salesforce", "Salesforce")):
        Connection.objects.get_or_create(slug=slug, defaults={"kind": kind, "label": label})


def make_playbook(slug: str = "credit-duplicate-invoice", **definition: Any) -> PlaybookVersion:
    """The playbook that credits the second invoice, in its active version; made once, with these changes."""
    text = {**TEXT, **definition}
    values = {"label": "Credit duplicate invoice", "kind_code": "duplicate_invoice"}
    playbook, _ = Playbook.objects.get_or_create(slug=slug, defaults=values)
    texts = {"definition": text, "digest": digest(text), "active": True, "author": "automation", "created_at": db_now()}
    return PlaybookVersion.objects.get_or_create(playbook=playbook, number=7, defaults=texts)[0]


def make_policy(slug: str = "credit-tier") -> PolicyVersion:
    """A policy that asks about credit notes over 500."""
    policy, _ = Policy.objects.get_or_create(slug=slug, defaults={"label": "Credit tier"})
    values: dict[str, Any] = {
        "condition": "amount > 500.0",
        "verdict": "needs_approval",
        "message": "credit over € 500 needs one approver",
        "operations": ["fo:invoice.credit"],
        "active": True,
        "author": "automation",
        "created_at": db_now(),
    }
    return PolicyVersion.objects.get_or_create(policy=policy, number=3, defaults=values)[0]


def make_plan(incident: Incident, state: PlanState = PlanState.ASKED, **changes: Any) -> Plan:
    """A plan of two steps, with what the policy said of the first."""
    make_connections()
    values: dict[str, Any] = {
        "number": incident.plans.count() + 1,
        "playbook_version": make_playbook(),
        "state": state,
        "digest": digest(["plan", incident.pk, incident.plans.count()]),
        "risk_tier": "medium",
        "financial": True,
        "amount": Decimal("1250.00"),
        "currency": "EUR",
        "rationale": TEXT["rationale"],
        "author": "built-in",
        "asked_because": "credit over € 500 needs one approver (credit-tier v3)",
        "candidates": ["credit-duplicate-invoice"],
        "created_at": incident.opened_at + timedelta(minutes=1),
    }
    plan = Plan.objects.create(incident=incident, **{**values, **changes})
    steps = [_step(plan, number) for number in (1, 2)]
    policy = make_policy()
    Guardrail.objects.create(
        step=steps[0],
        policy_version=policy,
        policy=policy.policy.slug,
        version=policy.number,
        verdict=policy.verdict,
        reason=policy.message,
        at=plan.created_at,
    )
    return plan


def _step(plan: Plan, number: int) -> Step:
    text: dict[str, Any] = TEXT["steps"][number - 1]
    return Step.objects.create(
        plan=plan,
        number=number,
        name=text["name"],
        title=text["title"],
        connection=text["connection"],
        operation=text["operation"],
        parameters={"company": "demf", "reason": "@effect-key"},
        predicted=PREDICTED[number - 1],
        undo={"operation": "credit_note.reverse", "parameters": {"reference": "@effect-key"}},
        reversible="until_period_close" if number == 1 else "exact",
        risk="medium",
        financial=number == 1,
        lane=f"fo:lane:{plan.incident_id}:{number}",
    )


def ask(plan: Plan, **changes: Any) -> ApprovalRequest:
    """The question whether the plan may be carried out."""
    incident = plan.incident
    values: dict[str, Any] = {
        "subject": "plan",
        "subject_id": plan.pk,
        "incident_id": incident.pk,
        "digest": plan.digest,
        "title": incident.title,
        "requirements": [Requirement("credit-tier", 3, "approver", 1, "credit over € 500", 1440)],
        "requested_by": plan.author,
        "risk_tier": plan.risk_tier,
        "summary": summary(plan),
        "domain": incident.domain,
        "amount": plan.amount,
        "currency": plan.currency,
        "business_unit": incident.business_unit,
        "region": incident.region,
    }
    return approvals.ask(approvals.Question(**{**values, **changes}))


def make_run(
    plan: Plan, state: ExecutionState = ExecutionState.VERIFIED, *steps: StepState, **changes: Any
) -> Execution:
    """A run of the plan whose steps stand in these states (default: all read back)."""
    states = steps or (StepState.VERIFIED, StepState.VERIFIED)
    ended = (
        plan.created_at + timedelta(minutes=2) if state in (ExecutionState.VERIFIED, ExecutionState.CANCELLED) else None
    )
    values: dict[str, Any] = {
        "incident": plan.incident,
        "plan": plan,
        "state": state,
        "digest": plan.digest,
        "requested_by": "system:loop",
        "first_attempt_verified": True if state is ExecutionState.VERIFIED else None,
        "created_at": plan.created_at + timedelta(minutes=1),
        "finished_at": ended,
    }
    run = Execution.objects.create(**{**values, **changes})
    for step, reached in zip(plan.steps.all(), states, strict=True):
        _step_run(run, step, reached)
    return run


def _step_run(run: Execution, step: Step, state: StepState) -> StepRun:
    row = StepRun.objects.create(
        execution=run,
        step=step,
        number=step.number,
        state=state,
        effect_key=digest(["key", run.pk, step.number])[:40],
        connection=step.connection,
        operation=step.operation,
        parameters=step.parameters,
        undo=step.undo,
        expected=step.predicted,
        lane=step.lane,
        attempts_count=0 if state is StepState.PLANNED else 1,
    )
    if state is not StepState.PLANNED:
        times = {"started_at": run.created_at, "sent_at": run.created_at, "finished_at": run.created_at}
        Attempt.objects.create(step_run=row, number=1, fence=1, outcome="ok", status=200, request_id="r-1", **times)
    if state in (StepState.VERIFIED, StepState.MISMATCH):
        matched = state is StepState.VERIFIED
        fields = [
            {
                **{name: change[name] for name in ("entity", "key", "field", "side_effect")},
                "expected": change["after"],
                "actual": change["after"] if matched else change["before"],
                "matched": matched,
            }
            for change in step.predicted
        ]
        Verification.objects.create(step_run=row, matched=matched, fields=fields, read_at=run.created_at)
    return row


def make_letter(run: Execution, number: int = 1, **changes: Any) -> DeadLetter:
    """The dead letter of one of the run's steps."""
    step_run = run.step_runs.get(number=number)
    values: dict[str, Any] = {
        "incident": run.incident,
        "step_run": step_run,
        "cause": "crm: case.close 403 INSUFFICIENT_ACCESS",
        "error": "Salesforce refused: insufficient access rights on object id",
        "guidance": "Give the connection's user the right “Edit Cases”, then replay.",
        "payload": {"operation": step_run.operation, "effect_key": step_run.effect_key},
        "created_at": db_now() - timedelta(minutes=40),
    }
    return DeadLetter.objects.create(**{**values, **changes})
