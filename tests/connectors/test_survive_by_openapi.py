"""A worker dies at each of nine points while it makes a record by a REST API: one record, and one undo of it."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from django.contrib.auth.models import User

from connectors.kinds.openapi import example
from incidents.states import Status
from playbooks import actions as mending
from playbooks.states import ExecutionState, StepState
from tests.connectors.factories import Played
from tests.connectors.openapi_world import Orders, make_api
from tests.playbooks.driving import begin, die_and_come_back, drive, letters, states
from tests.playbooks.test_survive_crashes import POINTS
from tests.playbooks.world import World, make_incident, make_plan

MAKE = ("api", "order.create", {"status": "open", "note": "Replaces SO-1"})
# The same record where the API knows keys instead of marks.
KEYED = """
order.create:
  read_back: orders.list
  match: {note: note}
  creates: true
  idempotency_key: Idempotency-Key
  undo: none
"""
UNMARKED = {"chosen": ["orders.list", "order.create"], "declarations": KEYED}


@pytest.fixture
def orders(db: None, played: Played) -> Orders:
    return Orders(played)


def nowhere() -> World:
    """A world that nothing is planted in: the plan needs no made ids."""

    def meant(parameters: Mapping[str, Any]) -> dict[str, Any]:
        return dict(parameters)

    return cast("World", SimpleNamespace(meant=meant))


def trip(orders: Orders, fault: str) -> None:
    """Let the next creation fail before anything is done, or lose its answer after."""
    orders.fail, orders.lose = int(fault == "fail_before"), int(fault == "commit_then_reset")


@pytest.mark.chaos
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("config", [{}, UNMARKED], ids=["mark", "key"])
def test_a_death_at_any_point_makes_one_record(
    orders: Orders, monkeypatch: pytest.MonkeyPatch, point: str, config: dict[str, Any]
) -> None:
    make_api(config=config)
    incident = make_incident()
    execution = begin(make_plan(nowhere(), incident, MAKE))
    module, name, replacement, fault = POINTS[point]
    trip(orders, fault)
    with monkeypatch.context() as dying_here:
        dying_here.setattr(module, name, replacement())
        die_and_come_back(incident)

    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert states(execution) == [StepState.VERIFIED]
    assert len(orders.rows) == 1
    if not config:
        assert next(iter(orders.rows.values()))["reference"] == execution.step_runs.get().effect_key


def test_what_was_made_is_taken_back_by_its_mark_and_read_back(orders: Orders, operator: User) -> None:
    make_api()
    incident = make_incident()
    plan = make_plan(nowhere(), incident, MAKE)
    execution = begin(plan)
    drive(incident)
    made = dict(orders.rows)

    execution.refresh_from_db()
    back = mending.roll_back(execution, by=operator, reason="wrong order")
    drive(incident)

    back.refresh_from_db()
    assert [(row["field"], row["after"]) for row in plan.steps.get().predicted] == [
        ("status", "open"), ("note", "Replaces SO-1")
    ]  # fmt: skip
    assert len(made) == 1
    assert (incident.status, back.state) == (Status.ROLLED_BACK, ExecutionState.VERIFIED)
    assert orders.rows == {}
    assert {run.operation for run in back.step_runs.all()} == {"order.delete_marked"}


def test_a_refusal_is_a_dead_letter_with_the_apis_own_words(orders: Orders, played: Played) -> None:
    make_api()
    incident = make_incident()
    execution = begin(make_plan(nowhere(), incident, MAKE))
    played.on("POST", "/v1/orders", httpx.Response(422, json={"title": "Unknown note", "detail": "Say who asks"}))

    drive(incident)

    assert states(execution) == [StepState.REFUSED]
    assert "Unknown note; Say who asks" in letters(incident)[0].error
    assert orders.rows == {}


def test_the_examples_declarations_are_those_that_are_tested() -> None:
    assert "undo: order.delete" in example.DECLARATIONS
    assert "marker: reference" in example.DECLARATIONS
