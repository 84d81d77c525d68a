"""The forms on an incident's page: each calls one action, says what came of it, and comes back."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from incidents.models import Comment, Incident, Merge
from incidents.states import Status
from playbooks import actions, executions
from playbooks.models import Execution, Plan
from playbooks.states import ExecutionState, PlanState, StepState
from tests.factories import make_user
from tests.playbooks import scenes
from tests.playbooks.mends import make_plan, make_playbook, make_run

pytestmark = pytest.mark.django_db
T = StepState


def post(client, user: User, address: str, **form: object) -> list[str]:
    client.force_login(user)
    answer = client.post(address, form, follow=True)
    assert answer.status_code == 200
    return [str(message) for message in answer.context["messages"]]


def do(client, user: User, incident: Incident, verb: str, **form: object) -> list[str]:
    """Post one of the page's forms as from the page, return what was said, and look at the row again."""
    said = post(
        client, user, reverse("incident-act", args=[incident.pk, verb]), next=incident.get_absolute_url(), **form
    )
    incident.refresh_from_db()
    return said


def test_an_operator_holds_and_releases(client, operator):
    incident = scenes.make_incident(Status.TRIAGED)

    held = do(client, operator, incident, "hold", reason="The customer is on the phone.")
    status = incident.status
    released = do(client, operator, incident, "release")

    assert (held, status) == (["On hold."], Status.ON_HOLD)
    assert (released, incident.status) == (["Released."], Status.TRIAGED)


@pytest.mark.parametrize("verb", ["hold", "dismiss", "reopen"])
def test_what_needs_a_reason_is_not_done_without_one(client, operator, verb):
    incident = scenes.make_incident(Status.RESOLVED if verb == "reopen" else Status.TRIAGED)
    before = incident.status

    said = do(client, operator, incident, verb, reason="  ")

    assert said == ["Nothing was done: A reason is needed."]
    assert incident.status == before


def test_an_operator_dismisses_and_reopens(client, operator):
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)

    do(client, operator, incident, "dismiss", reason="A test invoice.")
    dismissed = incident.status
    do(client, operator, incident, "reopen", reason="It was a real one.")

    assert dismissed == Status.DISMISSED
    assert incident.status == Status.TRIAGED


def test_an_operator_gives_an_incident_to_somebody_and_takes_it_back(client, operator):
    colleague, incident = make_user("colleague", role="operator"), scenes.make_incident(Status.NEEDS_OPERATOR)

    do(client, operator, incident, "assign", to="colleague")
    given = incident.assignee
    do(client, operator, incident, "assign", to="")

    assert given == colleague
    assert incident.assignee is None


def test_an_incident_is_not_given_to_somebody_who_may_not_see_it(client, operator):
    make_user("american", role="operator", units=["US"])
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)

    (said,) = do(client, operator, incident, "assign", to="american")

    assert "may not see" in said
    assert incident.assignee is None


def test_a_name_that_nobody_has_is_refused_in_words(client, operator):
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)

    (said,) = do(client, operator, incident, "assign", to="nobody-of-that-name")

    assert said.startswith("Nothing was done:")


def test_a_comment_is_kept(client, approver):
    incident = scenes.make_incident()

    said = do(client, approver, incident, "comment", text="Ask Anna first.")

    assert said == ["Noted."]
    assert list(Comment.objects.values_list("author", "text")) == [("approver", "Ask Anna first.")]


def test_an_alarm_is_acknowledged(client, operator):
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)
    clock = scenes.make_clock(incident)

    do(client, operator, incident, "acknowledge")

    clock.refresh_from_db()
    assert clock.acknowledged_at is not None


@pytest.mark.parametrize("wanted", ["{0}", "#{0}", "INC-{0}", " inc-{0} "])
def test_an_incident_is_merged_by_number_and_taken_apart_again(client, operator, wanted):
    kept, folded = scenes.make_incident(Status.NEEDS_OPERATOR), scenes.make_incident(Status.NEEDS_OPERATOR)

    do(client, operator, folded, "merge", into=wanted.format(kept.pk), reason="The same invoice.")
    merged_into = folded.merged_into_id
    said = do(client, operator, kept, "unmerge", merge=Merge.objects.get().pk, reason="Two invoices.")
    folded.refresh_from_db()

    assert merged_into == kept.pk
    assert said == ["Taken apart again."]
    assert folded.merged_into_id is None


@pytest.mark.parametrize("wanted", ["abc", "999999", ""])
def test_a_merge_into_nothing_is_refused(client, operator, wanted):
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)

    (said,) = do(client, operator, incident, "merge", into=wanted, reason="The same.")

    assert "Nothing was done" in said or "no such incident" in said
    assert not Merge.objects.exists()


def test_an_incident_is_not_merged_into_one_that_may_not_be_seen(client):
    european = make_user("eu", role="operator", units=["EU"])
    hidden = scenes.make_incident(Status.NEEDS_OPERATOR, business_unit="US", region="US-EAST")
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)

    (said,) = do(client, european, incident, "merge", into=str(hidden.pk), reason="The same.")

    assert "no such incident" in said


def test_a_merge_is_taken_apart_only_once(client, operator):
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)

    (said,) = do(client, operator, incident, "unmerge", merge=12, reason="Two invoices.")

    assert "taken apart already" in said


@pytest.mark.parametrize("verb", ["hold", "dismiss", "assign", "replan", "take-over"])
def test_an_approver_does_not_do_an_operators_work(client, approver, verb):
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)

    (said,) = do(client, approver, incident, verb, reason="please")

    assert "Operators" in said
    assert incident.status == Status.NEEDS_OPERATOR


def test_another_units_incident_cannot_be_touched(client):
    incident = scenes.make_incident(Status.NEEDS_OPERATOR, business_unit="US", region="US-EAST")
    client.force_login(make_user("eu", role="operator", units=["EU"]))

    answer = client.post(reverse("incident-act", args=[incident.pk, "hold"]), {"reason": "mine now"})

    assert answer.status_code == 404


def test_an_action_that_does_not_exist_is_not_there(client, operator):
    client.force_login(operator)

    assert client.post(reverse("incident-act", args=[scenes.make_incident().pk, "explode"])).status_code == 404


def test_a_look_changes_nothing(client, operator):
    client.force_login(operator)

    assert client.get(reverse("incident-act", args=[scenes.make_incident().pk, "hold"])).status_code == 405


def test_taking_over_stops_the_loop_and_voids_the_plan(client, operator):
    incident, plan, _ = scenes.waiting_for_approval()

    said = do(client, operator, incident, "take-over")

    plan.refresh_from_db()
    assert said == ["It is yours; the loop has stopped."]
    assert (incident.status, incident.assignee) == (Status.NEEDS_OPERATOR, operator)
    assert plan.state == PlanState.VOID


def test_planning_again_sends_the_incident_back_to_its_evidence(client, operator):
    incident, plan, approval = scenes.waiting_for_approval()

    do(client, operator, incident, "replan", reason="The price has changed.")

    plan.refresh_from_db()
    approval.refresh_from_db()
    assert incident.status == Status.TRIAGED
    assert (plan.state, approval.state) == (PlanState.VOID, "void")


def test_a_running_execution_is_asked_to_stop(client, operator):
    incident = scenes.make_incident(Status.EXECUTING)
    run = make_run(make_plan(incident, PlanState.APPROVED), ExecutionState.RUNNING, T.VERIFIED, T.SENT)

    said = post(client, operator, reverse("execution-cancel", args=[run.pk]))

    run.refresh_from_db()
    assert said == ["It stops before its next step."]
    assert run.cancel_requested


def test_an_undo_needs_a_reason(client, operator):
    _, _, run = scenes.resolved()

    (said,) = post(client, operator, reverse("execution-rollback", args=[run.pk]), reason="")

    assert "A reason is needed." in said
    assert not Execution.objects.filter(undoes=run).exists()


def test_an_undo_is_handed_to_the_one_action_that_knows_how(client, operator, monkeypatch):
    incident, plan, run = scenes.resolved()
    asked: list[object] = []

    def begin(execution: Execution, *, actor: str, reason: str, **_: object) -> Execution:
        asked.append((execution.pk, actor, reason))
        back = {"direction": Execution.Direction.BACKWARD, "undoes": run, "approval_id": 7}
        return make_run(plan, ExecutionState.WAITING, T.PLANNED, T.PLANNED, **back)

    monkeypatch.setattr(executions, "foresee_undo", lambda execution, steps: [])
    monkeypatch.setattr(executions, "begin_rollback", begin)

    said = post(client, operator, reverse("execution-rollback", args=[run.pk]), reason="Wrong customer.")

    incident.refresh_from_db()
    assert asked == [(run.pk, "operator", "Wrong customer.")]
    assert said == ["The undo waits for an approval."]
    assert incident.status == Status.ROLLING_BACK


def test_an_execution_of_another_unit_is_not_there(client):
    _, _, run = scenes.resolved(business_unit="US", region="US-EAST")
    client.force_login(make_user("eu", role="operator", units=["EU"]))

    assert client.post(reverse("execution-rollback", args=[run.pk]), {"reason": "x"}).status_code == 404
    assert client.post(reverse("execution-cancel", args=[run.pk])).status_code == 404


def slotted() -> Plan:
    """A plan whose playbook leaves a carrier to choose."""
    slots = {"carrier": {"values": ["DHL", "UPS"], "default": "'DHL'"}, "days": {"values": [1, 2], "default": "2"}}
    make_playbook(slots=slots)
    return scenes.waiting_for_approval()[1]


def test_editing_offers_the_candidates_and_their_values(client, operator):
    plan = slotted()
    client.force_login(operator)

    page = client.get(reverse("plan-edit", args=[plan.pk])).content.decode()

    assert "credit-duplicate-invoice" in page
    assert '<option value="0" selected>DHL</option>' in page
    assert '<option value="1" selected>2</option>' in page
    assert "proposed now" in page


def test_an_edit_hands_over_values_as_they_were_offered(client, operator, monkeypatch):
    plan, taken = slotted(), []
    monkeypatch.setattr(actions, "edit_plan", lambda plan, **given: taken.append(given))
    form = {"playbook": "credit-duplicate-invoice", "slot-carrier": "1", "slot-days": "0"}

    said = post(client, operator, reverse("plan-edit", args=[plan.pk]), **form)

    assert taken[0]["slots"] == {"carrier": "UPS", "days": 1}
    assert said == ["A new plan was made. Someone else has to approve it."]


def test_a_value_that_was_not_offered_is_refused(client, operator):
    plan = slotted()
    form = {"playbook": "credit-duplicate-invoice", "slot-carrier": "9"}

    (said,) = post(client, operator, reverse("plan-edit", args=[plan.pk]), **form)

    plan.refresh_from_db()
    assert said.startswith("Nothing was done:")
    assert plan.state == PlanState.ASKED


def test_a_playbook_that_is_no_candidate_is_refused(client, operator):
    plan = slotted()

    (said,) = post(client, operator, reverse("plan-edit", args=[plan.pk]), playbook="delete-everything")

    assert "does not fit" in said


def test_no_candidate_says_what_else_to_do(client, operator):
    incident = scenes.make_incident(Status.AWAITING_APPROVAL)
    plan = make_plan(incident)
    client.force_login(operator)

    page = client.get(reverse("plan-edit", args=[plan.pk])).content.decode()

    assert "No playbook fits" in page
