"""What this floor adds to an incident in the API: its plan, approval, execution and outcome, and who must act."""

from typing import Any

from django.db.models import Q

from approvals.access import pending_for
from approvals.api import part_for_incident
from incidents import contributions
from incidents.costs import costs_of
from incidents.models import Incident
from playbooks import holdouts
from playbooks.api import EXECUTION_PARTS, PLAN_PARTS
from playbooks.models import Execution
from playbooks.serializers import ExecutionSerializer, HoldOutDrawSerializer, PlanSerializer


def plan_of(incident: Incident, user: Any) -> dict[str, Any] | None:
    """Return the newest plan of an incident, for its page in the API."""
    plan = incident.plans.select_related("playbook_version__playbook").prefetch_related(*PLAN_PARTS).first()
    return None if plan is None else dict(PlanSerializer(plan).data)


def execution_of(incident: Incident, user: Any) -> dict[str, Any] | None:
    """Return the newest execution of an incident, for its page in the API."""
    execution = incident.executions.prefetch_related(*EXECUTION_PARTS).first()
    return None if execution is None else dict(ExecutionSerializer(execution).data)


def outcome_of(incident: Incident, user: Any) -> dict[str, Any] | None:
    """Return what the mending came to: the forward run, its read-back and, where there was one, its undo."""
    forward = incident.executions.filter(direction=Execution.Direction.FORWARD).first()
    if forward is None:
        return None
    checks = [run.verifications.last() for run in forward.step_runs.prefetch_related("verifications")]
    back = forward.undone_by.first()
    return {
        "execution": forward.pk,
        "state": forward.state,
        "autonomous": forward.plan.autonomous,
        "verified": bool(checks) and all(check is not None and check.matched for check in checks),
        "verified_at": max((check.read_at for check in checks if check is not None), default=None),
        "first_attempt": forward.first_attempt_verified,
        "read_back": [row for check in checks if check is not None for row in check.fields],
        "rolled_back": None if back is None else {"execution": back.pk, "state": back.state},
    }


def approval_of(incident: Incident, user: Any) -> dict[str, Any] | None:
    """Return the newest request for approval about an incident, as the reader may see it."""
    return part_for_incident(incident.pk, user)


def costs_part(incident: Incident, user: Any) -> dict[str, Any] | None:
    """Return what it costs to leave an open incident as it is."""
    if incident.closed_at is not None:
        return None
    shown = [
        {"name": cost.name, "amount": f"{cost.amount:.2f}", "because": cost.because} for cost in costs_of(incident)
    ]
    return {"currency": incident.currency, "costs": shown}


def hold_out_of(incident: Incident, user: Any) -> dict[str, Any] | None:
    """Return the lot of an incident that took part in a hold-out."""
    drawn = holdouts.standing(incident) or holdouts.draw_of(incident)
    return None if drawn is None else dict(HoldOutDrawSerializer(drawn).data)


def asked_of(user: Any) -> Q:
    """Return the condition on incidents that wait for a decision of ``user``."""
    return Q(pk__in=pending_for(user).values("incident_id"))


def register() -> None:
    """Add this floor's parts to what the backbone shows of an incident."""
    contributions.contribute("plan", plan_of)
    contributions.contribute("approval", approval_of)
    contributions.contribute("execution", execution_of)
    contributions.contribute("outcome", outcome_of)
    contributions.contribute("costs", costs_part)
    contributions.contribute("hold_out", hold_out_of)
    contributions.contribute_waiting("approvals", asked_of)
