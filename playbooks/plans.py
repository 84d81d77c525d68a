"""What becomes of a plan before it runs: asked, approved by people or by an autonomy grant, void."""

from decimal import Decimal
from typing import Any

from django.db import transaction

from approvals import actions as approvals
from approvals.rules import Requirement, requirements_for
from connectors.base import Reversible, Risk
from incidents.evidence import facts
from incidents.models import Incident
from playbooks import lasting, policies
from playbooks.definitions import Autonomy, PlaybookDefinition
from playbooks.models import Guardrail, Plan
from playbooks.moves import hold, move_plan
from playbooks.states import PlanState

RISK_ORDER = {Risk.LOW: 0, Risk.MEDIUM: 1, Risk.HIGH: 2}
MIXED = "X" * 3  # what ISO 4217 writes where no one currency is meant
LIVE = (PlanState.DRAFT, PlanState.ASKED, PlanState.APPROVED)


def submit(plan: Plan, *, actor: str) -> PlanState:
    """Approve the plan by its playbook's autonomy where nobody has to be asked; else ask, and return what it is now.

    People are asked when a rule or a policy says so, and also when none does but the playbook has no grant
    that covers the plan: without a grant, silence is not a yes.
    """
    needed = requirements(plan)
    definition = PlaybookDefinition.model_validate(plan.playbook_version.definition)
    uncovered = _uncovered(plan, definition.autonomy)
    if not needed and not uncovered:
        because = f"{plan.playbook_version} may act alone up to {definition.autonomy}: no rule or policy asked."
        move_plan(plan, PlanState.APPROVED, actor=actor, reason=because, autonomous=True, asked_because="")
        return PlanState.APPROVED
    if not needed:
        needed = [Requirement("default", 1, "approver", 1, uncovered, 1440)]
    because = "; ".join(requirement.because for requirement in needed)
    with transaction.atomic():
        move_plan(plan, PlanState.ASKED, actor=actor, reason=because, asked_because=because)
        approvals.ask(_question(plan, needed))
    return PlanState.ASKED


def may_act_alone(plan: Plan) -> bool:
    """Tell whether ``submit`` would let the plan be carried out without a person."""
    definition = PlaybookDefinition.model_validate(plan.playbook_version.definition)
    return not requirements(plan) and not _uncovered(plan, definition.autonomy)


def requirements(plan: Plan) -> list[Requirement]:
    """Return who must agree: what the approval rules ask, and one approver for each policy that asks."""
    # Amounts that cannot be added up count as unknown: no threshold may be slipped under by mixing currencies.
    financial = plan.financial or plan.currency == MIXED
    asked = by_rules(plan, subject="plan", financial=financial, related_amount=_related(plan))
    spoken = Guardrail.objects.filter(step__plan=plan, moment="plan", verdict="needs_approval")
    for ruling in spoken.order_by("policy").distinct():
        if not any(requirement.role == "approver" for requirement in asked):
            asked.append(for_policy(ruling.policy, ruling.version, ruling.reason))
    return asked


def for_policy(policy: str, version: int, reason: str) -> Requirement:
    """Return whom a policy asks: one approver, within a day."""
    return Requirement(policy, version, "approver", 1, f"{reason} ({policy} v{version})", 1440)


def by_rules(plan: Plan, *, subject: str, financial: bool, related_amount: Decimal | None = None) -> list[Requirement]:
    """Return who the approval rules ask for the plan, or for its rollback (``subject``)."""
    incident = plan.incident
    return requirements_for(
        subject=subject,
        risk_tier=plan.risk_tier,
        amount=plan.amount,
        currency=plan.currency,
        domain=incident.domain,
        business_unit=incident.business_unit,
        financial=financial,
        related_amount=related_amount,
    )


def void(plan: Plan, *, actor: str, reason: str) -> None:
    """Take a plan back, and with it any approval that stands or is asked for; one that is over stays as it is."""
    with transaction.atomic():
        hold(plan.incident_id)
        plan.refresh_from_db(fields=["state"])
        if plan.state not in LIVE:
            return
        move_plan(plan, PlanState.VOID, actor=actor, reason=reason)
        approvals.void("plan", plan.pk, reason=reason, actor=actor)


def authority(plan: Plan) -> str:
    """Return why the plan may not be carried out at this moment; "" where it may.

    Asked immediately before each effect is sent: an approval can be voided or expire while a plan waits in its lane.
    """
    state = Plan.objects.values_list("state", flat=True).get(pk=plan.pk)
    if state != PlanState.APPROVED:
        return f"The plan is {PlanState(state).label.lower()}."
    if plan.autonomous:
        return "" if plan.playbook_version.playbook.enabled else "The playbook has been switched off."
    if approvals.standing("plan", plan.pk, plan.digest) is None:
        return "No approval of exactly this plan stands."
    return ""


def _uncovered(plan: Plan, autonomy: Autonomy | None) -> str:
    """Say why the autonomy grant does not cover the plan; "" where it does."""
    if autonomy is None:
        return f"{plan.playbook_version} may not act alone"
    if RISK_ORDER[Risk(plan.risk_tier)] > RISK_ORDER[Risk(autonomy.max_risk)]:
        return f"the risk is {plan.risk_tier}, above what {plan.playbook_version} may do alone"
    if plan.steps.filter(reversible=Reversible.NO).exists():
        return "a step cannot be undone"
    return "" if autonomy.max_amount is None else _too_much(plan, autonomy, autonomy.max_amount)


def _too_much(plan: Plan, autonomy: Autonomy, most: Decimal) -> str:
    if plan.currency == MIXED:
        return f"the amounts are in several currencies, the grant in {autonomy.currency}"
    if plan.amount is None:
        return "" if not plan.financial else "the amount at stake is not known"
    if plan.currency != autonomy.currency:
        return f"the amount is in {plan.currency or 'an unknown currency'}, the grant in {autonomy.currency}"
    if abs(plan.amount) > most:
        return f"{plan.amount} {plan.currency} is above {most} {autonomy.currency}"
    return ""


def _related(plan: Plan) -> Decimal | None:
    """Sum what else is asked or approved for the same business entity, so that splitting does not slip under a tier."""
    if plan.amount is None:
        return None
    others = Plan.objects.filter(
        incident__entity_type=plan.incident.entity_type,
        incident__entity_key=plan.incident.entity_key,
        currency=plan.currency,
        state__in=(PlanState.ASKED, PlanState.APPROVED),
    ).exclude(pk=plan.pk)
    return sum((other.amount for other in others if other.amount is not None), Decimal(0)) or None


def _question(plan: Plan, needed: list[Requirement]) -> approvals.Question:
    incident = plan.incident
    return approvals.Question(
        subject="plan",
        subject_id=plan.pk,
        incident_id=incident.pk,
        digest=plan.digest,
        title=incident.title,
        summary=summary(plan),
        risk_tier=plan.risk_tier,
        domain=incident.domain,
        amount=plan.amount,
        currency=plan.currency,
        business_unit=incident.business_unit,
        region=incident.region,
        requirements=needed,
        requested_by=plan.author,
        excluded=sorted({plan.author, *plan.edited_by, *policies.people_behind(plan)}),
    )


def summary(plan: Plan) -> dict[str, Any]:
    """Return the plan by value, as the approver saw it and as it must read in ten years."""
    steps = list(plan.steps.all())
    reasons = lasting.stated([step for step in steps if step.undo is None])
    return {
        "playbook": str(plan.playbook_version),
        "rationale": plan.rationale,
        "steps": [
            {**step.by_value, **({"undo_reason": reasons[step.number]} if reasons.get(step.number) else {})}
            for step in steps
        ],
    }


def described(incident: Incident) -> dict[str, Any]:
    """Return the incident as policies see it: nothing that a model or a text from outside could have set.

    ``evidence`` holds the records as they were read, so that a policy can look beyond the one that is written.
    """
    names = ("code", "severity", "domain", "entity_type", "entity_key", "business_unit", "region", "currency")
    known = {name: value for name, value in facts(incident).items() if name not in ("incident", "signals")}
    return {
        **{name: getattr(incident, name) for name in names},
        "amount": float(incident.amount or 0),
        "evidence": known,
    }
