"""One incident's page: cause, evidence, plan, decision, run, read-back, letters, story."""

import re

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.urls import reverse

from approvals.models import ApprovalRequest
from audit.actions import record
from incidents.models import Comment, Incident, Merge
from incidents.states import Status
from playbooks import executions
from playbooks.console.dossier import dossier
from playbooks.models import Execution
from playbooks.standing import standing_of
from playbooks.states import ExecutionState, PlanState, StepState
from tests.factories import make_user
from tests.playbooks import scenes
from tests.playbooks.mends import make_letter, make_plan, make_run

pytestmark = pytest.mark.django_db
T = StepState


def page_of(client, user: User, incident: Incident, name: str = "incident", *more: int) -> str:
    client.force_login(user)
    answer = client.get(reverse(name, args=[incident.pk, *more]))
    assert answer.status_code == 200
    return str(answer.content.decode())


@pytest.mark.parametrize("name", ["incident", "incident-live", "incident-signals", "incident-history"])
def test_another_units_incident_is_not_there(client, name):
    european = make_user("eu", role="operator", units=["EU"])
    incident = scenes.make_incident(business_unit="US", region="US-EAST")
    client.force_login(european)

    assert client.get(reverse(name, args=[incident.pk])).status_code == 404


def test_the_head_tells_what_where_and_how_much(client, viewer):
    incident, _, _ = scenes.waiting_for_approval(queue=scenes.make_queue())
    scenes.make_clock(incident)

    page = page_of(client, viewer, incident)

    for words in (
        "High",
        "Billing",
        "Waiting for approval",
        f"INC-{incident.pk}",
        "EU / DE",
        "€\u202f1,250.00",
        "to resolve",
    ):
        assert words in page


def test_the_cause_is_told_with_its_grade_and_where_it_is_seen(client, viewer):
    incident, _, _ = scenes.waiting_for_approval()

    page = page_of(client, viewer, incident)

    assert "The order confirmation was sent twice." in page
    assert "Observed" in page
    assert "Consistent" in page
    assert 'href="#evidence-1"' in page
    assert 'id="evidence-1"' in page


def test_a_ruled_out_cause_is_shown_with_what_did_it(client, viewer):
    incident, _, _ = scenes.waiting_for_approval()

    page = page_of(client, viewer, incident)

    assert "<del>Split shipment</del>" in page
    assert "only one packing slip is there." in page


def test_no_cause_is_said_as_plainly_as_a_cause(client, viewer):
    incident = scenes.make_incident(Status.NEEDS_OPERATOR, status_reason="None holds.")
    scenes.make_cause(incident, "")

    page = page_of(client, viewer, incident)

    assert "No cause found." in page
    assert "None holds." in page


def test_before_the_records_are_read_the_page_says_so(client, viewer):
    assert "The records are being read." in page_of(client, viewer, scenes.make_incident(Status.NEW))


def test_the_plan_shows_each_field_before_and_after_and_its_undo(client, viewer):
    incident, _, _ = scenes.waiting_for_approval()

    page = page_of(client, viewer, incident)

    assert "<del>8,940.00</del>" in page
    assert "<ins>7,690.00</ins>" in page
    assert "until period close" in page
    assert "follows by itself" in page
    assert "Finance &amp; Operations" in page


def test_the_policies_that_spoke_are_named_with_their_version(client, viewer):
    incident, _, _ = scenes.waiting_for_approval()

    page = page_of(client, viewer, incident)

    assert "credit-tier v3" in page
    assert "credit over € 500 needs one approver" in page


def test_an_approver_decides_on_exactly_what_they_see(client, approver):
    incident, plan, approval = scenes.waiting_for_approval()

    page = page_of(client, approver, incident)

    assert f'name="digest" value="{plan.digest}"' in page
    assert reverse("approval_approve", args=[approval.pk]) in page
    assert 'data-key="a"' in page


def test_whoever_may_not_decide_reads_why(client, operator):
    incident, _, _ = scenes.waiting_for_approval()

    page = page_of(client, operator, incident)

    assert "which you do not hold" in page
    assert 'data-key="a"' not in page


def test_a_decision_that_was_given_stays_on_the_page(client, approver, viewer):
    incident, _, approval = scenes.waiting_for_approval()
    client.force_login(approver)
    said = {"digest": approval.digest, "comment": "Same reference and lines."}
    client.post(reverse("approval_approve", args=[approval.pk]), said)

    page = page_of(client, viewer, incident)

    assert "Same reference and lines." in page
    assert "Approved" in page


def test_the_run_shows_expected_and_read_back(client, viewer):
    incident, _, _ = scenes.resolved()

    page = page_of(client, viewer, incident)

    assert "What was done" in page
    assert "as predicted" in page
    assert "Fresh read" in page
    assert "effect key" in page


def test_a_read_back_that_differs_stands_out(client, viewer):
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)
    run = make_run(make_plan(incident, PlanState.APPROVED), ExecutionState.FAILED, T.MISMATCH, T.PLANNED)
    make_letter(run, 1)

    page = page_of(client, viewer, incident)

    assert "differs" in page
    assert "<del>0.00</del>" in page


def test_an_operator_can_undo_with_a_reason(client, operator):
    incident, _, run = scenes.resolved()

    page = page_of(client, operator, incident)

    assert reverse("execution-rollback", args=[run.pk]) in page
    assert 'data-key="u"' in page


def test_the_undo_is_shown_above_what_it_takes_back(client, viewer):
    incident, plan, forward = scenes.resolved()
    back = {"direction": Execution.Direction.BACKWARD, "undoes": forward, "reason": "Wrong customer."}
    make_run(plan, ExecutionState.VERIFIED, **back)
    Incident.objects.filter(pk=incident.pk).update(status=Status.ROLLED_BACK)

    page = page_of(client, viewer, incident)

    assert page.index("The undo") < page.index("How it went")
    assert "Wrong customer." in page


def test_a_dead_letter_says_what_to_do_and_offers_it_to_operators(client, operator, viewer):
    incident, _, letter = scenes.stuck()

    seen = page_of(client, viewer, incident)
    offered = page_of(client, operator, incident)

    assert letter.guidance.replace("'", "&#x27;") in seen
    assert reverse("dead-letter-replay", args=[letter.pk]) not in seen
    assert reverse("dead-letter-replay", args=[letter.pk]) in offered


def test_the_story_is_told_newest_first_in_words(client, viewer):
    incident, _, _ = scenes.waiting_for_approval()

    page = page_of(client, viewer, incident)

    assert page.index("Approval asked") < page.index("A signal opened the incident")


def test_comments_are_text_and_nothing_else(client, viewer):
    incident = scenes.make_incident()
    text = "<img src=x onerror=alert(1)>"
    Comment.objects.create(incident=incident, author="operator", text=text, created_at=incident.opened_at)

    page = page_of(client, viewer, incident)

    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_an_incident_that_moves_asks_again_and_one_that_rests_does_not(client, viewer):
    moving, resting = scenes.make_incident(Status.EXECUTING), scenes.make_incident(Status.NEEDS_OPERATOR)

    assert "data-live" in page_of(client, viewer, moving)
    assert "data-live" not in page_of(client, viewer, resting)


def test_the_region_answers_only_when_something_is_new(client, viewer):
    incident, _, _ = scenes.waiting_for_approval()
    page = page_of(client, viewer, incident)
    found = re.search(r'hx-get="([^"]+)"', page)
    assert found is not None
    before = client.get(found.group(1)).status_code

    Incident.objects.filter(pk=incident.pk).update(status=Status.EXECUTING)

    assert before == 204
    assert b"Mending" in client.get(found.group(1)).content


def test_an_evidence_page_shows_the_cited_fields_first_and_the_test(client, viewer):
    incident, _, _ = scenes.waiting_for_approval()
    row = incident.evidence.get(name="twin")

    page = page_of(client, viewer, incident, "incident-evidence", row.pk)

    assert "<mark>PO-7731</mark>" in page
    assert page.index("CustomersOrderReference") < page.index("InvoiceNumber")
    assert "twin != null" in page
    assert row.digest in page


def test_a_record_that_was_looked_for_and_is_not_there_is_evidence_too(client, viewer):
    incident, _, _ = scenes.waiting_for_approval()
    row = incident.evidence.get(name="credit_notes")

    page = page_of(client, viewer, incident, "incident-evidence", row.pk)

    assert "Looked for, and not there" in page
    assert "javascript:" not in page


def test_evidence_of_another_incident_is_not_there(client, viewer):
    incident, other = scenes.make_incident(), scenes.make_incident()
    row = scenes.make_evidence(other, "invoice", "demf/INV-1")
    client.force_login(viewer)

    assert client.get(reverse("incident-evidence", args=[incident.pk, row.pk])).status_code == 404


def test_the_signals_are_shown_as_they_came(client, viewer):
    incident = scenes.make_incident()
    scenes.make_signal(incident, channel="mail", merged=True, text="Please look at this invoice.")

    page = page_of(client, viewer, incident, "incident-signals")

    assert "Please look at this invoice." in page
    assert "same fingerprint" in page
    assert "it opened the incident" in page


def test_the_field_history_shows_who_changed_what(client, viewer, operator):
    incident = scenes.make_incident()
    incident.severity = "low"
    incident._history_user = operator
    incident.save()

    page = page_of(client, viewer, incident, "incident-history")

    assert "operator changed it" in page
    assert "<del>High</del>" in page
    assert "<ins>Low</ins>" in page


def test_what_was_folded_in_can_be_taken_apart_again(client, operator):
    kept, folded = scenes.make_incident(signals_count=2), scenes.make_incident(Status.DISMISSED, signals_count=0)
    Merge.objects.create(kept=kept, folded=folded, actor="operator", merged_at=kept.opened_at)

    page = page_of(client, operator, kept)

    assert f"INC-{folded.pk}" in page
    assert "Take apart" in page


def test_the_number_of_queries_is_bounded(client, operator, django_assert_max_num_queries):
    incident, _, _ = scenes.stuck()
    client.force_login(operator)
    client.get(incident.get_absolute_url())

    with django_assert_max_num_queries(24):
        client.get(incident.get_absolute_url())


def test_a_page_with_every_part_asks_no_more_than_it_must(client, operator, django_assert_max_num_queries):
    incident, run, _ = scenes.stuck(queue=scenes.make_queue())
    scenes.make_clock(incident)
    asked = scenes.ask(run.plan)
    ApprovalRequest.objects.filter(pk=asked.pk).update(state="approved", given=1)
    for number in range(30):
        text = f"Asked the carrier, time {number}."
        Comment.objects.create(incident=incident, author="operator", text=text, created_at=run.created_at)
    client.force_login(operator)
    client.get(incident.get_absolute_url())

    with django_assert_max_num_queries(25):
        client.get(incident.get_absolute_url())


def test_what_an_undo_takes_back_is_told_alike_by_the_page_and_by_the_action(client, operator):
    for incident in (scenes.resolved()[0], scenes.stuck()[0]):
        file = dossier(Incident.objects.all(), incident.pk, operator)
        forward = file.forward
        assert forward is not None

        waiting = {letter.step_run_id for letter in file.letters}
        told = standing_of(forward, forward.step_runs.all(), undos=[], waiting=waiting)

        assert [step.pk for step in told] == [step.pk for step in executions.undoable(forward)]


def test_what_happened_stands_after_the_facts(client, viewer):
    incident, _, _ = scenes.resolved()

    page = page_of(client, viewer, incident)

    assert page.index("Why it happened") < page.index("Work on it") < page.index("What happened")


def test_the_story_is_text_and_nothing_else(client, viewer):
    incident = scenes.make_incident()
    with transaction.atomic():
        record("incident.noted", actor="<b>anna</b>", incident=incident.pk, reason='<img src=x onerror="1">')

    page = page_of(client, viewer, incident)

    assert "<b>anna</b>" not in page
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=&quot;1&quot;&gt;" in page
