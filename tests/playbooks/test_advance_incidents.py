"""The loop, stage by stage: each takes one step, each death is survived, and nothing stays between."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError, OperationalError

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from audit.clock import db_now
from audit.errors import LostRace
from audit.models import Entry
from connectors.models import Connection
from incidents import leases
from incidents.actions import ring
from incidents.models import Incident
from incidents.states import Status
from playbooks import actions, endings, loop, planning, plans
from playbooks.models import Plan
from playbooks.states import ExecutionState, PlanState
from tests.playbooks.cases import CHARGE_KEY, STEP, live_plan, make_freight, make_mend
from tests.playbooks.driving import begin, die_and_come_back, drive, dying, hurry
from tests.playbooks.world import CHARGED, CREDIT, World, make_incident, make_plan


def asked(world: World) -> tuple[Incident, Plan, ApprovalRequest]:
    """An incident that waits for an approver."""
    make_mend(autonomy=None)
    incident = make_freight()
    drive(incident)
    plan = live_plan(incident)
    return incident, plan, ApprovalRequest.objects.get(subject_id=plan.pk)


def edit(world: World, amount: float) -> None:
    world.edit(system="fo", entity="SalesOrderCharges", key=CHARGE_KEY, changes={"FixedChargeAmount": amount})


def test_from_a_new_signal_to_a_verified_mend_without_anybody(world):
    make_mend()
    incident = make_freight(status=Status.NEW)

    drive(incident)

    verbs = Entry.objects.filter(incident_id=incident.pk).order_by("pk").values_list("verb", flat=True)
    moves = [verb.removeprefix("incident.") for verb in verbs if verb.removeprefix("incident.") in Status.values]
    assert moves == ["triaged", "diagnosed", "planned", "executing", "verifying", "resolved"]
    assert incident.status_reason == "Read back from the source: 2 fields of 1 steps are as predicted."
    assert live_or_none(incident) is None


def live_or_none(incident: Incident) -> Plan | None:
    return incident.plans.filter(state__in=plans.LIVE).first()


def test_a_kind_that_nobody_knows_goes_to_a_person_with_a_reason(world):
    incident = make_incident(status=Status.NEW, kind=None, code="vendor_bank_changed")

    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert incident.status_reason


def test_a_record_that_is_right_already_is_left_alone(world):
    make_mend()
    edit(world, 84.0)
    incident = make_freight()

    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert world.effects() == []


def test_a_system_that_is_away_while_evidence_is_read_is_waited_for(world):
    make_mend()
    incident = make_freight()
    world.fault("fail_before", match="SalesOrder", count=8)
    for _ in range(4):
        hurry(incident)
        loop.advance(incident.pk)

    incident.refresh_from_db()
    assert incident.status == Status.TRIAGED
    assert incident.stumble.count == 4
    assert incident.due_at is not None
    assert drive(incident).status == Status.RESOLVED


def test_a_connection_that_is_switched_off_needs_a_person_and_says_so(world):
    make_mend()
    Connection.objects.filter(slug="fo").update(enabled=False)
    incident = make_freight()

    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert "disabled" in incident.status_reason


# --- people ---------------------------------------------------------------------------------------


def test_nothing_is_done_before_the_yes_and_everything_after_it(world, approver):
    incident, plan, question = asked(world)
    assert (incident.status, incident.due_at) == (Status.AWAITING_APPROVAL, None)
    assert world.effects() == []

    approvals.decide(question, by=approver, verdict="approve", digest=plan.digest)
    incident.refresh_from_db()
    assert incident.due_at is not None
    drive(incident)

    assert incident.status == Status.RESOLVED
    assert len(world.effects()) == 1


def test_a_no_ends_the_plan_and_says_why(world, approver):
    incident, plan, question = asked(world)

    approvals.decide(question, by=approver, verdict="reject", digest=plan.digest, comment="wrong customer")
    drive(incident)

    plan.refresh_from_db()
    assert (incident.status, plan.state) == (Status.NEEDS_OPERATOR, PlanState.REJECTED)
    assert incident.status_reason == "The plan was rejected: wrong customer"
    assert world.effects() == []


def test_a_rejected_plan_is_not_proposed_again_although_the_worker_dies_over_it(world, approver, monkeypatch):
    incident, plan, question = asked(world)
    approvals.decide(question, by=approver, verdict="reject", digest=plan.digest, comment="wrong customer")
    hurry(incident)
    with monkeypatch.context() as dying_here:
        dying_here.setattr(loop, "move", dying())
        die_and_come_back(incident)

    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert incident.plans.count() == 1


def test_silence_is_not_a_yes(world):
    incident, plan, question = asked(world)
    ApprovalRequest.objects.filter(pk=question.pk).update(expires_at=db_now() - timedelta(seconds=1))

    assert approvals.expire_due() == 1
    drive(incident)

    plan.refresh_from_db()
    assert (incident.status, plan.state) == (Status.NEEDS_OPERATOR, PlanState.VOID)
    assert "in time" in incident.status_reason
    assert world.effects() == []


def test_a_yes_that_runs_out_while_the_plan_waits_for_its_lane_is_worth_nothing(world, approver):
    first = make_incident()
    begin(make_plan(world, first, CHARGED))
    world.fault("lock", match="^PATCH .*SalesOrderCharges", count=5)
    drive(first)  # stuck, and holds its lane
    incident, plan, question = asked(world)
    approvals.decide(question, by=approver, verdict="approve", digest=plan.digest)
    hurry(incident)
    loop.advance(incident.pk)
    ApprovalRequest.objects.filter(pk=question.pk).update(expires_at=db_now() - timedelta(seconds=1))
    endings.give_up(first.executions.get(), actor="test", reason="by hand")

    drive(incident)

    assert world.effects() == []
    assert incident.status == Status.NEEDS_OPERATOR
    assert "No approval of exactly this plan stands" in incident.status_reason


# --- races ----------------------------------------------------------------------------------------


def test_somebody_who_rings_while_the_loop_looks_is_heard(world):
    incident, _, _ = asked(world)
    Incident.objects.filter(pk=incident.pk).update(due_at=db_now() - timedelta(minutes=1))
    looked = Incident.objects.get(pk=incident.pk)
    ring(incident.pk)

    rested = loop._rests(looked, loop.Pause())
    postponed = loop._rests(looked, loop.Pause(3600))

    incident.refresh_from_db()
    assert (rested, postponed) == (False, False)
    assert incident.due_at is not None
    assert incident.due_at <= db_now()


def test_who_is_first_at_the_incident_carries_it_and_the_other_goes_away(world):
    incident = make_incident()
    begin(make_plan(world, incident, CHARGED))
    lease = leases.claim(incident.pk)

    assert lease is not None
    assert loop.advance(incident.pk) is False
    assert world.effects() == []


def test_an_incident_that_is_not_due_is_left_alone(world):
    incident = make_freight(due_at=db_now() + timedelta(hours=1))

    assert loop.advance(incident.pk) is False


def test_an_incident_that_is_put_on_hold_while_a_system_refuses_stays_on_hold(world, monkeypatch):
    make_mend()
    incident = make_freight()
    Connection.objects.filter(slug="fo").update(enabled=False)
    collect = loop.evidence.collect

    def held_meanwhile(*args: Any, **options: Any) -> Any:
        Incident.objects.filter(pk=incident.pk).update(status=Status.ON_HOLD)
        return collect(*args, **options)

    monkeypatch.setattr(loop.evidence, "collect", held_meanwhile)
    hurry(incident)
    assert loop.advance(incident.pk) is True

    incident.refresh_from_db()
    assert (incident.status, incident.lease_until) == (Status.ON_HOLD, None)


def test_a_worker_without_its_lease_gives_nobody_up(world, monkeypatch):
    incident = make_freight()

    def overtaken(*_: Any, **__: Any) -> Any:
        Incident.objects.filter(pk=incident.pk).update(lease_until=db_now() - timedelta(seconds=1))
        raise ZeroDivisionError

    monkeypatch.setattr(loop.evidence, "collect", overtaken)
    for _ in range(8):
        hurry(incident)
        loop.advance(incident.pk)

    incident.refresh_from_db()
    assert incident.status == Status.TRIAGED


# --- our own faults --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ZeroDivisionError("ours"), DataError("value too long"), KeyError("x")])
@pytest.mark.parametrize("stage", ["evidence.collect", "rootcause.diagnose", "planning.propose", "plans.submit"])
def test_a_fault_of_ours_is_tried_five_times_and_then_told(world, monkeypatch, stage, error):
    make_mend()
    incident = make_freight()
    module, _, name = stage.partition(".")

    def broken(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(getattr(loop, module), name, broken)
    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert "failed 5 times while the incident was" in incident.status_reason
    assert type(error).__name__ in incident.status_reason
    assert str(error) not in incident.status_reason


def test_a_database_that_is_away_is_nobodys_fault_and_is_tried_again(world, monkeypatch):
    make_mend()
    incident = make_freight()
    with monkeypatch.context() as away:
        away.setattr(loop.evidence, "collect", lambda *_, **__: (_ for _ in ()).throw(OperationalError("away")))
        hurry(incident)
        with pytest.raises(OperationalError):
            loop.advance(incident.pk)

    incident.refresh_from_db()
    assert incident.status == Status.TRIAGED
    assert not hasattr(incident, "stumble")
    assert drive(incident).status == Status.RESOLVED


def test_a_rollback_that_waits_is_dropped_where_the_loop_cannot_go_on(world, operator, monkeypatch):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CREDIT))
    drive(incident)
    execution.refresh_from_db()
    back = actions.roll_back(execution, by=operator, reason="wrong")
    with monkeypatch.context() as broken:
        broken.setattr(loop, "_agreed", lambda *_: (_ for _ in ()).throw(ZeroDivisionError("ours")))
        Incident.objects.filter(pk=incident.pk).update(due_at=db_now() - timedelta(seconds=1))
        drive(incident)

    back.refresh_from_db()
    assert (incident.status, back.state) == (Status.NEEDS_OPERATOR, ExecutionState.CANCELLED)
    assert ApprovalRequest.objects.get(subject="rollback").state == "void"
    assert actions.roll_back(execution, by=operator, reason="once more").state == ExecutionState.WAITING


def test_a_lost_race_between_two_movers_is_looked_at_again(world, monkeypatch):
    make_mend()
    incident = make_freight()
    propose, raised = planning.propose, []

    def lost_once(*args: Any, **options: Any) -> Plan:
        if not raised:
            raised.append(True)
            raise LostRace("somebody else was faster")
        return propose(*args, **options)

    monkeypatch.setattr(planning, "propose", lost_once)
    drive(incident)

    assert incident.status == Status.RESOLVED
    assert raised == [True]


def test_steps_of_a_playbook_run_in_their_order_and_a_step_may_be_left_out(world):
    second = {**STEP, "name": "again", "when": "charge.FixedChargeAmount > 1000.0"}
    make_mend(STEP, second)
    incident = make_freight()

    drive(incident)

    assert incident.status == Status.RESOLVED
    assert [step.name for step in incident.plans.get().steps.all()] == ["correct"]
