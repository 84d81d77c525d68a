"""A ticket that people close takes back what an approver was asked about it, and never what is being carried out."""

from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from approvals.seats import Settled
from audit.clock import db_now
from audit.errors import LostRace
from audit.models import Entry
from connectors.models import Connection, Delivery
from incidents import tickets
from incidents.models import Incident
from incidents.states import Status
from incidents.ticket_models import Ticket
from playbooks import actions, loop
from playbooks.models import Plan, Playbook, PlaybookVersion
from playbooks.states import PlanState
from tests.incidents.factories import put
from tests.racing import at_once
from tests.tickets.worlds import Desk, hurry, judge, look_into, make_kind

pytestmark = pytest.mark.django_db(transaction=True)
CAUSES = [
    {
        "id": "asked",
        "label": "The customer asked",
        "statements": [
            {"text": "There is a case.", "grade": "observed", "checks": [{"check": "case != null", "cites": ["case"]}]}
        ],
    }
]
WRITES: dict[str, dict[str, Any]] = {
    "salesforce": {
        "operation": "case.comment",
        "arguments": {"case": "incident.attributes.case_id", "text": "'We look into it.'"},
    },
    "dataverse": {
        "operation": "record.update",
        "arguments": {"table": "'incident'", "id": "incident.attributes.case_id", "values": "{'prioritycode': 1}"},
    },
}


def make_answer(desk: Desk) -> PlaybookVersion:
    """A playbook that writes on the case once an approver has agreed."""
    step = {"name": "answer", "title": "Answer", "connection": desk.connection.slug, **WRITES[desk.kind]}
    text = {"rationale": "The customer waits.", "autonomy": None, "steps": [step]}
    playbook = Playbook.objects.create(slug="answer", label="Answer", kind_code="service_case")
    Connection.objects.filter(pk=desk.connection.pk).update(operations=["case.tell", WRITES[desk.kind]["operation"]])
    return PlaybookVersion.objects.create(
        playbook=playbook, number=1, definition=text, digest="a", active=True, author="x", created_at=db_now()
    )


@pytest.fixture
def asked(desk: Desk) -> Incident:
    """An incident that is a ticket, and waits for an approver."""
    make_answer(desk)
    incident = desk.incident(causes=CAUSES)
    assert incident.status == Status.AWAITING_APPROVAL, incident.status_reason
    return incident


def effects(desk: Desk) -> int:
    """Count what was written for a plan, by the system's own ledger."""
    rows = desk.simulated.client.get("/ledger/effects").raise_for_status().json()
    return sum(bool(row["effect_key"]) and row["kind"] != "side_effect" for row in rows)


def plan_of(incident: Incident) -> Plan:
    return incident.plans.latest("number")


def question_of(incident: Incident) -> ApprovalRequest:
    return ApprovalRequest.objects.filter(incident_id=incident.pk).latest("pk")


def say(incident: Incident, by: User, verdict: str = "approve") -> ApprovalRequest:
    asked = question_of(incident)
    return approvals.decide(asked, by=by, verdict=verdict, digest=asked.digest, comment="So be it.")


def close(desk: Desk, incident: Incident) -> Incident:
    desk.close()
    desk.hear()
    incident.refresh_from_db()
    return incident


def test_what_an_approver_was_asked_about_a_closed_ticket_is_taken_back(
    desk: Desk, asked: Incident, approver: User
) -> None:
    plan, question = plan_of(asked), question_of(asked)

    close(desk, asked)

    plan.refresh_from_db()
    question.refresh_from_db()
    reason = f"{Ticket.objects.get()} was closed in {desk.connection.slug}: looked into."
    assert (asked.status, asked.status_reason) == (Status.TRIAGED, reason)
    assert (plan.state, plan.state_reason) == (PlanState.VOID, reason)
    assert (question.state, question.state_reason) == ("void", reason)
    assert Entry.objects.get(verb="approval.voided").reason == Entry.objects.get(verb="plan.void").reason == reason
    with pytest.raises(Settled):
        approvals.decide(question, by=approver, verdict="approve", digest=question.digest)
    look_into(asked)
    assert asked.status == Status.DISMISSED
    assert "the ticket is closed." in asked.status_reason
    assert effects(desk) == 0


def test_the_approvers_page_says_why_it_was_taken_back(desk: Desk, asked: Incident, approver: User) -> None:
    close(desk, asked)
    client = Client()
    client.force_login(approver)

    page = client.get(question_of(asked).get_absolute_url()).content.decode()

    assert "was closed in" in page


def test_where_there_is_still_something_to_mend_it_is_asked_anew_and_once(desk: Desk) -> None:
    make_answer(desk)
    incident = desk.incident(causes=CAUSES, healed="''")
    first = question_of(incident)
    close(desk, incident)
    look_into(incident)
    second = question_of(incident)
    desk.touch()
    desk.hear()

    assert (incident.status, plan_of(incident).number) == (Status.AWAITING_APPROVAL, 2)
    assert (first.pk < second.pk, second.state) == (True, "pending")


def test_a_yes_that_nothing_was_begun_on_is_taken_back_too(desk: Desk, asked: Incident, approver: User) -> None:
    say(asked, approver)
    close(desk, asked)
    look_into(asked)

    assert (asked.status, plan_of(asked).state, question_of(asked).state) == (Status.DISMISSED, PlanState.VOID, "void")
    assert effects(desk) == 0


def test_a_no_stays_a_no_and_the_incident_is_looked_into(desk: Desk, asked: Incident, approver: User) -> None:
    say(asked, approver, "reject")
    close(desk, asked)

    assert (asked.status, question_of(asked).state) == (Status.TRIAGED, "rejected")
    assert (plan_of(asked).state, plan_of(asked).state_reason) == (PlanState.REJECTED, "So be it.")
    assert look_into(asked).status == Status.DISMISSED


def test_a_plan_that_was_edited_and_is_not_asked_about_yet_is_taken_back(desk: Desk, asked: Incident) -> None:
    approvals.void("plan", plan_of(asked).pk, reason="Edited.", actor="operator")
    Plan.objects.filter(incident=asked).update(state=PlanState.DRAFT)

    assert close(desk, asked).status == Status.TRIAGED
    assert plan_of(asked).state == PlanState.VOID


@pytest.mark.parametrize("status", [Status.EXECUTING, Status.VERIFYING, Status.ROLLING_BACK, Status.ON_HOLD])
def test_what_is_carried_out_or_held_goes_on(desk: Desk, asked: Incident, approver: User, status: Status) -> None:
    say(asked, approver)
    Plan.objects.filter(incident=asked).update(state=PlanState.APPROVED)
    put(asked, status)

    close(desk, asked)

    assert Ticket.objects.get().closed
    assert (asked.status, plan_of(asked).state, question_of(asked).state) == (status, PlanState.APPROVED, "approved")


def test_what_was_begun_before_the_closing_is_carried_out_to_its_end(
    desk: Desk, asked: Incident, approver: User
) -> None:
    say(asked, approver)
    look_into(asked)
    close(desk, asked)

    assert (asked.status, plan_of(asked).state, effects(desk)) == (Status.RESOLVED, PlanState.EXECUTED, 1)


def test_a_ticket_that_only_is_named_takes_nothing_back(desk: Desk) -> None:
    make_answer(desk)
    incident = desk.incident(causes=CAUSES, closes=False)

    assert close(desk, incident).status == Status.AWAITING_APPROVAL
    assert question_of(incident).state == "pending"


def test_a_plan_that_moves_while_its_ticket_closes_is_met_where_it_stands(
    desk: Desk, asked: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, tries = tickets.look_again, []

    def too_late_at_first(incident: Incident, **how: Any) -> Incident:
        tries.append(incident.pk)
        if len(tries) == 1:
            raise LostRace("Its plan was moved by someone else.")
        return whole(incident, **how)

    monkeypatch.setattr(tickets, "look_again", too_late_at_first)

    assert close(desk, asked).status == Status.TRIAGED
    assert len(tries) == 2


# --- at the same moment ----------------------------------------------------------------------------
def test_a_yes_and_a_closing_at_the_same_moment_are_one_after_the_other(desk: Desk, approver: User) -> None:
    make_answer(desk)
    make_kind(desk, causes=CAUSES)
    for number in range(6):
        incident = _closing(desk, number)

        yes, judged = at_once(partial(say, incident, approver), judge)
        look_into(incident)

        assert not isinstance(yes, Exception) or isinstance(yes, Settled)
        assert not isinstance(judged, Exception), judged
        assert (incident.status, plan_of(incident).state) == (Status.DISMISSED, PlanState.VOID)
        assert question_of(incident).state == "void"
    assert effects(desk) == 0


def test_of_the_loop_that_begins_and_a_closing_at_the_same_moment_one_wins(desk: Desk, approver: User) -> None:
    make_answer(desk)
    make_kind(desk, causes=CAUSES)
    done = 0
    for number in range(6):
        incident = _closing(desk, number)
        say(incident, approver)

        went, judged = at_once(partial(loop.advance, incident.pk), judge)
        look_into(incident)

        assert not isinstance(went, Exception), went
        assert not isinstance(judged, Exception), judged
        state = question_of(incident).state
        if incident.status == Status.RESOLVED:
            done += 1
            assert (plan_of(incident).state, state) == (PlanState.EXECUTED, "approved")
        else:
            assert (incident.status, plan_of(incident).state, state) == (Status.DISMISSED, PlanState.VOID, "void")
        assert effects(desk) == done


def test_a_person_who_plans_again_and_a_closing_at_the_same_moment_leave_one_question_or_none(
    desk: Desk, operator: User
) -> None:
    make_answer(desk)
    make_kind(desk, causes=CAUSES)
    for number in range(4):
        incident = _closing(desk, number)

        _, judged = at_once(partial(actions.replan, incident, by=operator), judge)
        look_into(incident)
        hurry()
        judge()

        assert not isinstance(judged, Exception), judged
        assert incident.status == Status.DISMISSED
        standing = ApprovalRequest.objects.filter(incident_id=incident.pk, state__in=("pending", "approved"))
        assert not standing.exists()


def _closing(desk: Desk, number: int) -> Incident:
    """An incident that waits for an approver, and whose ticket was closed a moment ago: we have heard of it only."""
    if number:
        desk.ticket = desk.open()
    desk.hear()
    incident = look_into(Incident.objects.latest("pk"))
    assert incident.status == Status.AWAITING_APPROVAL, incident.status_reason
    desk.close()
    desk.hear_without_judging()
    assert Delivery.objects.filter(processed_at=None).count() == 1
    return incident
