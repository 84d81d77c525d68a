"""Requests for approval, their rules and questions, with fixed values."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from approvals import actions
from approvals.models import ApprovalRequest, ApprovalRule, Delegation
from approvals.rules import Requirement
from audit.clock import db_now

DIGEST = "d" * 64
OTHER_DIGEST = "e" * 64


def make_rule(slug: str = "credit-notes", **changes: Any) -> ApprovalRule:
    """A rule that asks one approver about everything, unless told otherwise."""
    values: dict[str, Any] = {"label": slug.replace("-", " ").capitalize(), "role": "approver", "quorum": 1}
    return ApprovalRule.objects.create(slug=slug, **{**values, **changes})


def demand(role: str = "approver", quorum: int = 1, rule: str = "", **changes: Any) -> Requirement:
    """A requirement that stands for a day."""
    values: dict[str, Any] = {"version": 1, "because": f"{role} is asked", "expires_minutes": 1440}
    return Requirement(rule=rule or f"ask-{role}", role=role, quorum=quorum, **{**values, **changes})


def question(*demands: Requirement, **changes: Any) -> actions.Question:
    """A question about plan 1 of incident 7, asked by the loop."""
    values: dict[str, Any] = {
        "subject": "plan",
        "subject_id": 1,
        "incident_id": 7,
        "digest": DIGEST,
        "title": "Duplicate invoice INV-000412",
        "summary": {"playbook": "credit-duplicate-invoice v1", "rationale": "It was sent twice.", "steps": []},
        "risk_tier": "medium",
        "domain": "o2c",
        "amount": Decimal("1250.00"),
        "currency": "EUR",
        "business_unit": "EU",
        "region": "DE",
        "requested_by": "system:loop",
        "because": "money is posted",
    }
    return actions.Question(requirements=list(demands or (demand(),)), **{**values, **changes})


def make_request(*demands: Requirement, **changes: Any) -> ApprovalRequest:
    """A pending request; without demands it asks one approver."""
    return actions.ask(question(*demands, **changes))


def run_out(approval: ApprovalRequest, *, seconds: int = 1) -> ApprovalRequest:
    """Move the end of the question's time into the past: the row's time moves, never the clock."""
    ApprovalRequest.objects.filter(pk=approval.pk).update(expires_at=db_now() - timedelta(seconds=seconds))
    approval.refresh_from_db()
    return approval


def lend(giver: Any, taker: Any, *, days: int = 7, since_days: int = 1) -> Delegation:
    """All of ``giver``'s decisions lent to ``taker`` for a time that holds now."""
    now = db_now()
    times = {"starts_at": now - timedelta(days=since_days), "ends_at": now + timedelta(days=days)}
    return Delegation.objects.create(giver=giver, taker=taker, reason="on leave", **times)
