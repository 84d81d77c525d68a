"""What needs one person now: found, bounded, ordered, and only what they may see."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache

from audit.clock import db_now
from incidents.models import Escalation, Incident
from incidents.states import Severity, Status
from playbooks.console.figures import Day, today
from playbooks.console.needs import LIMIT, count_of, mending_now, needs_of
from playbooks.models import Execution
from playbooks.states import ExecutionState, PlanState, StepState
from tests.factories import make_user
from tests.playbooks import scenes
from tests.playbooks.mends import make_letter, make_plan, make_run

pytestmark = pytest.mark.django_db
T = StepState


def whys(user: User) -> list[str]:
    return [need.why for need in needs_of(user)]


def test_an_approver_is_asked_to_review_what_waits_for_them(approver):
    incident, _, approval = scenes.waiting_for_approval()

    (need,) = needs_of(approver)

    assert (need.why, need.action, need.incident_id) == ("Approve", "Review", incident.pk)
    assert need.url == approval.get_absolute_url()
    assert need.due == approval.expires_at
    assert need.severity == "high"


def test_the_undo_is_named_as_such(approver):
    incident, plan, run = scenes.resolved()
    scenes.ask(plan, subject="rollback", subject_id=run.pk, requested_by="operator")

    assert whys(approver) == ["Approve the undo"]
    assert needs_of(approver)[0].incident_id == incident.pk


def test_an_operator_is_not_asked_to_approve(operator):
    scenes.waiting_for_approval()

    assert needs_of(operator) == []


def test_an_operator_sees_what_cannot_go_on_with_its_reason(operator):
    scenes.make_incident(Status.NEEDS_OPERATOR, status_reason="No kind covers it.")

    (need,) = needs_of(operator)

    assert (need.why, need.note) == ("Needs a person", "No kind covers it.")


def test_a_viewer_is_asked_for_nothing(viewer):
    scenes.stuck()
    scenes.waiting_for_approval()

    assert needs_of(viewer) == []


def test_a_dead_letter_speaks_for_its_incident_once_with_what_to_do(operator):
    _, _, letter = scenes.stuck()

    (need,) = needs_of(operator)

    assert (need.why, need.action) == ("Dead letter", "Fix")
    assert need.note == letter.guidance


def test_a_letter_of_a_differing_read_back_asks_to_compare(operator):
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)
    run = make_run(make_plan(incident, PlanState.APPROVED), ExecutionState.FAILED, T.MISMATCH, T.PLANNED)
    make_letter(run, 1)

    assert whys(operator) == ["Read-back differs"]


def test_what_is_assigned_to_somebody_else_does_not_need_me(operator):
    scenes.make_incident(Status.NEEDS_OPERATOR, assignee=make_user("other", role="operator"))

    assert needs_of(operator) == []


def test_severity_comes_first_then_what_is_mine_then_what_is_due(operator):
    plain = scenes.make_incident(Status.NEEDS_OPERATOR, title="plain")
    scenes.make_incident(Status.NEEDS_OPERATOR, title="mine", assignee=operator)
    scenes.make_incident(Status.NEEDS_OPERATOR, Severity.CRITICAL, title="critical")
    scenes.make_incident(Status.NEEDS_OPERATOR, Severity.LOW, title="low")
    scenes.make_clock(plain)
    scenes.make_incident(Status.NEEDS_OPERATOR, title="undated")

    titles = [need.title for need in needs_of(operator)]

    assert titles == ["critical", "mine", "plain", "undated", "low"]


def test_another_units_incidents_are_not_even_counted():
    european = make_user("eu", role="operator", units=["EU"])
    scenes.make_incident(Status.NEEDS_OPERATOR, business_unit="US", region="US-EAST")

    assert needs_of(european) == []
    assert count_of(european, []) == 0


def test_an_escalation_to_my_role_needs_me_until_it_is_acknowledged(approver):
    incident = scenes.make_incident(Status.EXECUTING)
    told = {"incident": incident, "level": 1, "role": "approver", "created_at": db_now()}
    escalation = Escalation.objects.create(justification="Resolve time is over.", **told)
    before = whys(approver)

    Escalation.objects.filter(pk=escalation.pk).update(acknowledged_at=db_now())

    assert before == ["Escalated to you"]
    assert whys(approver) == []


def test_a_deadline_that_comes_near_needs_an_operator(operator):
    soon = scenes.make_incident(Status.EXECUTING)
    late = scenes.make_incident(Status.EXECUTING, Severity.CRITICAL)
    scenes.make_clock(soon, left=timedelta(minutes=20), warned_at=db_now())
    scenes.make_clock(late, left=timedelta(minutes=-5), warned_at=db_now(), breached_at=db_now())

    assert whys(operator) == ["Late", "Nearly late"]


def test_a_clock_that_rests_alarms_nobody(operator):
    scenes.make_clock(scenes.make_incident(Status.EXECUTING), warned_at=db_now(), paused_at=db_now())
    scenes.make_clock(scenes.make_incident(Status.EXECUTING), warned_at=db_now(), stopped_at=db_now())

    assert needs_of(operator) == []


def test_the_list_is_bounded_and_the_count_says_so(operator):
    for _ in range(LIMIT + 5):
        scenes.make_incident(Status.NEEDS_OPERATOR)

    assert len(needs_of(operator)) == LIMIT + 1
    assert count_of(operator, [10**9]) == LIMIT + 2


def test_the_number_of_queries_does_not_grow_with_the_rows(operator, django_assert_max_num_queries):
    for _ in range(8):
        scenes.stuck()
    needs_of(operator)  # kinds of content are looked up once in a process

    with django_assert_max_num_queries(16):
        needs_of(operator)


def test_mending_now_tells_each_step_and_leaves_out_what_rests(operator):
    busy = scenes.make_incident(Status.EXECUTING)
    make_run(make_plan(busy, PlanState.APPROVED), ExecutionState.RUNNING, T.VERIFIED, T.SENT)
    scenes.make_incident(Status.ON_HOLD)
    scenes.make_incident(Status.VERIFYING)

    shown = [(one.incident.status, one.label) for one in mending_now(operator)]

    assert shown == [("verifying", ""), ("executing", "step 2 of 2")]


def test_what_is_asked_of_me_is_not_said_to_go_on_without_me(approver, operator):
    waiting, _, _ = scenes.waiting_for_approval()
    running = scenes.make_incident(Status.VERIFYING)

    mine = mending_now(approver, besides=needs_of(approver))
    theirs = mending_now(operator, besides=needs_of(operator))

    assert [one.incident for one in mine] == [running]
    assert [one.incident for one in theirs] == [running, waiting]


def test_an_undo_at_work_says_that_it_is_one(operator):
    incident, plan, forward = scenes.resolved()
    Incident.objects.filter(pk=incident.pk).update(status=Status.ROLLING_BACK)
    back = {"direction": Execution.Direction.BACKWARD, "undoes": forward}
    make_run(plan, ExecutionState.RUNNING, T.SENT, T.PLANNED, **back)

    assert [one.label for one in mending_now(operator)] == ["undo, step 1 of 2"]


def test_the_days_figures_are_counted_from_what_was_read_back(operator):
    _, _, alone = scenes.resolved()
    _, plan, asked = scenes.resolved()
    now = db_now()
    Execution.objects.filter(pk__in=[alone.pk, asked.pk]).update(finished_at=now)
    Execution.objects.filter(pk=asked.pk).update(first_attempt_verified=False)
    type(plan).objects.filter(pk=plan.pk).update(autonomous=False)
    Incident.objects.update(opened_at=now - timedelta(seconds=190))

    assert today(operator) == Day(mended=2, alone=1, right_first_time=0.5, median_seconds=190.0)


def test_a_day_without_mends_has_no_shares(operator):
    assert today(operator) == Day()


def test_the_figures_are_those_of_the_readers_units():
    scenes.resolved(business_unit="US", region="US-EAST")

    assert today(make_user("eu", role="operator", units=["EU"])).mended == 0


def test_the_figures_are_counted_anew_after_half_a_minute(operator):
    before = today(operator)
    _, _, run = scenes.resolved()
    Execution.objects.filter(pk=run.pk).update(finished_at=db_now())

    unchanged = today(operator)
    cache.clear()

    assert unchanged == before
    assert today(operator).mended == 1
