"""The four stages of the loop, as a person reads them at a glance."""

import pytest

from incidents.models import Incident
from incidents.states import Status
from playbooks.console.dossier import Dossier
from playbooks.console.seam import progress
from playbooks.models import Execution
from playbooks.states import ExecutionState, PlanState, StepState
from tests.factories import make_user
from tests.playbooks import scenes
from tests.playbooks.mends import make_plan, make_run

pytestmark = pytest.mark.django_db
T = StepState


def seam_of(incident: Incident) -> list[tuple[str, str]]:
    return [(stage.state, stage.text) for stage in Dossier(incident, make_user("reader")).stages]


def states_of(incident: Incident) -> list[str]:
    return [state for state, _ in seam_of(incident)]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.NEW, "being sized up"),
        (Status.TRIAGED, "looking for the cause"),
        (Status.DIAGNOSED, "making a plan"),
    ],
)
def test_while_it_decides_the_second_stage_is_now(status, words):
    stages = seam_of(scenes.make_incident(status))

    assert [state for state, _ in stages] == ["done", "now", "todo", "todo"]
    assert stages[1][1] == words


def test_the_first_stage_counts_the_signals():
    one, many = scenes.make_incident(), scenes.make_incident(signals_count=5)

    assert seam_of(one)[0] == ("done", "1 signal")
    assert seam_of(many)[0] == ("done", "5 signals")


def test_a_plan_that_waits_says_for_how_many_people():
    incident, _, _ = scenes.waiting_for_approval()

    stages = seam_of(incident)

    assert [state for state, _ in stages] == ["done", "done", "waiting", "todo"]
    assert stages[1][1] == "cause found, plan made"
    assert stages[2][1] == "waits for 1 approver"


def test_a_plan_that_was_just_made_asks_who_must_agree():
    incident = scenes.make_incident(Status.PLANNED)
    make_plan(incident, PlanState.DRAFT)

    assert seam_of(incident)[1:3] == [("done", "plan made"), ("now", "asking who must agree")]


def test_waiting_without_a_question_still_waits():
    assert seam_of(scenes.make_incident(Status.AWAITING_APPROVAL))[2] == ("waiting", "waits for approval")


def test_a_running_execution_tells_its_step():
    incident = scenes.make_incident(Status.EXECUTING)
    make_run(make_plan(incident, PlanState.APPROVED), ExecutionState.RUNNING, T.VERIFIED, T.SENT)

    assert seam_of(incident)[2] == ("now", "step 2 of 2")


def test_an_execution_that_has_not_begun_is_about_to():
    assert seam_of(scenes.make_incident(Status.EXECUTING))[2] == ("now", "about to start")


def test_reading_back_is_the_last_stage():
    incident = scenes.make_incident(Status.VERIFYING)
    make_run(make_plan(incident, PlanState.APPROVED), ExecutionState.RUNNING, T.VERIFIED, T.DONE)

    assert states_of(incident) == ["done", "done", "done", "now"]


def test_a_mend_that_was_read_back_is_gold_to_its_end():
    incident, _, _ = scenes.resolved()

    stages = seam_of(incident)

    assert [state for state, _ in stages] == ["done"] * 4
    assert stages[3][1] == "read back, as predicted"


def test_an_incident_whose_source_was_already_right_sent_nothing():
    stages = seam_of(scenes.make_incident(Status.RESOLVED))

    assert stages[2] == ("done", "nothing was sent")
    assert stages[3] == ("done", "the source is right")


def test_a_refused_step_fails_the_third_stage_and_says_which():
    incident, _, _ = scenes.stuck()

    assert seam_of(incident)[2] == ("failed", "stopped at step 2")


def test_a_read_back_that_differs_fails_the_last_stage():
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)
    make_run(make_plan(incident, PlanState.APPROVED), ExecutionState.FAILED, T.MISMATCH, T.PLANNED)

    stages = seam_of(incident)

    assert stages[2] == ("failed", "stopped")
    assert stages[3] == ("failed", "the source says otherwise")


def test_no_cause_fails_the_second_stage():
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)
    scenes.make_cause(incident, "")

    assert seam_of(incident)[1] == ("failed", "no cause found")


def test_a_kind_that_nobody_covers_needs_a_person():
    incident = scenes.make_incident(Status.NEEDS_OPERATOR, kind=None, code="STRANGE")

    assert seam_of(incident)[1] == ("failed", "needs a person")


def test_a_cause_without_a_plan_is_decided_halfway():
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)
    scenes.make_cause(incident)

    assert seam_of(incident)[1] == ("done", "cause found")


@pytest.mark.parametrize(
    ("state", "steps", "words"),
    [
        (ExecutionState.WAITING, (T.PLANNED, T.PLANNED), "undo waits for approval"),
        (ExecutionState.RUNNING, (T.VERIFIED, T.SENT), "undoing, step 2 of 2"),
        (ExecutionState.VERIFIED, (T.VERIFIED, T.VERIFIED), "undone"),
    ],
)
def test_an_undo_runs_the_seam_backwards(state, steps, words):
    incident, plan, forward = scenes.resolved()
    make_run(plan, state, *steps, direction=Execution.Direction.BACKWARD, undoes=forward)
    incident.status = Status.ROLLED_BACK if state is ExecutionState.VERIFIED else Status.ROLLING_BACK

    stages = seam_of(incident)

    assert stages[2] == ("back", words)


def test_a_finished_undo_was_read_back_as_it_was():
    incident, plan, forward = scenes.resolved()
    make_run(plan, ExecutionState.VERIFIED, direction=Execution.Direction.BACKWARD, undoes=forward)
    incident.status = Status.ROLLED_BACK

    assert seam_of(incident)[3] == ("back", "read back as it was")


def test_an_undo_that_is_being_prepared_says_so():
    incident, _, _ = scenes.resolved()
    incident.status = Status.ROLLING_BACK

    assert seam_of(incident)[2] == ("back", "being undone")


def test_progress_counts_the_steps_that_are_over():
    incident = scenes.make_incident(Status.EXECUTING)
    run = make_run(make_plan(incident, PlanState.APPROVED), ExecutionState.RUNNING, T.DONE, T.SKIPPED)

    assert progress(run) == "2 steps done"


def test_a_run_without_steps_is_about_to_start():
    incident = scenes.make_incident(Status.EXECUTING)
    plan = make_plan(incident, PlanState.APPROVED)
    run = make_run(plan, ExecutionState.RUNNING, T.PLANNED, T.PLANNED)
    run.step_runs.all().delete()

    assert progress(run) == "about to start"
