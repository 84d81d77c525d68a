"""Nothing is sent once a stored row is not what was approved."""

from typing import Any

import pytest

from audit.models import Entry
from incidents.models import Incident
from incidents.states import Status
from playbooks import actions
from playbooks.models import Guardrail, Step, StepRun
from playbooks.states import StepState
from tests.playbooks.cases import make_policy
from tests.playbooks.driving import begin, drive, letters, states
from tests.playbooks.mended import mended
from tests.playbooks.world import CHARGED, PRICE, World, make_incident, make_plan


def stopped(world: World, incident: Incident, effects: int) -> None:
    """It was stopped before anything more was sent, in words and in the ledger."""
    drive(incident)
    assert len(world.effects()) == effects
    assert incident.status == Status.NEEDS_OPERATOR
    [letter] = letters(incident)
    assert letter.cause == "fo: altered"
    entry = Entry.objects.filter(verb="effect.stuck", incident_id=incident.pk).latest("pk")
    assert "stored" in entry.reason


ROWS: list[tuple[str, Any]] = [
    ("parameters", {"company": "demf", "order": "SO-1", "line": 1, "amount": "9999.00"}),
    ("expected", []),
    ("undo", {"operation": "charge.update", "parameters": {}}),
    ("operation", "hold.release"),
    ("connection", "crm"),
    ("effect_key", "f" * 40),
]


@pytest.mark.parametrize(("column", "value"), ROWS, ids=[name for name, _ in ROWS])
def test_a_changed_row_is_not_sent(world, column, value):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED))
    StepRun.objects.filter(execution=execution).update(**{column: value})

    drive(incident)

    assert world.effects() == []
    assert "The stored row of step 1" in incident.status_reason
    assert letters(incident)[0].cause.endswith(": altered")


@pytest.mark.parametrize("column", ["parameters", "predicted", "undo", "sources"])
def test_a_plan_that_was_changed_with_its_row_is_not_sent(world, column):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED))
    value = {"parameters": ROWS[0][1], "undo": None, "predicted": [], "sources": []}[column]
    Step.objects.filter(plan=execution.plan).update(**{column: value})
    if column in ("parameters", "undo"):
        StepRun.objects.filter(execution=execution).update(**{column: value})

    stopped(world, incident, effects=0)


def test_what_a_policy_had_said_cannot_be_changed_afterwards(world):
    make_policy("true", "needs_approval")
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED))
    Guardrail.objects.filter(step__plan=execution.plan).update(verdict="allow")

    stopped(world, incident, effects=0)


def test_a_step_in_the_middle_is_held_against_the_plan_as_well(world):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED, PRICE))
    second = execution.step_runs.get(number=2)
    StepRun.objects.filter(pk=second.pk).update(parameters={**second.parameters, "price": "1.00"})

    stopped(world, incident, effects=1)
    assert states(execution) == [StepState.VERIFIED, StepState.STUCK]


@pytest.mark.parametrize(
    ("column", "value"), [row for row in ROWS if row[0] not in ("undo", "connection")], ids=lambda one: str(one)[:12]
)
def test_a_changed_undo_is_not_sent(world, operator, column, value):
    incident, execution = mended(world, CHARGED)
    back = actions.roll_back(execution, by=operator, reason="wrong")
    StepRun.objects.filter(execution=back).update(**{column: value})

    stopped(world, incident, effects=1)


def test_records_that_an_undo_foresaw_cannot_be_changed_either(world, operator):
    incident, execution = mended(world, CHARGED)
    back = actions.roll_back(execution, by=operator, reason="wrong")
    StepRun.objects.filter(execution=back).update(result={"sources": []})

    stopped(world, incident, effects=1)


def test_the_second_step_of_an_undo_still_agrees_with_its_digest(world, operator):
    incident, execution = mended(world, CHARGED, PRICE)

    actions.roll_back(execution, by=operator, reason="wrong")

    assert drive(incident).status == Status.ROLLED_BACK, incident.status_reason
    assert len(world.effects()) == 4
