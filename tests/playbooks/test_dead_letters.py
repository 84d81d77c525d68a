"""What cannot go on waits as a letter: grouped, with what to do, replayed under its old key, never for ever."""

from datetime import timedelta

import pytest

from audit.clock import db_now
from audit.errors import Invalid, LostRace, NotAllowed, Refusal
from audit.models import Entry
from connectors.models import Connection
from incidents import actions as incident_actions
from incidents.models import Incident
from incidents.states import Status
from playbooks import actions, deadletters, executions, loop, verification
from playbooks.models import Attempt, DeadLetter, Execution, LaneTicket
from playbooks.states import ExecutionState, PlanState, StepState
from tests.playbooks.cases import CHARGE_KEY, make_cause, make_freight, make_mend
from tests.playbooks.driving import begin, drive, hurry, letters, states
from tests.playbooks.world import CHARGED, COMMENT, CREDIT, PRICE, World, make_incident, make_plan

PATCHES = "^PATCH .*SalesOrderCharges"


def locked(world: World, times: int = 5, *writes) -> tuple[Incident, Execution, DeadLetter]:
    """A plan whose record was being edited for as long as it was tried."""
    incident = make_incident()
    execution = begin(make_plan(world, incident, *(writes or (CHARGED,))))
    world.fault("lock", match=PATCHES, count=times)
    drive(incident)
    [letter] = letters(incident)
    return incident, execution, letter


def closed_period(world: World) -> tuple[Incident, Execution, DeadLetter]:
    """A credit that the target refuses: the period is closed."""
    incident = make_incident()
    execution = begin(make_plan(world, incident, CREDIT))
    world.http.post("/control/period", json={"period": db_now().strftime("%Y-%m"), "status": "Closed"})
    drive(incident)
    [letter] = letters(incident)
    return incident, execution, letter


def cooled_down() -> int:
    """Let the cool-down of every letter be over, and do what then is done."""
    DeadLetter.objects.filter(escalate_at__isnull=False).update(escalate_at=db_now() - timedelta(hours=1))
    return actions.after_cooldown()


def test_a_letter_holds_what_was_asked_why_it_failed_and_what_to_do(world):
    incident, execution, letter = closed_period(world)
    step = execution.step_runs.get()

    assert letter.payload == {
        "connection": "fo",
        "operation": "invoice.credit",
        "parameters": step.parameters,
        "effect_key": step.effect_key,
    }
    assert "period" in letter.error
    assert letter.guidance.endswith(".")
    assert letter.escalate_at > letter.created_at
    assert Entry.objects.filter(verb="dead_letter.put", incident_id=incident.pk).count() == 1


def test_letters_of_one_cause_are_one_group(world):
    first = closed_period(world)[2]
    invoice = {"InvoiceCustomerAccountNumber": "DE-001", "CurrencyCode": "EUR", "TotalInvoiceAmount": 5.0}
    world.plant(
        "fo", "SalesInvoiceHeadersV2", dataAreaId="demf", InvoiceNumber="INV-2", CreditNoteNumber="",
        RemainingAmount=5.0, CreditedAmount=0.0, **invoice,
    )  # fmt: skip
    other = make_incident()
    begin(make_plan(world, other, (CREDIT[0], CREDIT[1], {**CREDIT[2], "invoice": "INV-2"})))
    drive(other)

    assert [letter.cause for letter in letters(other)] == [first.cause]


def test_a_replay_keeps_the_effect_key_and_the_record_is_changed_once(world, operator):
    incident, execution, letter = locked(world)
    key = execution.step_runs.get().effect_key

    actions.replay_by(letter, by=operator)
    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert [effect["effect_key"] for effect in world.effects()] == [key]
    letter.refresh_from_db()
    assert (letter.state, letter.closed_by) == ("replayed", "operator")
    assert not LaneTicket.objects.exists()


def test_a_refused_step_is_sent_again_after_the_target_was_put_right(world, operator):
    incident, _, letter = closed_period(world)
    world.http.post("/control/period", json={"period": db_now().strftime("%Y-%m"), "status": "Open"})

    actions.replay_by(letter, by=operator)
    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert len(world.effects()) == 1


def test_what_was_carried_out_unseen_is_adopted_by_a_replay_and_not_done_again(world, operator, monkeypatch):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CREDIT))
    world.fault("commit_then_reset", match="CreditInvoice", count=1)
    compare = verification.compare_with_plan

    def odd_afterwards(step_run):
        return verification.Drift(changed="It looks odd.") if step_run.attempts_count else compare(step_run)

    with monkeypatch.context() as blind:
        blind.setattr(executions.gateway, "find", lambda *_, **__: None)
        blind.setattr(verification, "compare_with_plan", odd_afterwards)
        drive(incident)
    [letter] = letters(incident)

    actions.replay_by(letter, by=operator)
    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert len(world.effects()) == 1
    assert Attempt.objects.filter(step_run__execution=execution, outcome="found").exists()


def test_a_replay_that_fails_again_is_a_new_letter_that_counts(world, operator):
    incident, _, letter = locked(world, times=10)

    actions.replay_by(letter, by=operator)
    drive(incident)

    [again] = letters(incident)
    assert again.pk != letter.pk
    assert again.replays == 1
    assert incident.dead_letters.count() == 2


def test_a_passing_cause_is_replayed_by_itself_after_the_cool_down(world):
    incident, _, letter = locked(world)

    assert actions.after_cooldown() == 0  # not before it is over
    assert cooled_down() == 1
    drive(incident)

    letter.refresh_from_db()
    assert (letter.state, letter.closed_by) == ("replayed", "system:dead-letters")
    assert incident.status == Status.RESOLVED, incident.status_reason


def test_a_poisoned_letter_is_replayed_three_times_and_then_needs_a_person(world):
    incident, execution, _ = locked(world, times=500)

    for _ in range(3):
        cooled_down()
        drive(incident)
    cooled_down()
    cooled_down()

    [letter] = letters(incident)
    assert letter.replays == 3
    assert letter.escalated_at is not None
    assert incident.dead_letters.filter(state="replayed").count() == 3
    assert Entry.objects.filter(verb="dead_letter.escalated").count() == 1
    assert execution.step_runs.get().attempts.filter(sent_at__isnull=False).count() == 20
    assert len({request["effect_key"] for request in world.requests() if request["effect_key"]}) == 1


def test_what_the_target_refused_is_escalated_and_not_sent_again(world):
    _, _, letter = closed_period(world)
    sent = len(world.requests())

    cooled_down()

    letter.refresh_from_db()
    assert letter.escalated_at is not None
    assert letter.state == "waiting"
    assert len(world.requests()) == sent
    assert cooled_down() == 0


def test_a_letter_that_cannot_be_replayed_is_escalated_with_the_reason_and_stops_no_other(world, operator):
    held, _, stuck = locked(world)
    incident_actions.hold(held, by=operator, reason="wait")
    world.http.delete("/control/faults")
    other = make_incident(entity_key="SO-2")
    begin(make_plan(world, other, PRICE))
    world.fault("lock", match="^PATCH .*SalesOrderLines", count=5)
    drive(other)

    cooled_down()
    drive(other)

    stuck.refresh_from_db()
    assert stuck.escalated_at is not None
    assert "could not be replayed" in Entry.objects.get(verb="dead_letter.escalated").reason
    assert other.status == Status.RESOLVED, other.status_reason


def test_a_resolved_letter_ends_its_execution_and_frees_the_lane_for_the_next(world, operator):
    _, execution, letter = locked(world)
    waiting = make_incident(entity_key="SO-1b")
    begin(make_plan(world, waiting, CHARGED))
    loop.advance(waiting.pk)
    assert "Waits behind" in waiting.executions.get().step_runs.get().state_reason

    actions.resolve(letter, by=operator, resolution="corrected by hand in F&O")
    drive(waiting)

    execution.refresh_from_db()
    letter.refresh_from_db()
    assert (execution.state, execution.plan.state) == (ExecutionState.CANCELLED, PlanState.VOID)
    assert (letter.state, letter.resolution) == ("resolved", "corrected by hand in F&O")
    assert waiting.status == Status.RESOLVED


def test_after_a_resolved_letter_the_incident_can_be_planned_anew(world, operator):
    make_mend()
    incident = make_freight()
    drive(incident)
    assert incident.status == Status.RESOLVED
    world.edit(system="fo", entity="SalesOrderCharges", key=CHARGE_KEY, changes={"FixedChargeAmount": 112.0})
    other = make_freight()
    world.fault("lock", match=PATCHES, count=5)
    drive(other)
    [letter] = letters(other)

    actions.resolve(letter, by=operator, resolution="the clerk has left the form")
    actions.replan(other, by=operator)
    drive(other)

    assert other.status == Status.RESOLVED, other.status_reason
    assert list(other.plans.order_by("pk").values_list("state", flat=True)) == ["void", "executed"]


def test_a_letter_is_dealt_with_once(world, operator):
    incident, _, letter = locked(world)
    stale = DeadLetter.objects.get(pk=letter.pk)
    actions.replay_by(letter, by=operator)

    with pytest.raises(LostRace, match="dealt with"):
        actions.resolve(stale, by=operator, resolution="by hand")
    with pytest.raises(LostRace, match="dealt with"):
        actions.replay_by(stale, by=operator)

    incident.refresh_from_db()
    assert incident.status == Status.EXECUTING


def test_a_replay_while_its_execution_still_runs_is_refused_whole(world, operator):
    _, execution, letter = locked(world)
    Execution.objects.filter(pk=execution.pk).update(state=ExecutionState.RUNNING)

    with pytest.raises(Refusal):
        actions.replay_by(letter, by=operator)

    letter.refresh_from_db()
    assert letter.state == "waiting"
    assert states(execution) == [StepState.STUCK]


def test_a_letter_of_a_held_incident_is_not_replayed_under_its_back(world, operator):
    incident, _, letter = locked(world)
    incident_actions.hold(incident, by=operator, reason="wait")

    with pytest.raises(Refusal, match="on hold"):
        actions.replay_by(letter, by=operator)

    letter.refresh_from_db()
    assert letter.state == "waiting"


@pytest.mark.parametrize("resolution", ["", "   "])
def test_a_resolution_is_said_in_words(world, operator, resolution):
    _, _, letter = locked(world)

    with pytest.raises(Invalid):
        actions.resolve(letter, by=operator, resolution=resolution)


def test_only_operators_deal_with_letters(world, viewer):
    _, _, letter = locked(world)

    with pytest.raises(NotAllowed):
        actions.replay_by(letter, by=viewer)
    with pytest.raises(NotAllowed):
        actions.resolve(letter, by=viewer, resolution="x")


def test_letters_are_all_accounted_for(world, operator):
    incident, _, letter = locked(world, times=10)
    actions.replay_by(letter, by=operator)
    drive(incident)
    actions.resolve(letters(incident)[0], by=operator, resolution="by hand")
    closed_period(world)

    put = Entry.objects.filter(verb="dead_letter.put").count()
    counted = {state: DeadLetter.objects.filter(state=state).count() for state in ("waiting", "replayed", "resolved")}
    assert counted == {"waiting": 1, "replayed": 1, "resolved": 1}
    assert put == sum(counted.values())


def test_a_read_that_is_refused_for_good_waits_as_a_letter_and_is_not_tried_for_ever(world):
    incident = make_incident()
    begin(make_plan(world, incident, CHARGED))
    Connection.objects.filter(slug="fo").update(slug="renamed")

    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert "“fo” is not configured any more" in incident.status_reason
    assert len(letters(incident)) == 1


def test_a_conflict_that_never_shows_in_a_read_ends_with_a_person(world):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED))
    world.fault("412", match=PATCHES, count=500)

    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert letters(incident)[0].cause == "fo: version_conflict"
    assert execution.step_runs.get().attempts_count == 5
    assert world.effects() == []


def test_after_a_412_with_a_visible_change_the_approval_is_void_and_it_is_planned_anew(world, monkeypatch):
    make_mend()
    incident = make_freight()
    call = executions.gateway.call

    def edited_first(connection, operation, *args, **options):
        if operation == "charge.update":
            monkeypatch.setattr(executions.gateway, "call", call)
            world.edit(system="fo", entity="SalesOrderCharges", key=CHARGE_KEY, changes={"FixedChargeAmount": 99.0})
        return call(connection, operation, *args, **options)

    monkeypatch.setattr(executions.gateway, "call", edited_first)
    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert list(incident.plans.order_by("pk").values_list("state", flat=True)) == ["void", "executed"]
    assert incident.plans.first().steps.get().predicted[0]["before"] == 99.0
    assert len(world.effects()) == 1


def test_a_fault_of_ours_in_the_middle_leaves_a_letter_that_can_be_replayed(world, operator, monkeypatch):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CREDIT))
    world.fault("commit_then_reset", match="CreditInvoice", count=1)
    with monkeypatch.context() as broken:
        broken.setattr(executions.gateway, "find", lambda *_, **__: (_ for _ in ()).throw(ZeroDivisionError("ours")))
        drive(incident)
    assert incident.status == Status.NEEDS_OPERATOR
    assert "failed 5 times" in incident.status_reason
    assert states(execution) == [StepState.STUCK]

    actions.replay_by(letters(incident)[0], by=operator)
    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert len(world.effects()) == 1


def test_a_fault_of_ours_is_not_counted_together_with_a_system_that_was_away(world, monkeypatch):
    incident = make_incident()
    begin(make_plan(world, incident, COMMENT))
    world.fault("fail_before", match="GET .*Case", count=7)
    for _ in range(6):
        hurry(incident)
        loop.advance(incident.pk)
    world.http.delete("/control/faults")
    with monkeypatch.context() as once:
        once.setattr("playbooks.engine.authority.forbids", lambda *_: (_ for _ in ()).throw(ZeroDivisionError("ours")))
        hurry(incident)
        loop.advance(incident.pk)

    incident.refresh_from_db()
    assert incident.status == Status.EXECUTING
    assert incident.stumble.count == 1
    assert drive(incident).status == Status.RESOLVED


def test_a_cause_is_part_of_a_letter_even_where_it_is_long(world):
    incident = make_freight()
    make_cause(incident)
    execution = begin(make_plan(world, incident, CHARGED))
    letter = deadletters.put(execution.step_runs.get(), cause="fo: x", error="y" * 5_000, guidance="z")

    again = deadletters.put(execution.step_runs.get(), cause="fo: other", error="", guidance="")

    assert again.pk == letter.pk
    assert DeadLetter.objects.count() == 1
