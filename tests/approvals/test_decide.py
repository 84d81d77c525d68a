"""Who may say yes or no, to exactly what, and when it settles."""

import pytest
from django.contrib.auth.models import Group, User

from approvals import actions, seats
from approvals.models import ApprovalRequest, Decision
from approvals.signals import approval_settled
from audit.access import roles_of
from audit.errors import Invalid
from audit.models import Entry
from tests.approvals.factories import DIGEST, OTHER_DIGEST, demand, make_request, make_rule, run_out
from tests.factories import make_token, make_user

pytestmark = pytest.mark.django_db


def approve(approval: ApprovalRequest, by: User, *, digest: str = DIGEST, comment: str = "") -> ApprovalRequest:
    return actions.decide(approval, by=by, verdict="approve", digest=digest, comment=comment)


def refusals() -> list[tuple[str, str]]:
    return list(Entry.objects.filter(verb__startswith="refused.").values_list("verb", "actor"))


def test_one_yes_settles_a_request_for_one(approver):
    approval = make_request()

    settled = approve(approval, approver, comment="Checked with the customer.")

    assert (settled.state, settled.given, settled.required) == ("approved", 1, 1)
    assert settled.settled_at is not None
    decision = Decision.objects.get()
    assert (decision.person, decision.digest, decision.role) == (approver, DIGEST, "approver")


def test_a_yes_is_entered_with_its_digest_and_comment(approver):
    approval = make_request()

    approve(approval, approver, comment="Fine.")

    entry = Entry.objects.get(verb="approval.decided")
    assert (entry.actor, entry.reason, entry.incident_id, entry.business_unit) == ("approver", "Fine.", 7, "EU")
    assert DIGEST in entry.body
    assert Entry.objects.filter(verb="approval.approved", target_id=str(approval.pk)).exists()


def test_the_floor_above_hears_of_it_inside_the_transaction(approver):
    approval, heard = make_request(), []

    def hear(approval: ApprovalRequest, **kwargs: object) -> None:
        heard.append((approval.pk, approval.state))

    approval_settled.connect(hear)

    approve(approval, approver)

    approval_settled.disconnect(hear)
    assert heard == [(approval.pk, "approved")]


def test_when_the_floor_above_fails_nothing_was_decided(approver):
    approval = make_request()

    def fail(**kwargs: object) -> None:
        raise RuntimeError("the plan is gone")

    approval_settled.connect(fail)

    with pytest.raises(RuntimeError):
        approve(approval, approver)

    approval_settled.disconnect(fail)
    approval.refresh_from_db()
    assert (approval.state, approval.given) == ("pending", 0)
    assert not Decision.objects.exists()


def test_a_quorum_of_two_needs_two_people(approver, approver2):
    approval = make_request(demand(quorum=2))

    first = approve(approval, approver)
    second = approve(approval, approver2)

    assert (first.state, first.given) == ("pending", 1)
    assert (second.state, second.given) == ("approved", 2)


def test_one_person_counts_once_however_often_they_say_yes(approver):
    approval = make_request(demand(quorum=2))
    approve(approval, approver)

    with pytest.raises(seats.AlreadyDecided):
        approve(approval, approver)

    approval.refresh_from_db()
    assert (approval.state, approval.given) == ("pending", 1)


def test_each_rule_needs_its_own_role(approver, compliance):
    approval = make_request(demand("approver"), demand("compliance"))

    first = approve(approval, approver)
    second = approve(approval, compliance)

    assert (first.required, first.given, first.state) == (2, 1, "pending")
    assert (second.given, second.state) == (2, "approved")


def test_a_second_yes_of_a_role_that_has_spoken_is_not_counted_for_another(approver, approver2):
    approval = make_request(demand("approver"), demand("compliance"))
    approve(approval, approver)

    with pytest.raises(seats.RoleMissing, match="still missing is: compliance"):
        approve(approval, approver2)

    approval.refresh_from_db()
    assert (approval.given, approval.state) == (1, "pending")


def test_two_rules_of_the_same_role_need_two_people(approver, approver2):
    approval = make_request(demand(rule="amount"), demand(rule="risk"))

    first = approve(approval, approver)
    second = approve(approval, approver2)

    assert (first.state, second.state) == ("pending", "approved")
    assert set(Decision.objects.values_list("rule", flat=True)) == {"amount", "risk"}


def test_a_person_with_two_roles_takes_the_rarer_seat(approver):
    both = make_user("both", role=["approver", "compliance"])
    approval = make_request(demand("approver"), demand("compliance"))

    approve(approval, both)
    settled = approve(approval, approver)

    assert settled.state == "approved"
    assert Decision.objects.get(person=both).role == "compliance"


def test_a_person_with_two_roles_fills_only_one_of_two_seats():
    both = make_user("both", role=["approver", "compliance"])
    approval = make_request(demand("approver"), demand("compliance"))
    approve(approval, both)

    with pytest.raises(seats.AlreadyDecided):
        approve(approval, both)

    assert Decision.objects.count() == 1


@pytest.mark.parametrize("part", ["requested_by", "excluded"])
def test_nobody_decides_what_they_have_a_part_in(approver, part):
    approval = make_request(**{part: "approver" if part == "requested_by" else ["approver"]})

    with pytest.raises(seats.OwnRequest):
        approve(approval, approver)

    assert refusals() == [("refused.approve", "approver")]
    assert not Decision.objects.exists()


def test_not_even_a_superuser_approves_what_they_asked_for(admin):
    approval = make_request(requested_by="admin")

    with pytest.raises(seats.OwnRequest):
        approve(approval, admin)

    approval.refresh_from_db()
    assert approval.state == "pending"


def test_what_a_token_asked_for_its_owner_does_not_approve(approver):
    make_token(approver, name="night job")
    approval = make_request(requested_by="token:night job")

    with pytest.raises(seats.OwnRequest):
        approve(approval, approver)

    assert not Decision.objects.exists()


def test_the_owner_of_a_rule_that_asks_does_not_answer(approver):
    make_rule("credit-notes", owner=approver)
    approval = make_request(demand(rule="credit-notes"))

    with pytest.raises(seats.OwnRequest):
        approve(approval, approver)

    assert "approver" in approval.excluded


def test_a_yes_to_another_digest_is_refused_and_entered(approver):
    approval = make_request()

    with pytest.raises(seats.StaleDigest):
        approve(approval, approver, digest=OTHER_DIGEST)

    assert refusals() == [("refused.approve", "approver")]
    assert Entry.objects.get(verb="refused.approve").incident_id == 7


def test_who_lacks_the_role_is_told_which(operator):
    approval = make_request()

    with pytest.raises(seats.RoleMissing, match="approver"):
        approve(approval, operator)

    assert refusals() == [("refused.approve", "operator")]


def test_a_request_of_another_unit_is_not_there():
    elsewhere = make_user("elsewhere", role="approver", units=["US"])
    approval = make_request(business_unit="EU")

    with pytest.raises(seats.NotThere):
        approve(approval, elsewhere)

    assert not Decision.objects.exists()


def test_a_role_that_was_taken_away_meanwhile_no_longer_decides():
    approval, approver = make_request(), make_user("twofold", role=["approver", "viewer"])
    assert roles_of(approver) == {"approver", "viewer"}
    User.objects.get(pk=approver.pk).groups.remove(Group.objects.get(name="approver"))

    with pytest.raises(seats.RoleMissing):
        approve(approval, approver)

    assert not Decision.objects.exists()


def test_who_has_left_decides_nothing(approver):
    approval = make_request()
    User.objects.filter(pk=approver.pk).update(is_active=False)

    with pytest.raises(seats.NotThere):
        approve(approval, approver)

    assert not Decision.objects.exists()


def test_what_ran_out_is_not_approved_although_nobody_swept_it_yet(approver):
    approval = run_out(make_request())

    with pytest.raises(seats.Settled):
        approve(approval, approver)

    assert not Decision.objects.exists()


def test_a_no_settles_at_once_with_its_reason(approver):
    approval = make_request(demand(quorum=2))

    settled = actions.decide(approval, by=approver, verdict="reject", digest=DIGEST, comment=" Wrong customer. ")

    assert (settled.state, settled.state_reason) == ("rejected", "Wrong customer.")
    assert Entry.objects.get(verb="approval.rejected").reason == "Wrong customer."


def test_a_no_may_come_from_a_role_that_has_said_yes_already(approver, approver2):
    approval = make_request(demand("approver"), demand("compliance"))
    approve(approval, approver)

    settled = actions.decide(approval, by=approver2, verdict="reject", digest=DIGEST, comment="I know better.")

    assert settled.state == "rejected"


def test_a_no_without_a_reason_is_sent_back(approver):
    approval = make_request()

    with pytest.raises(Invalid) as refused:
        actions.decide(approval, by=approver, verdict="reject", digest=DIGEST, comment="  ")

    assert refused.value.errors == {"comment": ["A reason is needed to reject."]}
    assert not Decision.objects.exists()


@pytest.mark.parametrize("comment", ["x" * 2001, "nul \0 byte"])
def test_a_comment_that_cannot_be_kept_is_sent_back(approver, comment):
    approval = make_request()

    with pytest.raises(Invalid):
        approve(approval, approver, comment=comment)

    assert not Decision.objects.exists()


def test_there_are_only_two_verdicts(approver):
    approval = make_request()

    with pytest.raises(Invalid, match="approve or reject"):
        actions.decide(approval, by=approver, verdict="perhaps", digest=DIGEST)

    assert not Decision.objects.exists()


def test_what_is_settled_stays_settled(approver, approver2):
    approval = make_request()
    approve(approval, approver)

    with pytest.raises(seats.Settled, match="approved already"):
        actions.decide(approval, by=approver2, verdict="reject", digest=DIGEST, comment="Too late.")

    approval.refresh_from_db()
    assert approval.state == "approved"
