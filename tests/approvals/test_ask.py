"""Putting a question, taking it back, letting it run out, and what stands."""

from datetime import timedelta

import pytest

from approvals import actions
from approvals.models import ApprovalRequest
from approvals.signals import approval_settled
from approvals.states import State
from audit.clock import db_now
from audit.errors import IllegalMove, Invalid
from audit.models import Entry
from tests.approvals.factories import DIGEST, OTHER_DIGEST, demand, make_request, question, run_out

pytestmark = pytest.mark.django_db


def yes(approval, by):
    return actions.decide(approval, by=by, verdict="approve", digest=DIGEST)


def test_a_request_sums_up_what_its_requirements_ask():
    approval = make_request(demand("approver", 2, expires_minutes=60), demand("compliance", expires_minutes=30))

    assert (approval.state, approval.required, approval.given) == ("pending", 3, 0)
    assert approval.expires_at - approval.created_at == timedelta(minutes=30)
    assert approval.asked_because == "money is posted; approver is asked; compliance is asked"
    assert approval.open_roles == "\napprover\ncompliance\n"


def test_asking_is_entered_with_what_is_asked():
    approval = make_request()

    entry = Entry.objects.get(verb="approval.asked")
    assert (entry.actor, entry.target_id, entry.incident_id) == ("system:loop", str(approval.pk), 7)
    assert DIGEST in entry.body


def test_the_same_question_again_is_the_same_request():
    first = make_request()

    again = make_request()

    assert again.pk == first.pk
    assert Entry.objects.filter(verb="approval.asked").count() == 1


def test_another_digest_is_not_asked_about_while_one_stands():
    make_request()

    with pytest.raises(actions.AlreadyAsked):
        make_request(digest=OTHER_DIGEST)

    assert ApprovalRequest.objects.count() == 1


def test_after_it_was_taken_back_another_digest_may_be_asked_about():
    first = make_request()
    actions.void("plan", 1, reason="The record changed.", actor="system:loop")

    second = make_request(digest=OTHER_DIGEST)

    assert second.pk != first.pk
    assert (second.state, second.digest) == ("pending", OTHER_DIGEST)


@pytest.mark.parametrize("changes", [{"requirements": []}, {"digest": ""}])
def test_a_question_to_nobody_or_about_nothing_is_refused(changes):
    asked = actions.Question(**{**vars(question()), **changes})

    with pytest.raises(Invalid):
        actions.ask(asked)

    assert not ApprovalRequest.objects.exists()


def test_two_demands_of_one_rule_for_one_role_count_together(approver, approver2):
    approval = make_request(demand(rule="same"), demand(rule="same"))

    first = yes(approval, approver)
    second = yes(approval, approver2)

    assert (approval.required, first.state, second.state) == (2, "pending", "approved")


def test_whoever_asked_is_always_among_the_excluded():
    approval = make_request(requested_by="operator", excluded=["automation", ""])

    assert approval.excluded == ["automation", "operator"]
    assert approval.barred == "\nautomation\noperator\n"


def test_a_yes_stands_for_its_own_digest_only(approver):
    approval = yes(make_request(), approver)

    assert actions.standing("plan", 1, DIGEST) == approval
    assert actions.standing("plan", 1, OTHER_DIGEST) is None
    assert actions.standing("rollback", 1, DIGEST) is None


def test_a_question_without_an_answer_is_no_yes():
    make_request()

    assert actions.standing("plan", 1, DIGEST) is None


def test_a_yes_stands_only_as_long_as_the_question_did(approver):
    run_out(yes(make_request(), approver))

    assert actions.standing("plan", 1, DIGEST) is None


def test_a_yes_is_taken_back_when_what_it_was_for_has_drifted(approver):
    yes(make_request(), approver)

    taken = actions.void("plan", 1, reason="The invoice was edited.", actor="system:loop")

    assert taken is not None
    assert (taken.state, taken.state_reason) == ("void", "The invoice was edited.")
    assert actions.standing("plan", 1, DIGEST) is None
    assert Entry.objects.get(verb="approval.voided").reason == "The invoice was edited."


def test_where_nothing_stands_there_is_nothing_to_take_back(approver):
    actions.decide(make_request(), by=approver, verdict="reject", digest=DIGEST, comment="No.")

    assert actions.void("plan", 1, reason="again", actor="system:loop") is None


def test_what_was_rejected_moves_no_more(approver):
    approval = actions.decide(make_request(), by=approver, verdict="reject", digest=DIGEST, comment="No.")

    with pytest.raises(IllegalMove):
        actions.settle(approval, State.APPROVED, reason="", now=db_now())

    approval.refresh_from_db()
    assert approval.state == "rejected"


def test_an_unanswered_question_runs_out_by_the_databases_time():
    due, later = run_out(make_request()), make_request(subject_id=2)

    settled = actions.expire_due()

    due.refresh_from_db()
    later.refresh_from_db()
    assert (settled, due.state, later.state) == (1, "expired", "pending")
    assert due.state_reason == "Nobody completed it in time: 0 of 1 said yes."
    assert Entry.objects.get(verb="approval.expired").actor == "system:approvals"


def test_what_ran_out_is_told_to_the_floor_above_once():
    run_out(make_request())
    heard = []

    def hear(approval: ApprovalRequest, **kwargs: object) -> None:
        heard.append(approval.state)

    approval_settled.connect(hear)

    actions.expire_due()
    actions.expire_due()

    approval_settled.disconnect(hear)
    assert heard == ["expired"]


def test_an_answered_question_does_not_run_out(approver):
    run_out(yes(make_request(), approver))

    assert actions.expire_due() == 0
