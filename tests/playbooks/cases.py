"""A kind of exception that can be diagnosed in the small world, and playbooks, policies and causes for it."""

from typing import Any

from audit.clock import db_now
from incidents.models import ExceptionKind, Incident, RootCause
from incidents.states import Status
from playbooks.models import Plan, PlaybookVersion, Policy, PolicyVersion
from tests.playbooks.world import ORDER, make_incident, make_playbook

CAUSE = "rate_not_applied"
DEFINITION: dict[str, Any] = {
    "title": "Freight on {incident.entity_key} is wrong",
    "evidence": [
        {
            "as": "charge",
            "connection": "fo",
            "operation": "charges.list",
            "arguments": {"company": "'demf'", "order": "incident.entity_key"},
            "one": True,
        }
    ],
    "causes": [
        {
            "id": CAUSE,
            "label": "The rate was not applied",
            "statements": [
                {
                    "text": "{charge.FixedChargeAmount} was charged.",
                    "checks": [{"check": "charge.FixedChargeAmount != 84.0", "cites": ["charge.FixedChargeAmount"]}],
                }
            ],
        }
    ],
}
STEP: dict[str, Any] = {
    "name": "correct",
    "title": "Correct the freight of {incident.entity_key}",
    "connection": "fo",
    "operation": "charge.update",
    "arguments": {"company": "'demf'", "order": "incident.entity_key", "line": 1, "amount": "'84.00'"},
}
CHARGE_KEY = {"dataAreaId": "demf", "SalesOrderNumber": ORDER, "ChargeLineNumber": 1}


def make_freight(status: Status = Status.TRIAGED, **changes: Any) -> Incident:
    """An incident whose kind says how its cause is found: the freight of the small world's order."""
    kind, _ = ExceptionKind.objects.update_or_create(
        code="test_kind",
        defaults={"label": "Freight", "domain": "billing", "entity_type": "order", "definition": DEFINITION},
    )
    return make_incident(status=status, kind=kind, **changes)


def make_cause(incident: Incident, cause: str = CAUSE, round_: int = 1) -> RootCause:
    """A diagnosis as the analyst would have left it."""
    return RootCause.objects.create(
        incident=incident,
        round=round_,
        engine="built-in",
        cause=cause,
        summary="The rate was not applied.",
        created_at=db_now(),
        inputs_digest="i" * 64,
    )


def make_mend(*steps: dict[str, Any], slug: str = "mend", **definition: Any) -> PlaybookVersion:
    """An active playbook that corrects the freight, or takes ``steps``."""
    return make_playbook(list(steps) or [STEP], slug=slug, **definition)


def make_policy(condition: str = "true", verdict: str = "block", slug: str = "rule", **changes: Any) -> PolicyVersion:
    """An active policy over every write."""
    policy, _ = Policy.objects.get_or_create(slug=slug, defaults={"label": slug})
    number = policy.versions.count() + 1
    policy.versions.update(active=False)
    values: dict[str, Any] = {"message": "because of the rule", "author": "automation", "created_at": db_now()}
    return PolicyVersion.objects.create(
        policy=policy, number=number, condition=condition, verdict=verdict, active=True, **{**values, **changes}
    )


def live_plan(incident: Incident) -> Plan:
    """The plan that stands."""
    return incident.plans.get(state__in=("draft", "asked", "approved"))
