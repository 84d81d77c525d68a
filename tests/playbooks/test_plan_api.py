"""Plans, executions and dead letters over HTTP: the shapes of the contract, and a clear problem for everything else."""

from typing import Any

import pytest

from approvals.models import ApprovalRequest
from audit.models import Entry
from incidents.models import Incident
from incidents.states import Status
from playbooks.models import DeadLetter, Execution, Plan
from tests.factories import make_user
from tests.playbooks.cases import STEP, live_plan, make_freight, make_mend, make_policy
from tests.playbooks.driving import begin, drive, letters
from tests.playbooks.world import CHARGED, COMMENT, CREDIT, World, make_incident, make_plan

SLOTTED = {**STEP, "arguments": {**STEP["arguments"], "amount": "slots.amount"}}
SLOTS = {"amount": {"values": ["84.00", "90.00"], "default": "'84.00'"}}


def asked(**changes: Any) -> tuple[Incident, Plan]:
    """An incident whose plan waits for an approver; policies have spoken."""
    make_policy("true", "needs_approval", message="somebody has to look")
    make_mend(SLOTTED, slots=SLOTS)
    incident = make_freight(**changes)
    drive(incident)
    return incident, live_plan(incident)


def carried_out(world: World, *writes: Any) -> Execution:
    incident = make_incident()
    execution = begin(make_plan(world, incident, *writes))
    drive(incident)
    execution.refresh_from_db()
    return execution


def stuck(world: World) -> tuple[Execution, DeadLetter]:
    world.fault("lock", match="^PATCH .*SalesOrderCharges", count=5)
    execution = carried_out(world, CHARGED)
    [letter] = letters(execution.incident)
    return execution, letter


def is_problem(response: Any, status: int, code: str) -> bool:
    body = response.json()
    return (
        response.status_code == status
        and response["Content-Type"] == "application/problem+json"
        and (body["status"], body["code"]) == (status, code)
        and body["detail"].endswith((".", "anew"))
    )


def test_a_plan_shows_everything_that_is_approved(world, api, viewer):
    _, plan = asked()

    body = api(viewer).get(f"/api/v1/plans/{plan.pk}/").json()

    assert {"id", "digest", "risk_tier", "rationale", "steps", "state", "amount"} <= set(body)
    assert body["digest"] == plan.digest
    assert body["amount"] == {"amount": "28.00", "currency": "EUR"}
    [step] = body["steps"]
    assert (step["operation"], step["connector"], step["reversible"]) == ("charge.update", "fo", True)
    assert step["parameters"]["amount"] == "84.00"
    assert step["expected"] == {"FixedChargeAmount": 84.0}
    assert step["predicted_changes"][0]["record"].startswith("SalesOrderCharges ")
    assert {"record", "field", "before", "after"} <= set(step["predicted_changes"][0])
    assert step["undo"]["operation"] == "charge.update"
    [ruling] = step["guardrails"]
    assert {name: ruling[name] for name in ("policy", "version", "verdict", "reason")} == {
        "policy": "rule",
        "version": 1,
        "verdict": "needs_approval",
        "reason": "somebody has to look",
    }


def test_an_incident_shows_its_plan_its_execution_and_its_outcome(world, api, viewer):
    execution = carried_out(world, CHARGED)

    body = api(viewer).get(f"/api/v1/incidents/{execution.incident_id}/").json()

    assert body["plan"]["id"] == execution.plan_id
    assert body["execution"]["id"] == execution.pk
    assert body["outcome"]["verified"] is True
    assert body["outcome"]["rolled_back"] is None


def test_an_execution_shows_attempts_and_what_was_read_back(world, api, viewer):
    execution = carried_out(world, CREDIT, COMMENT)

    body = api(viewer).get(f"/api/v1/executions/{execution.pk}/").json()

    assert (body["state"], body["direction"], len(body["steps"])) == ("verified", "forward", 2)
    [attempt] = body["steps"][0]["attempts"]
    assert {"request_id", "status", "started_at", "finished_at", "outcome"} <= set(attempt)
    assert attempt["outcome"] == "done"
    [check] = body["steps"][0]["verifications"]
    assert check["matched"] is True
    assert {"expected", "actual", "field"} <= set(check["fields"][0])


def test_a_replan_is_asked_for_and_the_old_question_is_void(world, api, operator):
    incident, _ = asked()

    response = api(operator).post(f"/api/v1/incidents/{incident.pk}/replan/", {"reason": "fresh figures"})

    assert (response.status_code, response.json()["status"]) == (202, "triaged")
    assert ApprovalRequest.objects.get().state == "void"


def test_a_replan_is_made_only_of_the_version_that_was_seen(world, api, operator):
    incident, _ = asked()
    path, caller = f"/api/v1/incidents/{incident.pk}/replan/", api(operator)

    stale = caller.post(path, {"reason": "x"}, HTTP_IF_MATCH='"1"')
    odd = caller.post(path, {"reason": "x"}, HTTP_IF_MATCH="yesterday")
    fresh = caller.post(path, {"reason": "x"}, HTTP_IF_MATCH=f'"{incident.row_version}"')

    assert is_problem(stale, 412, "stale")
    assert odd.status_code == 400
    assert fresh.status_code == 202


def test_a_replan_of_what_is_over_is_a_conflict_with_a_reason(world, api, operator):
    execution = carried_out(world, CHARGED)

    response = api(operator).post(f"/api/v1/incidents/{execution.incident_id}/replan/", {})

    assert is_problem(response, 409, "cannot_plan")


def test_an_edit_answers_the_new_plan(world, api, operator):
    _, plan = asked()

    response = api(operator).post(f"/api/v1/plans/{plan.pk}/edit/", {"playbook": "mend", "slots": {"amount": "90.00"}})

    assert response.status_code == 200
    assert (response.json()["state"], response.json()["digest"] != plan.digest) == ("asked", True)
    assert response.json()["slots"] == {"amount": "90.00"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"playbook": "../etc"},
        {"playbook": "mend", "slots": []},
        {"playbook": "mend", "slots": {"amount": "1.00"}},
        {"playbook": "mend", "slots": {"colour": "red"}},
        {"playbook": "another", "slots": {}},
        {"playbook": ["mend"]},
        {"playbook": "mend", "slots": {"amount": {"a": [1]}}},
    ],
)
def test_an_edit_that_cannot_be_meant_is_told_by_field(world, api, operator, body):
    incident, plan = asked()

    response = api(operator).post(f"/api/v1/plans/{plan.pk}/edit/", body)

    assert response.status_code == 400, response.json()
    assert response.json()["errors"]
    assert live_plan(incident) == plan


def test_an_edit_while_the_system_is_away_is_a_conflict_and_not_a_fault(world, api, operator):
    _, plan = asked()
    world.fault("fail_before", match="SalesOrder", count=50)

    response = api(operator).post(f"/api/v1/plans/{plan.pk}/edit/", {"playbook": "mend", "slots": {}})

    assert response.status_code == 409
    assert "could not be read" in response.json()["detail"]


def test_a_rollback_with_a_key_is_asked_for_once_and_answered_again(world, api, operator):
    execution = carried_out(world, CHARGED)
    client, url = api(operator), f"/api/v1/executions/{execution.pk}/rollback/"

    first, again = (client.post(url, {"reason": "wrong"}, headers={"Idempotency-Key": "k"}) for _ in range(2))

    assert (first.status_code, again.status_code) == (202, 202), first.content
    assert again.json() == first.json()
    assert execution.undone_by.count() == 1


def test_an_edit_with_a_key_reads_the_records_outside_of_any_transaction(world, api, operator):
    _, plan = asked()
    body = {"playbook": "mend", "slots": {"amount": "90.00"}}

    answer = api(operator).post(f"/api/v1/plans/{plan.pk}/edit/", body, headers={"Idempotency-Key": "k"})

    assert answer.status_code == 200, answer.content


def test_a_rollback_is_asked_for_and_names_its_approval(world, api, operator):
    execution = carried_out(world, CREDIT)

    response = api(operator).post(f"/api/v1/executions/{execution.pk}/rollback/", {"reason": "no duplicate"})

    body = response.json()
    assert (response.status_code, body["direction"], body["state"]) == (202, "backward", "waiting")
    question = ApprovalRequest.objects.get(pk=body["approval"])
    assert (question.subject, question.digest) == ("rollback", body["digest"])
    assert api(operator).get(f"/api/v1/approvals/{question.pk}/").json()["kind"] == "rollback"


def test_a_second_rollback_is_a_conflict(world, api, operator):
    execution = carried_out(world, CREDIT)
    caller, path = api(operator), f"/api/v1/executions/{execution.pk}/rollback/"
    caller.post(path, {"reason": "no duplicate"})

    again = caller.post(path, {"reason": "no duplicate"})

    assert is_problem(again, 409, "cannot_undo")


def test_a_rollback_with_another_digest_is_not_approved(world, api, operator, approver):
    execution = carried_out(world, CREDIT)
    body = api(operator).post(f"/api/v1/executions/{execution.pk}/rollback/", {"reason": "no duplicate"}).json()
    path = f"/api/v1/approvals/{body['approval']}/approve/"

    response = api(approver).post(path, {"digest": execution.digest, "comment": ""})

    assert response.status_code == 409
    assert ApprovalRequest.objects.get(pk=body["approval"]).state == "pending"


def test_a_cancel_of_what_is_over_is_a_conflict(world, api, operator):
    execution = carried_out(world, CHARGED)

    response = api(operator).post(f"/api/v1/executions/{execution.pk}/cancel/", {})

    assert is_problem(response, 409, "cannot_undo")


def test_a_cancel_is_kept_and_entered(world, api, operator):
    execution = begin(make_plan(world, make_incident(), CHARGED))

    response = api(operator).post(f"/api/v1/executions/{execution.pk}/cancel/", {"reason": "not today"})

    assert (response.status_code, response.json()["cancel_requested"]) == (202, True)
    assert Entry.objects.get(verb="execution.cancel_requested").reason == "not today"


def test_dead_letters_are_listed_by_state_and_cause(world, api, viewer):
    _, letter = stuck(world)
    caller = api(viewer)

    page = caller.get("/api/v1/dead-letters/", {"state": "waiting", "cause": letter.cause}).json()
    none = caller.get("/api/v1/dead-letters/", {"state": "resolved"}).json()

    assert set(page) == {"next", "previous", "results"}
    [row] = page["results"]
    assert {"payload", "error", "cause", "guidance", "replays", "step", "execution"} <= set(row)
    assert none["results"] == []


def test_a_letter_is_replayed_and_not_twice(world, api, operator):
    execution, letter = stuck(world)
    caller, path = api(operator), f"/api/v1/dead-letters/{letter.pk}/replay/"

    first, second = caller.post(path), caller.post(path)

    assert (first.status_code, first.json()["state"]) == (202, "replayed")
    assert is_problem(second, 409, "lost_race")
    assert drive(execution.incident).status == Status.RESOLVED


def test_the_same_request_sent_twice_under_one_key_is_answered_once(world, api, operator):
    _, letter = stuck(world)
    caller, path = api(operator), f"/api/v1/dead-letters/{letter.pk}/replay/"

    answers = [caller.post(path, HTTP_IDEMPOTENCY_KEY="once") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()


def test_a_letter_is_resolved_with_words(world, api, operator):
    _, letter = stuck(world)
    caller, path = api(operator), f"/api/v1/dead-letters/{letter.pk}/resolve/"

    empty, said = caller.post(path, {}), caller.post(path, {"resolution": "by hand"})

    assert (empty.status_code, list(empty.json()["errors"])) == (400, ["resolution"])
    assert (said.status_code, said.json()["state"]) == (200, "resolved")


ROUTES = {
    "plan": ("get", "plans/{plan}/"),
    "edit": ("post", "plans/{plan}/edit/"),
    "replan": ("post", "incidents/{incident}/replan/"),
    "execution": ("get", "executions/{execution}/"),
    "rollback": ("post", "executions/{execution}/rollback/"),
    "cancel": ("post", "executions/{execution}/cancel/"),
    "replay": ("post", "dead-letters/{letter}/replay/"),
    "resolve": ("post", "dead-letters/{letter}/resolve/"),
}
BODY = {"playbook": "mend", "reason": "x", "resolution": "x"}


def address(route: str, letter: DeadLetter) -> tuple[str, str]:
    verb, path = ROUTES[route]
    execution = letter.step_run.execution
    names = {"plan": execution.plan_id, "incident": letter.incident_id, "execution": execution.pk, "letter": letter.pk}
    return verb, f"/api/v1/{path.format(**names)}"


@pytest.mark.parametrize("route", ROUTES)
def test_what_belongs_to_another_unit_is_not_there(world, api, route):
    _, letter = stuck(world)
    verb, path = address(route, letter)
    stranger = make_user("stranger", role=["operator", "approver"], units=["US"])

    response = getattr(api(stranger), verb)(path, BODY)

    assert response.status_code == 404
    assert letter.incident.title not in response.content.decode()


@pytest.mark.parametrize("route", ROUTES)
def test_without_a_token_nothing_is_told(world, api, route):
    _, letter = stuck(world)
    verb, path = address(route, letter)

    assert getattr(api(), verb)(path, BODY).status_code == 401


@pytest.mark.parametrize("role", ["viewer", "auditor", "approver", "compliance", "integration"])
@pytest.mark.parametrize("route", [name for name, (verb, _) in ROUTES.items() if verb == "post"])
def test_who_only_looks_on_changes_nothing(world, api, route, role):
    _, letter = stuck(world)
    verb, path = address(route, letter)

    response = getattr(api(make_user("someone", role=role)), verb)(path, BODY)

    # What a program that sends signals may not see is not there for it.
    hidden = role == "integration" and route != "replan"
    assert response.status_code == (404 if hidden else 403)
    letter.refresh_from_db()
    assert letter.state == "waiting"


@pytest.mark.parametrize("route", ROUTES)
def test_what_does_not_exist_is_not_there(db, api, operator, route):
    verb, path = ROUTES[route]
    missing = path.format(plan=99, incident=99, execution=99, letter=99)

    assert getattr(api(operator), verb)(f"/api/v1/{missing}", BODY).status_code == 404


def test_letters_of_other_units_are_neither_listed_nor_counted(world, api):
    stuck(world)
    stranger = make_user("stranger", role="operator", units=["US"])

    assert api(stranger).get("/api/v1/dead-letters/").json()["results"] == []


@pytest.mark.parametrize("body", ["{", '{"reason": 1e999}', '{"reason": "a", "reason": "b"}', "[]", '"x"'])
def test_a_body_that_cannot_be_read_is_a_problem_and_not_a_fault(world, api, operator, body):
    execution = carried_out(world, CHARGED)

    response = api(operator).post(f"/api/v1/executions/{execution.pk}/rollback/", body, content_type="application/json")

    assert response.status_code == 400
    assert Execution.objects.count() == 1


def test_playbooks_are_listed_with_their_text(world, api, viewer):
    make_mend(slug="correct-freight")

    [row] = api(viewer).get("/api/v1/playbooks/").json()["results"]

    assert (row["slug"], row["version"]) == ("correct-freight", 1)
    assert row["definition"]["steps"][0]["operation"] == "charge.update"


def test_an_approval_through_the_api_leads_to_resolved_and_its_undo_to_rolled_back(world, api, operator, approver):
    incident, plan = asked()
    question = ApprovalRequest.objects.get(subject_id=plan.pk)
    yes = api(approver).post(f"/api/v1/approvals/{question.pk}/approve/", {"digest": plan.digest, "comment": "fine"})
    assert yes.status_code == 200, yes.json()
    assert drive(incident).status == Status.RESOLVED
    execution = incident.executions.get()

    back = api(operator).post(f"/api/v1/executions/{execution.pk}/rollback/", {"reason": "wrong"}).json()
    assert back["state"] == "waiting"

    assert drive(incident).status == Status.ROLLED_BACK
    assert len(world.effects()) == 2
