"""A worker dies at each of nine points of each kind of write: nothing is lost, nothing is done twice."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from connectors import gateway
from incidents.models import Incident
from incidents.states import Status
from playbooks import engine, lanes, loop, verification
from playbooks.states import StepState
from tests.playbooks.driving import Crash, begin, die_and_come_back, drive, states
from tests.playbooks.world import CRM_WRITES, DV_WRITES, WRITES, World, make_incident, make_plan

EVERY = {**WRITES, **CRM_WRITES, **DV_WRITES}
Write = tuple[str, str, Mapping[str, Any]]


def dying(function: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    """Return ``function`` with the death of the process put before or after its first call."""

    def replacement(*args: Any, **options: Any) -> Any:
        if not after:
            raise Crash
        function(*args, **options)
        raise Crash

    return replacement


def at_state(state: StepState, *, after: bool) -> Callable[..., Any]:
    """Return the step's mover with a death before or after it commits ``state``."""
    original = engine.move_step

    def replacement(run: Any, to: StepState, **options: Any) -> Any:
        if to is state and not after:
            raise Crash
        moved = original(run, to, **options)
        if to is state:
            raise Crash
        return moved

    return replacement


# point → (module, attribute, replacement, fault of the target)
POINTS: dict[str, tuple[Any, str, Callable[[], Callable[..., Any]], str]] = {
    "before the intent": (lanes, "enter", lambda: dying(lanes.enter, after=False), ""),
    "intent not committed": (engine, "_open_attempt", lambda: dying(engine._open_attempt, after=True), ""),
    "after the fresh look": (
        verification,
        "compare_with_plan",
        lambda: dying(verification.compare_with_plan, after=True),
        "",
    ),
    "before sent is committed": (engine, "move_step", lambda: at_state(StepState.SENT, after=False), ""),
    "sent committed, socket not open": (gateway, "call", lambda: dying(gateway.call, after=False), ""),
    "refused before the commit": (engine, "_not_done", lambda: dying(engine._not_done, after=False), "fail_before"),
    "committed, answer lost": (engine, "_not_done", lambda: dying(engine._not_done, after=False), "commit_then_reset"),
    "answered, not saved": (engine, "move_step", lambda: at_state(StepState.DONE, after=False), ""),
    "verified, not closed": (loop, "move_execution", lambda: dying(loop.move_execution, after=False), ""),
}
CHANGES = "^(POST|PATCH|PUT) (?!.*(oauth2|token))"  # requests that change something


def die_at(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    incident: Incident,
    point: str,
    match: str = CHANGES,
) -> None:
    """Let the worker die at one point of the step that is next, or of the one whose request fits ``match``."""
    module, name, replacement, fault = POINTS[point]
    if fault:
        world.fault(fault, match=match, count=1)
    with monkeypatch.context() as dying_here:
        dying_here.setattr(module, name, replacement())
        die_and_come_back(incident)


@pytest.mark.chaos
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("write", EVERY.values(), ids=EVERY)
def test_a_death_at_any_point_leaves_one_effect(
    world: World, monkeypatch: pytest.MonkeyPatch, point: str, write: Write
) -> None:
    if write[0] == "dv":
        world.add_dataverse()
    incident = make_incident()
    execution = begin(make_plan(world, incident, write))
    die_at(world, monkeypatch, incident, point)

    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert states(execution) == [StepState.VERIFIED]
    assert len(world.effects()) == 1
    assert world.effects()[0]["effect_key"] == execution.step_runs.get().effect_key
