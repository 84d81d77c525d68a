"""Rules in files and in the admin: checked, versioned, entered; what happened cannot be edited."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse
from pydantic import ValidationError

from approvals import actions
from approvals.manifests import DOCUMENTS, ApprovalRuleDocument
from approvals.models import ApprovalRule, Delegation
from audit.clock import db_now
from audit.errors import Invalid
from audit.models import Entry
from tests.approvals.factories import DIGEST, make_request, make_rule
from tests.factories import make_user

pytestmark = pytest.mark.django_db
KIND = DOCUMENTS["approval_rule"]


def document(**changes: Any) -> ApprovalRuleDocument:
    values: dict[str, Any] = {
        "slug": "credits",
        "label": "Credit notes",
        "min_amount": 500.01,
        "currency": "EUR",
        "role": "compliance",
    }
    return ApprovalRuleDocument.model_validate({**values, **changes})


def form(**changes: Any) -> dict[str, Any]:
    values = {"slug": "credits", "label": "Credits", "min_risk": "low", "role": "approver", "quorum": "1"}
    return {**values, "expires_minutes": "60", "enabled": "on", "domains": "[]", "change_reason": "asked", **changes}


def staff(client, role: str | list[str] = "automation_admin", **changes: Any):
    user = make_user("keeper", role=role, **changes)
    client.force_login(user)
    return user


def test_a_rule_is_made_from_a_document(automation):
    changed = KIND.apply(document(owner="automation"), "admin")

    rule = ApprovalRule.objects.get()
    assert changed is True
    assert (rule.slug, rule.role, rule.min_amount, rule.version) == ("credits", "compliance", Decimal("500.01"), 1)
    assert rule.owner == automation
    assert Entry.objects.get(verb="approvalrule.added").actor == "admin"


def test_the_same_document_again_changes_nothing():
    KIND.apply(document(), "admin")

    assert KIND.plan(document()) == []
    assert KIND.apply(document(), "admin") is False
    assert ApprovalRule.objects.get().version == 1


def test_another_text_is_another_version_and_the_plan_names_what_differs():
    KIND.apply(document(), "admin")

    (line,) = KIND.plan(document(quorum=2))
    KIND.apply(document(quorum=2), "admin")

    assert (line.document, line.field, line.before, line.after) == ("approval_rule credits", "quorum", 1, 2)
    assert ApprovalRule.objects.get().version == 2
    assert Entry.objects.get(verb="approvalrule.changed").body.count('"quorum"') == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"currency": ""},
        {"min_amount": None},
        {"min_amount": -1},
        {"role": "viewer"},
        {"role": "nobody"},
        {"quorum": 0},
        {"min_risk": "extreme"},
        {"subjects": ["party"]},
        {"expires_minutes": 0},
        {"minimum": 3},
    ],
)
def test_a_document_that_cannot_be_meant_is_refused(changes):
    with pytest.raises(ValidationError):
        document(**changes)


def test_an_owner_who_does_not_exist_is_refused():
    with pytest.raises(Invalid, match="ghost"):
        KIND.apply(document(owner="ghost"), "admin")

    assert not ApprovalRule.objects.exists()


def test_a_request_keeps_the_version_of_the_rule_that_asked(approver):
    from approvals.rules import requirements_for

    make_rule("credits")
    stake: dict[str, Any] = {"subject": "plan", "risk_tier": "low", "amount": None, "currency": "", "domain": ""}
    approval = make_request(*requirements_for(**stake, business_unit="EU", financial=False))

    ApprovalRule.objects.update(version=2, role="compliance")

    assert actions.decide(approval, by=approver, verdict="approve", digest=DIGEST).state == "approved"
    assert approval.requirements[0]["version"] == 1


def test_a_rule_is_made_in_the_admin_and_entered(client):
    staff(client)

    answer = client.post(reverse("admin:approvals_approvalrule_add"), form(min_amount="10.00", currency="EUR"))

    assert answer.status_code == 302
    assert ApprovalRule.objects.get().min_amount == Decimal("10.00")
    assert Entry.objects.get(verb="approvalrule.added").reason == "asked"


def test_changing_a_rule_in_the_admin_is_a_new_version(client):
    staff(client)
    rule = make_rule("credits", label="Credits", expires_minutes=60)

    client.post(reverse("admin:approvals_approvalrule_change", args=[rule.pk]), form(quorum="3"))

    rule.refresh_from_db()
    assert (rule.quorum, rule.version) == (3, 2)
    assert '"quorum":3' in Entry.objects.get(verb="approvalrule.changed").body


@pytest.mark.parametrize("changes", [{"min_amount": "10.00"}, {"currency": "EUR"}, {"role": "viewer"}, {"quorum": "0"}])
def test_the_admin_refuses_what_a_document_may_not_say(client, changes):
    staff(client)

    answer = client.post(reverse("admin:approvals_approvalrule_add"), form(**changes))

    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors
    assert not ApprovalRule.objects.exists()


@pytest.mark.parametrize("model", ["approvalrequest", "decision"])
def test_what_happened_is_read_in_the_admin_and_never_edited(client, admin, approver, model):
    approval = make_request()
    actions.decide(approval, by=approver, verdict="approve", digest=DIGEST)
    row = approval if model == "approvalrequest" else approval.decisions.get()
    client.force_login(admin)
    page = reverse(f"admin:approvals_{model}_change", args=[row.pk])

    assert client.get(page).status_code == 200
    assert client.get(reverse(f"admin:approvals_{model}_changelist")).status_code == 200
    assert client.post(page, {"state": "rejected"}).status_code == 403
    assert client.post(reverse(f"admin:approvals_{model}_delete", args=[row.pk])).status_code == 403
    assert client.get(reverse(f"admin:approvals_{model}_add")).status_code == 403


def lending(giver, taker) -> dict[str, Any]:
    now = db_now()
    start, end = now - timedelta(days=1), now + timedelta(days=7)
    times = {"starts_at_0": start.date(), "starts_at_1": "08:00:00", "ends_at_0": end.date(), "ends_at_1": "08:00:00"}
    return {"giver": giver.pk, "taker": taker.pk, "reason": "On leave.", "change_reason": "", **times}


def test_one_lends_ones_own_voice_for_a_time(client, operator):
    giver = staff(client, role=["compliance", "approver"])

    answer = client.post(reverse("admin:approvals_delegation_add"), lending(giver, operator))

    assert answer.status_code == 302
    assert Delegation.objects.get().giver == giver
    assert Entry.objects.filter(verb="delegation.added", actor="keeper").exists()


def test_nobody_takes_another_persons_voice(client, approver):
    taker = staff(client, role="compliance")

    answer = client.post(reverse("admin:approvals_delegation_add"), lending(approver, taker))

    assert "giver" in answer.context["adminform"].form.errors
    assert not Delegation.objects.exists()


def test_nobody_prolongs_another_persons_delegation(client, approver, operator):
    staff(client, role="compliance")
    now = db_now()
    row = Delegation.objects.create(giver=approver, taker=operator, starts_at=now, ends_at=now)

    answer = client.post(reverse("admin:approvals_delegation_change", args=[row.pk]), lending(approver, operator))

    assert answer.status_code == 403


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_an_onlooker_is_lent_no_voice_for_a_time(client, role):
    giver, onlooker = staff(client, role=["compliance", "approver"]), make_user("onlooker", role=role)

    answer = client.post(reverse("admin:approvals_delegation_add"), lending(giver, onlooker))

    assert "taker" in answer.context["adminform"].form.errors
