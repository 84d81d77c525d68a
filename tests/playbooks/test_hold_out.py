"""Held out: who takes part, that a person gets it, and how a person takes it out."""

import hashlib
import json
from datetime import timedelta

import pytest

from audit.clock import db_now
from audit.errors import Invalid, NotAllowed, Stale
from audit.models import Entry
from incidents.states import Status
from playbooks import actions, holdout_actions, holdouts, plans
from playbooks.holdout_models import HoldOut, HoldOutDraw
from playbooks.models import Execution, Plan
from playbooks.states import PlanState
from tests.factories import make_user
from tests.playbooks.cases import CHARGE_KEY, STEP, live_plan, make_freight, make_mend, make_policy
from tests.playbooks.driving import drive
from tests.playbooks.trials import PURPOSE, begin, draft, held, seed_for, trial_for
from tests.playbooks.world import ORDER


@pytest.fixture
def operator(db):
    return make_user("operator", role="operator")


# --- what becomes of it ---------------------------------------------------------------------------


def test_without_a_hold_out_everything_is_as_it_was(world):
    make_mend()
    incident = make_freight()

    drive(incident)

    assert incident.status == Status.RESOLVED
    assert not HoldOutDraw.objects.exists()
    assert not Entry.objects.filter(verb__startswith="hold_out").exists()


def test_what_is_held_out_goes_to_a_person_and_nothing_is_sent(world):
    incident, drawn = held()

    assert incident.status == Status.NEEDS_OPERATOR
    assert incident.status_reason.startswith("Held out: left to people by lot")
    assert drawn.held_out
    assert drawn.stands
    assert incident.plans.get().state == PlanState.VOID
    assert world.effects() == []
    entry = Entry.objects.get(verb="hold_out.held", incident_id=incident.pk)
    assert (entry.actor, entry.reason) == ("system:hold-out", PURPOSE)


def test_what_the_lot_leaves_to_the_playbook_is_mended_and_counted_too(world):
    make_mend()
    incident = make_freight()
    trial_for(incident, out=False)

    drive(incident)

    drawn = HoldOutDraw.objects.get(incident=incident)
    assert incident.status == Status.RESOLVED
    assert not drawn.held_out
    assert drawn.playbook_version == incident.plans.get().playbook_version
    assert Entry.objects.filter(verb="hold_out.handled", incident_id=incident.pk).count() == 1


def test_what_people_are_asked_about_anyway_takes_no_part(world):
    make_mend(autonomy=None)
    incident = make_freight()
    version = make_mend()
    trial_for(incident)
    version.playbook.versions.update(active=False)
    version.playbook.versions.filter(number=1).update(active=True)

    drive(incident)

    assert incident.status == Status.AWAITING_APPROVAL
    assert not HoldOutDraw.objects.exists()


def test_what_a_policy_asks_people_about_takes_no_part(world):
    make_policy("true", "needs_approval")
    make_mend()
    incident = make_freight()
    trial_for(incident)

    drive(incident)

    assert incident.status == Status.AWAITING_APPROVAL
    assert not HoldOutDraw.objects.exists()


def test_a_plan_that_a_person_edited_is_not_drawn_for(world):
    make_mend()
    incident = make_freight(Status.DIAGNOSED)
    trial_for(incident)
    plan = draft(incident)
    Plan.objects.filter(pk=plan.pk).update(edited_by=["anna"])
    plan.refresh_from_db()

    assert holdouts.keeps(plan) is None
    assert not HoldOutDraw.objects.exists()


def test_the_hold_out_of_another_playbook_draws_nobody_here(world):
    make_mend()
    other = make_mend(STEP, slug="other")
    other.playbook.kind_code = "another_kind"
    other.playbook.save()
    incident = make_freight()
    trial = begin(other.playbook)
    trial.secret_seed = seed_for(holdouts.record_of(incident), out=True, share=20)
    trial.save()

    drive(incident)

    assert incident.status == Status.RESOLVED
    assert not HoldOutDraw.objects.exists()


def test_a_hold_out_whose_time_is_over_draws_nobody(world):
    make_mend()
    incident = make_freight()
    trial = trial_for(incident)
    past = db_now() - timedelta(days=40)
    HoldOut.objects.filter(pk=trial.pk).update(begun_at=past, ends_at=past + timedelta(days=30))

    drive(incident)

    assert incident.status == Status.RESOLVED
    assert not HoldOutDraw.objects.exists()


# --- what a person does ---------------------------------------------------------------------------


def test_a_person_takes_it_out_for_a_reason_and_the_playbook_mends_it(world, operator):
    incident, drawn = held()

    holdout_actions.leave(incident, by=operator, reason="The customer ships tonight.")
    drive(incident)

    drawn.refresh_from_db()
    assert incident.status == Status.RESOLVED
    assert (drawn.held_out, drawn.stands, drawn.left_by) == (True, False, "operator")
    entry = Entry.objects.get(verb="hold_out.left", incident_id=incident.pk)
    assert (entry.actor, entry.reason) == ("operator", "The customer ships tonight.")
    assert Execution.objects.get(incident=incident).plan.autonomous


@pytest.mark.parametrize("reason", ["", "  ", "\x00"])
def test_it_is_not_taken_out_without_a_reason(world, operator, reason):
    incident, drawn = held()

    with pytest.raises(Invalid):
        holdout_actions.leave(incident, by=operator, reason=reason)

    drawn.refresh_from_db()
    assert drawn.stands


@pytest.mark.parametrize("role", ["viewer", "approver", "compliance", "auditor"])
def test_only_who_mends_takes_it_out(world, role):
    incident, drawn = held()

    with pytest.raises(NotAllowed):
        holdout_actions.leave(incident, by=make_user("other", role=role), reason="I want to.")

    drawn.refresh_from_db()
    assert drawn.stands


def test_it_is_taken_out_once_and_nothing_else_can_be(world, operator):
    incident, _ = held()
    holdout_actions.leave(incident, by=operator, reason="Now.")

    with pytest.raises(holdout_actions.NotHeldOut):
        holdout_actions.leave(incident, by=operator, reason="Again.")
    with pytest.raises(holdout_actions.NotHeldOut):
        holdout_actions.leave(make_freight(entity_key="SO-9"), by=operator, reason="Me too.")
    assert Entry.objects.filter(verb="hold_out.left").count() == 1


def test_an_old_look_at_it_takes_nothing_out(world, operator):
    incident, drawn = held()

    with pytest.raises(Stale):
        holdout_actions.leave(incident, by=operator, reason="Now.", if_version=incident.row_version - 1)

    drawn.refresh_from_db()
    assert drawn.stands


def test_what_was_closed_by_hand_cannot_be_taken_out_afterwards(world, operator):
    incident, drawn = held()
    actions.incident_actions.dismiss(incident, by=operator, reason="Mended by hand.")

    with pytest.raises(holdout_actions.NotHeldOut):
        holdout_actions.leave(incident, by=operator, reason="It counts for the playbook.")

    drawn.refresh_from_db()
    assert drawn.stands


def test_one_that_rests_leaves_the_group_and_stays_at_rest(world, operator):
    incident, _ = held()
    actions.incident_actions.hold(incident, by=operator, reason="The carrier answers tomorrow.")

    holdout_actions.leave(incident, by=operator, reason="Then the playbook may.")

    incident.refresh_from_db()
    assert incident.status == Status.ON_HOLD
    actions.incident_actions.release(incident, by=operator)
    assert drive(incident).status == Status.RESOLVED


def test_a_person_mends_it_by_hand_and_looking_again_finds_it_right(world, operator):
    definition = {**make_freight(entity_key="SO-7").kind.definition}
    definition["healed"] = "charge != null && charge.FixedChargeAmount == 84.0 ? 'the freight is right.' : ''"
    incident, drawn = held()
    incident.kind.definition = definition
    incident.kind.save()
    world.edit(system="fo", entity="SalesOrderCharges", key=CHARGE_KEY, changes={"FixedChargeAmount": 84.0})

    actions.replan(incident, by=operator)
    drive(incident)

    drawn.refresh_from_db()
    assert incident.status == Status.DISMISSED
    assert drawn.stands
    assert world.effects() == []


def test_the_ledger_tells_the_key_only_when_the_trial_is_over(world):
    incident, drawn = held()
    trial = drawn.hold_out
    told = "".join(Entry.objects.values_list("body", flat=True))
    assert trial.secret_seed not in told

    holdout_actions.end(trial, actor="automation", reason="Enough.")

    body = json.loads(Entry.objects.get(verb="hold_out.ended").body)
    assert holdouts.falls_out(body["data"]["seed"], holdouts.record_of(incident), trial.share)


def test_the_key_that_is_told_is_the_one_that_was_sealed_at_the_beginning(world):
    trial = begin(make_mend().playbook)
    holdout_actions.end(trial, actor="automation")

    sealed = json.loads(Entry.objects.get(verb="hold_out.begun").body)["data"]["seed_digest"]
    told = json.loads(Entry.objects.get(verb="hold_out.ended").body)["data"]["seed"]

    assert hashlib.sha256(told.encode()).hexdigest() == sealed


def test_may_act_alone_says_what_submit_does(world):
    make_mend()
    incident = make_freight(Status.DIAGNOSED)
    plan = draft(incident)

    assert plans.may_act_alone(plan)
    assert plans.submit(plan, actor="system:loop") == PlanState.APPROVED
    assert live_plan(incident).autonomous
    assert incident.entity_key == ORDER
