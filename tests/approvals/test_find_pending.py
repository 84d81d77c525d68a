"""What waits for a person, found by the database as the decision itself would find it."""

import pytest
from django.contrib.auth.models import AnonymousUser

from approvals import actions, seats
from approvals.access import pending_count, pending_for, why_not
from approvals.models import ApprovalRequest
from audit.access import grant
from tests.approvals.factories import DIGEST, demand, lend, make_request, run_out
from tests.factories import make_token, make_user

pytestmark = pytest.mark.django_db


def waiting(user) -> list[int]:
    return list(pending_for(user).order_by("subject_id").values_list("subject_id", flat=True))


def test_a_request_waits_for_those_who_hold_its_role(approver, operator):
    make_request()

    assert (waiting(approver), waiting(operator)) == ([1], [])
    assert pending_count(approver) == 1


def test_it_waits_no_more_for_who_has_decided(approver, approver2):
    approval = make_request(demand(quorum=2))
    actions.decide(approval, by=approver, verdict="approve", digest=DIGEST)

    assert (waiting(approver), waiting(approver2)) == ([], [1])


def test_it_waits_no_more_for_a_role_that_has_spoken(approver, approver2, compliance):
    approval = make_request(demand("approver"), demand("compliance"))
    actions.decide(approval, by=approver, verdict="approve", digest=DIGEST)

    assert (waiting(approver2), waiting(compliance)) == ([], [1])


def test_it_does_not_wait_for_who_has_a_part_in_it(approver, admin):
    make_token(approver, name="night job")
    make_request(requested_by="approver")
    make_request(subject_id=2, excluded=["approver"])
    make_request(subject_id=3, requested_by="token:night job")
    make_request(subject_id=4, requested_by="admin")

    assert waiting(approver) == [4]
    assert waiting(admin) == [1, 2, 3]


def test_it_does_not_wait_for_other_units(approver):
    elsewhere = make_user("elsewhere", role="approver", units=["US"])
    make_request(business_unit="EU")

    assert waiting(elsewhere) == []


def test_a_single_grant_opens_a_request_of_another_unit():
    elsewhere = make_user("elsewhere", role="approver", units=["US"])
    grant(elsewhere, make_request(business_unit="EU"))

    assert waiting(elsewhere) == [1]


def test_what_ran_out_or_was_settled_waits_for_nobody(approver):
    run_out(make_request())
    actions.decide(make_request(subject_id=2), by=approver, verdict="reject", digest=DIGEST, comment="No.")

    assert waiting(approver) == []


def test_a_lent_voice_brings_its_requests_along(approver, operator):
    lend(approver, operator)
    make_request()
    make_request(demand("compliance"), subject_id=2)

    assert waiting(operator) == [1]


def test_a_voice_lent_for_one_request_brings_only_that(approver, operator):
    actions.delegate(make_request(), by=approver, to=operator, reason="On leave.")
    make_request(subject_id=2)

    assert waiting(operator) == [1]


def test_nothing_waits_for_the_anonymous_and_for_programs(integration):
    make_request()

    assert waiting(AnonymousUser()) == []
    assert waiting(integration) == []
    assert not seats.visible_to(integration).exists()


@pytest.mark.parametrize("role", ["viewer", "operator", "approver", "compliance", "automation_admin", "auditor"])
def test_the_list_and_the_decision_agree(role, approver):
    person = make_user("person", role=role)
    lend(approver, make_user("other", role="operator"))
    make_request(demand("approver"), demand("compliance"))
    make_request(subject_id=2, excluded=["person"])
    make_request(demand("operator"), subject_id=3, business_unit="US")

    agreed = {one.subject_id for one in ApprovalRequest.objects.all() if not why_not(one, person)}

    assert set(waiting(person)) == agreed


def test_the_number_of_queries_does_not_grow_with_the_requests(approver, django_assert_max_num_queries):
    for number in range(30):
        make_request(subject_id=number)

    with django_assert_max_num_queries(9):
        assert len(waiting(approver)) == 30
