"""A plan is taken back while somebody says yes to it: one of both is first, and neither blocks the other for good."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.auth.models import User
from django.db import connections

from approvals import actions
from approvals.models import ApprovalRequest
from approvals.rules import Requirement
from audit.clock import db_now
from audit.errors import Refusal
from incidents.models import Incident
from playbooks import plans
from playbooks.models import Plan, Playbook, PlaybookVersion

pytestmark = pytest.mark.django_db(transaction=True)
DIGEST = "d" * 64


def asked_plan(number: int) -> tuple[Plan, ApprovalRequest]:
    """A plan that waits for one approver, of an incident of its own."""
    now = db_now()
    times = {"first_signal_at": now, "last_signal_at": now, "opened_at": now}
    incident = Incident.objects.create(
        code="sent-twice",
        fingerprint=f"{number:064d}",
        title="Duplicate invoice",
        status="awaiting_approval",
        entity_type="invoice",
        entity_key=f"INV-{number:06d}",
        business_unit="EU",
        region="DE",
        **times,
    )
    playbook, _ = Playbook.objects.get_or_create(slug="credit", defaults={"label": "Credit", "kind_code": "sent-twice"})
    version, _ = PlaybookVersion.objects.get_or_create(
        playbook=playbook, number=1, defaults={"definition": {}, "digest": "1", "author": "admin", "created_at": now}
    )
    plan = Plan.objects.create(
        incident=incident,
        number=1,
        playbook_version=version,
        state="asked",
        digest=DIGEST,
        risk_tier="low",
        rationale="It was sent twice.",
        author="built-in",
        created_at=now,
    )
    asked = actions.ask(
        actions.Question(
            subject="plan",
            subject_id=plan.pk,
            incident_id=incident.pk,
            digest=DIGEST,
            title=incident.title,
            requirements=[Requirement("rule", 1, "approver", 1, "asked", 60)],
            requested_by="system:loop",
            risk_tier="low",
            business_unit="EU",
            region="DE",
        )
    )
    return plan, asked


def at_the_same_moment(plan: Plan, asked: ApprovalRequest, approver: User) -> list[str]:
    """Withdraw and approve in two threads that start together; how each ended."""
    start = Barrier(2)

    def withdraw() -> str:
        start.wait(timeout=30)
        plans.void(plan, actor="operator", reason="Edited.")
        return "withdrawn"

    def approve() -> str:
        start.wait(timeout=30)
        return str(actions.decide(asked, by=approver, verdict="approve", digest=DIGEST).state)

    def ended(act: Callable[[], str]) -> str:
        try:
            return act()
        except Refusal as refusal:
            return refusal.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(ended, (withdraw, approve)))


def test_withdrawing_and_approving_at_the_same_moment_ends_withdrawn_every_time(approver):
    pairs = [asked_plan(number) for number in range(25)]

    endings = Counter(tuple(at_the_same_moment(plan, asked, approver)) for plan, asked in pairs)

    assert set(endings) <= {("withdrawn", "approved"), ("withdrawn", "settled")}
    assert set(ApprovalRequest.objects.values_list("state", flat=True)) == {"void"}
    assert set(Plan.objects.values_list("state", flat=True)) == {"void"}
