"""A worker dies while SAP orders are cancelled and entered anew: nothing is lost, nothing is done twice."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from incidents.states import Status
from playbooks import actions, engine
from playbooks.models import Execution
from playbooks.states import StepState
from tests.connectors.sap_world import ORDER, REPLACE, WRONG, make_sap, plant_sap, plant_wrong_order
from tests.playbooks import world as worlds
from tests.playbooks.driving import begin, die_and_come_back, drive, states
from tests.playbooks.test_survive_crashes import POINTS, die_at, dying
from tests.playbooks.world import World, make_incident, make_plan

# An order's one item, and an order with all that is below it.
WRITES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "item": ("order.reject", {"order": ORDER, "reason": "Z9"}),
    "deep insert": ("order.replace", REPLACE),
}


@pytest.mark.chaos
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_death_at_any_point_leaves_one_effect(
    world: World, monkeypatch: pytest.MonkeyPatch, point: str, write: tuple[str, Mapping[str, Any]]
) -> None:
    plant_sap(world)
    plant_wrong_order(world, reason="Z9")
    world.connections["sap"] = make_sap(world.url, secret="simulator")
    monkeypatch.setattr(worlds, "_cel", json.dumps)  # lists too: JSON is CEL
    incident = make_incident()
    execution = begin(make_plan(world, incident, ("sap", *write)))
    die_at(world, monkeypatch, incident, point, match="^(POST|PATCH) ")

    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert states(execution) == [StepState.VERIFIED]
    assert [row["effect_key"] for row in world.effects()] == [execution.step_runs.get().effect_key]


# --- an order of two items, cancelled and entered anew by one plan -----------------------------------------
ANEW = (("sap", "order.reject", {"order": WRONG, "reason": "Z9"}), ("sap", "order.replace", REPLACE))


@pytest.fixture
def anew(world: World, monkeypatch: pytest.MonkeyPatch) -> Execution:
    """The plan, about to be carried out."""
    plant_wrong_order(world)
    world.connections["sap"] = make_sap(world.url, secret="simulator")
    monkeypatch.setattr(worlds, "_cel", json.dumps)
    return begin(make_plan(world, make_incident(), *ANEW))


def standing(world: World) -> list[tuple[str, str, float, float]]:
    """The orders of the reference: sales organization, rejection, worth, and how many lamps they have."""
    parts = {"system": "sap", "entity": "A_SalesOrder"}
    found = []
    for number in (WRONG, "8000001", "8000002"):
        answer = world.http.get("/control/records", params={**parts, "key": number})
        if answer.status_code == 200:
            row = answer.json()["fields"]
            lamps = world.truth("sap", "A_SalesOrderScheduleLine", f"{number}/10/1")["ConfdOrderQtyByMatlAvailCheck"]
            state = (row["SalesOrganization"], row["OverallSDDocumentRejectionSts"])
            found.append((*state, float(row["TotalNetAmount"]), float(lamps)))
    return found


MOVED = [("1710", "C", 0.0, 0.0), ("1010", "A", 130.0, 8.0)]


@pytest.mark.chaos
@pytest.mark.parametrize("fault", ["reset_before", "commit_then_reset"])
@pytest.mark.parametrize("match", ["PATCH .*SalesOrderItem='10'", "PATCH .*SalesOrderItem='20'", "POST .*A_SalesOrder"])
def test_a_death_half_way_through_an_order_leaves_each_item_and_the_new_order_once(
    world: World, anew: Execution, monkeypatch: pytest.MonkeyPatch, match: str, fault: str
) -> None:
    incident = anew.incident
    world.fault(fault, match=match, count=1)
    with monkeypatch.context() as dying_here:
        dying_here.setattr(engine, "_not_done", dying(engine._not_done, after=False))
        die_and_come_back(incident)

    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert states(anew) == [StepState.VERIFIED] * 2
    assert standing(world) == MOVED
    made = [(row["entity"], row["kind"]) for row in world.effects()]
    assert made == [("A_SalesOrderItem", "update")] * 2 + [("A_SalesOrder", "create")]


def test_what_was_foreseen_of_stock_and_credit_is_what_came(world: World, anew: Execution) -> None:
    drive(anew.incident)

    assert standing(world) == MOVED
    assert [run.verifications.get().surprises for run in anew.step_runs.all()] == [0, 0]
    assert anew.plan.amount == 130, "one order is at stake, not two"


def test_the_rollback_cancels_the_new_order_first_and_takes_the_old_one_up_again(
    world: World, anew: Execution, operator: Any, approver: Any
) -> None:
    drive(anew.incident)
    anew.refresh_from_db()

    back = actions.roll_back(anew, by=operator, reason="the organization was right")
    asked = ApprovalRequest.objects.get(subject="rollback", subject_id=back.pk)
    approvals.decide(asked, by=approver, verdict="approve", digest=back.digest, comment="fine")
    drive(anew.incident)

    anew.incident.refresh_from_db()
    assert anew.incident.status == Status.ROLLED_BACK, anew.incident.status_reason
    assert [run.operation for run in back.step_runs.all()] == ["order.withdraw", "order.reopen"]
    assert states(back) == [StepState.VERIFIED] * 2
    assert standing(world) == [("1710", "A", 130.0, 8.0), ("1010", "C", 0.0, 0.0)]


def test_an_item_that_a_person_rejected_meanwhile_is_no_half_done_work_of_ours(world: World, anew: Execution) -> None:
    edit = {"system": "sap", "entity": "A_SalesOrderItem", "key": f"{WRONG}/20"}
    world.edit(**edit, changes={"SalesDocumentRjcnReason": "01"})

    drive(anew.incident)

    assert world.effects() == []
    assert standing(world) == [("1710", "", 130.0, 8.0)]
