"""Lending one's voice: who may, to whom, and that it stays one voice."""

import pytest

from approvals import actions, seats
from approvals.models import Decision, Delegation
from audit.errors import Invalid
from audit.models import Entry
from tests.approvals.factories import DIGEST, OTHER_DIGEST, demand, lend, make_request, run_out
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def approve(approval, by):
    return actions.decide(approval, by=by, verdict="approve", digest=DIGEST)


def hand_over(approval, by, to, **changes):
    return actions.delegate(approval, by=by, to=to, **{"reason": "On leave.", **changes})


def test_a_lent_voice_decides_on_behalf_of_its_giver(approver, operator):
    approval = make_request()
    hand_over(approval, approver, operator)

    settled = approve(approval, operator)

    decision = Decision.objects.get()
    assert settled.state == "approved"
    assert (decision.person, decision.on_behalf_of, decision.role) == (operator, approver, "approver")


def test_lending_is_entered_with_its_reason(approver, operator):
    approval = make_request()

    hand_over(approval, approver, operator)

    entry = Entry.objects.get(verb="approval.delegated")
    assert (entry.actor, entry.reason, entry.target_id) == ("approver", "On leave.", str(approval.pk))
    assert '"to":"operator"' in entry.body


def test_a_lent_voice_ends_with_the_request(approver, operator):
    approval = make_request()

    delegation = hand_over(approval, approver, operator)

    assert (delegation.request, delegation.ends_at) == (approval, approval.expires_at)


def test_giver_and_taker_have_one_voice_between_them(approver, operator):
    approval = make_request(demand(quorum=2))
    hand_over(approval, approver, operator)
    approve(approval, operator)

    with pytest.raises(seats.AlreadyDecided):
        approve(approval, approver)

    assert Decision.objects.count() == 1


def test_a_giver_who_decides_after_all_leaves_the_taker_nothing(approver, operator):
    approval = make_request(demand(quorum=2))
    hand_over(approval, approver, operator)
    approve(approval, approver)

    with pytest.raises(seats.RoleMissing):
        approve(approval, operator)

    assert Decision.objects.get().person == approver


def test_a_taker_with_a_voice_of_their_own_uses_that(approver, approver2):
    approval = make_request(demand(quorum=2))
    hand_over(approval, approver, approver2)

    approve(approval, approver2)
    settled = approve(approval, approver)

    assert settled.state == "approved"
    assert set(Decision.objects.values_list("on_behalf_of", flat=True)) == {None}


def test_nobody_casts_two_votes_their_own_and_a_lent_one(approver, approver2):
    approval = make_request(demand(quorum=2))
    hand_over(approval, approver, approver2)
    approve(approval, approver2)

    with pytest.raises(seats.AlreadyDecided):
        approve(approval, approver2)

    assert Decision.objects.count() == 1


def test_who_asked_cannot_lend_a_voice_to_get_a_yes(approver, operator):
    approval = make_request(requested_by="approver")

    with pytest.raises(seats.OwnRequest):
        hand_over(approval, approver, operator)

    assert Entry.objects.filter(verb="refused.delegate", actor="approver").exists()


def test_who_asked_cannot_be_lent_a_voice(approver, operator):
    approval = make_request(requested_by="operator")

    with pytest.raises(seats.OwnRequest):
        hand_over(approval, approver, operator)

    assert not Delegation.objects.exists()


def test_a_standing_delegation_of_who_asked_gives_no_voice(approver, operator):
    lend(approver, operator)
    approval = make_request(requested_by="approver")

    with pytest.raises(seats.RoleMissing):
        approve(approval, operator)

    assert not Decision.objects.exists()


def test_a_standing_delegation_covers_every_request_for_its_time(approver, operator):
    lend(approver, operator)

    settled = approve(make_request(), operator)

    assert settled.state == "approved"


@pytest.mark.parametrize(("days", "since_days"), [(-1, 7), (7, -1)])
def test_a_standing_delegation_gives_nothing_before_and_after_its_time(approver, operator, days, since_days):
    lend(approver, operator, days=days, since_days=since_days)

    with pytest.raises(seats.RoleMissing):
        approve(make_request(), operator)

    assert not Decision.objects.exists()


def test_a_lent_voice_is_not_lent_on(approver, operator, automation):
    approval = make_request()
    hand_over(approval, approver, operator)

    with pytest.raises(seats.RoleMissing):
        hand_over(approval, operator, automation)

    assert Delegation.objects.count() == 1


def test_a_voice_for_another_request_counts_only_there(approver, operator):
    hand_over(make_request(), approver, operator)
    other = make_request(subject_id=2)

    with pytest.raises(seats.RoleMissing):
        approve(other, operator)

    assert not Decision.objects.exists()


@pytest.mark.parametrize("role", ["viewer", "auditor", "integration", ""])
def test_who_only_looks_on_is_not_lent_a_voice(approver, role):
    onlooker = make_user("onlooker", role=role)

    with pytest.raises(Invalid) as refused:
        hand_over(make_request(), approver, onlooker)

    assert "to" in refused.value.errors
    assert not Delegation.objects.exists()


def test_who_works_for_another_unit_is_not_lent_a_voice(approver):
    elsewhere = make_user("elsewhere", role="operator", units=["US"])

    with pytest.raises(Invalid):
        hand_over(make_request(business_unit="EU"), approver, elsewhere)

    assert not Delegation.objects.exists()


def test_a_giver_of_another_unit_lends_nothing(operator):
    lend(make_user("elsewhere", role="approver", units=["US"]), operator)

    with pytest.raises(seats.RoleMissing):
        approve(make_request(business_unit="EU"), operator)

    assert not Decision.objects.exists()


def test_a_giver_who_has_left_lends_nothing(approver, operator):
    lend(approver, operator)
    approver.is_active = False
    approver.save()

    with pytest.raises(seats.RoleMissing):
        approve(make_request(), operator)

    assert not Decision.objects.exists()


def test_nobody_lends_a_voice_to_themselves(approver):
    with pytest.raises(Invalid):
        hand_over(make_request(), approver, approver)

    assert not Delegation.objects.exists()


def test_who_has_decided_has_no_voice_left_to_be_lent_one(approver, approver2, compliance):
    approval = make_request(demand("approver", 2), demand("compliance"))
    approve(approval, approver2)

    with pytest.raises(seats.AlreadyDecided):
        hand_over(approval, approver, approver2)

    assert not Delegation.objects.exists()


def test_a_reason_that_cannot_be_kept_is_sent_back(approver, operator):
    with pytest.raises(Invalid) as refused:
        hand_over(make_request(), approver, operator, reason="x" * 2001)

    assert "comment" in refused.value.errors


def test_lending_is_bound_to_the_digest_too(approver, operator):
    with pytest.raises(seats.StaleDigest):
        hand_over(make_request(), approver, operator, digest=OTHER_DIGEST)

    assert not Delegation.objects.exists()


def test_what_ran_out_is_not_handed_on(approver, operator):
    approval = run_out(make_request())

    with pytest.raises(seats.Settled):
        hand_over(approval, approver, operator)

    assert not Delegation.objects.exists()
