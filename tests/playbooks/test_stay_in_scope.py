"""A playbook uses the operations that its own text names and what takes them back; another's are out of its reach."""

from typing import Any

import pytest
from pydantic import ValidationError

from connectors.models import Call
from incidents.models import Incident
from incidents.states import Status
from playbooks import actions, chooser, planning, scopes, seals
from playbooks.definitions import PlaybookDefinition
from playbooks.effects import effect_key, with_key
from playbooks.executions import CannotUndo
from playbooks.models import Execution, Plan, Step, StepRun
from tests.playbooks.driving import begin, drive, letters
from tests.playbooks.mended import mended
from tests.playbooks.world import CHARGED, RELEASE, World, make_incident, make_plan, make_playbook

FOREIGN = "hold.release"


def step_of(write: Any) -> dict[str, Any]:
    connection, operation, arguments = write
    return {"name": "step_1", "title": "x", "connection": connection, "operation": operation,
            "arguments": {name: repr(value) for name, value in arguments.items()}}  # fmt: skip


def forged(execution: Execution, **changes: Any) -> None:
    """Change the stored step of a plan with everything that is made of it, as if planned and approved so."""
    Step.objects.filter(plan=execution.plan).update(**changes)
    plan = Plan.objects.get(pk=execution.plan_id)
    digest = seals._stored(plan)
    Plan.objects.filter(pk=plan.pk).update(digest=digest)
    Execution.objects.filter(pk=execution.pk).update(digest=digest)
    step, key = plan.steps.get(), effect_key(digest, 1, "forward")
    parameters, expected, undo = (with_key(part, key) for part in (step.parameters, step.predicted, step.undo))
    StepRun.objects.filter(execution=execution).update(
        connection=step.connection, operation=step.operation, parameters=parameters, expected=expected, undo=undo,
        effect_key=key,
    )  # fmt: skip
    execution.refresh_from_db()


def used(incident: Incident) -> set[str]:
    return set(Call.objects.filter(incident_id=incident.pk).values_list("operation", flat=True))


def test_a_plan_that_was_forged_through_and_through_does_not_reach_another_playbook_s_operation(world: World):
    make_playbook([step_of(RELEASE)], slug="other")
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED))
    other = make_plan(world, make_incident(entity_key="SO-2"), RELEASE).steps.get()
    forged(execution, operation=FOREIGN, parameters=other.parameters, predicted=other.predicted,
           sources=other.sources, undo=other.undo)  # fmt: skip
    assert seals.altered(execution.step_runs.get()) == "", "the forgery is complete: only the scope is left to object"

    drive(incident)

    assert world.effects() == []
    assert incident.status == Status.NEEDS_OPERATOR
    assert "names neither fo:hold.release" in incident.status_reason
    assert "operation" in letters(incident)[0].cause
    assert FOREIGN not in used(incident), "not even the record was looked at through it"


def test_nor_does_it_reach_another_connection(world: World):
    incident = make_incident()
    execution = begin(make_plan(world, incident, CHARGED))
    forged(execution, connection="crm", operation="case.close", parameters={"case": world.ids["CASE"]})

    drive(incident)

    assert world.effects() == []
    assert not Call.objects.filter(incident_id=incident.pk, connection__slug="crm").exists()


def test_an_unforged_plan_is_carried_out(world: World):
    incident, _ = mended(world, CHARGED)

    assert used(incident) == {"charge.update"}


def test_an_undo_cannot_be_turned_into_another_change(world: World, operator: Any):
    incident, execution = mended(world, CHARGED)
    foreign = {"operation": "invoice.credit", "parameters": {"company": "demf", "invoice": "INV-1", "reason": "x"}}
    forged(execution, undo=foreign)

    with pytest.raises(CannotUndo, match=r"names neither fo:invoice\.credit"):
        actions.roll_back(execution, by=operator, reason="wrong")

    assert len(world.effects()) == 1
    assert "invoice.credit" not in used(incident)


def test_a_rollback_that_was_begun_cannot_be_turned_either(world: World, operator: Any, monkeypatch: Any):
    incident, execution = mended(world, CHARGED)
    back = actions.roll_back(execution, by=operator, reason="wrong")
    StepRun.objects.filter(execution=back).update(operation="invoice.credit")
    monkeypatch.setattr(seals, "altered", lambda step_run: "")

    drive(incident)

    assert len(world.effects()) == 1
    assert "invoice.credit" not in used(incident)


def test_a_model_that_names_another_playbook_is_not_followed(world: World):
    offered = {"mend": {}}

    with pytest.raises(chooser.BadProposal, match="no candidate"):
        chooser.validate({"tool_calls": [{"name": "other", "arguments": "{}"}]}, offered)


def test_a_plan_of_a_playbook_holds_only_what_its_text_names(world: World):
    version = make_playbook([step_of(CHARGED)])
    plan = make_plan(world, make_incident(), CHARGED)

    assert scopes.of(version) == {("fo", "charge.update")}
    assert {(step.connection, step.operation) for step in plan.steps.all()} <= scopes.of(plan.playbook_version)


@pytest.mark.parametrize("name", ["operation", "connection"])
@pytest.mark.parametrize(
    "said", ["slots.which", "incident.entity_key", "{slots.which}", "fo:hold.release", "' + x + '"]
)
def test_which_operation_a_step_uses_is_no_expression(name: str, said: str):
    step = {**step_of(CHARGED), name: said}
    if name == "operation" and said in ("slots.which", "incident.entity_key"):
        # Well formed, and the name of an operation that nobody has: never a value from outside.
        assert PlaybookDefinition.model_validate({"rationale": "x", "steps": [step]}).steps[0].operation == said
        return

    with pytest.raises(ValidationError):
        PlaybookDefinition.model_validate({"rationale": "x", "steps": [step], "slots": {}})


def test_an_operation_that_is_no_write_of_the_connection_is_not_planned(world: World):
    step = PlaybookDefinition.model_validate(
        {"rationale": "x", "steps": [{**step_of(CHARGED), "operation": "slots.which"}]}
    ).steps[0]

    with pytest.raises(planning.CannotPlan, match="no write operation"):
        planning._draft(make_incident(), step, {"slots": {"which": FOREIGN}}, "system:loop")
