"""Carries incidents on in tests: rows' times are moved, never the clock, and nothing sleeps."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from audit.clock import db_now
from connectors.kit import credentials
from connectors.models import Connection
from incidents.models import Incident
from incidents.states import MACHINE, Status
from playbooks import executions, loop
from playbooks.models import DeadLetter, Execution, Plan, StepRun
from playbooks.moves import move_plan
from playbooks.states import PlanState

PAST = timedelta(hours=1)


class Crash(BaseException):
    """The process dies here: no handler of the code under test may answer it."""


def hurry(incident: Incident) -> None:
    """Let everything that waits be due: leases run out, pauses and settle times end."""
    past = db_now() - PAST
    Incident.objects.filter(pk=incident.pk).exclude(due_at=None).update(due_at=past)
    Incident.objects.filter(pk=incident.pk, lease_until__isnull=False).update(lease_until=past)
    StepRun.objects.filter(execution__incident=incident, not_before__isnull=False).update(not_before=past)
    Connection.objects.filter(not_before__isnull=False).update(not_before=past)


def dying(after: int = 0, original: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Return a function that works ``after`` times and then takes the process with it."""
    left = [after]

    def replacement(*args: Any, **options: Any) -> Any:
        if not left[0]:
            raise Crash
        left[0] -= 1
        assert original is not None
        return original(*args, **options)

    return replacement


def drive(incident: Incident, turns: int = 40, before: Callable[[], object] = lambda: None) -> Incident:
    """Carry an incident on until it rests: a person is needed, or it is over. ``before`` comes before each turn."""
    for _ in range(turns):
        before()
        hurry(incident)
        loop.advance(incident.pk)
        incident.refresh_from_db()
        if incident.status not in MACHINE or incident.due_at is None:
            return incident
    raise AssertionError(f"{incident} is still {incident.status}: {incident.status_reason}")


def die_and_come_back(incident: Incident) -> None:
    """Advance until the planted crash, then forget what the dead process knew."""
    try:
        loop.advance(incident.pk)
    except Crash:
        credentials.forget_all()
        return
    raise AssertionError("The process was to die here and did not.")


def begin(plan: Plan) -> Execution:
    """Start carrying out a plan as its autonomy grant would."""
    move_plan(plan, PlanState.APPROVED, actor="test", autonomous=True)
    execution = executions.begin(plan, actor="test")
    Incident.objects.filter(pk=plan.incident_id).update(status=Status.EXECUTING, due_at=db_now() - PAST)
    return execution


def states(execution: Execution) -> list[str]:
    """Return the states of an execution's steps, in order."""
    return list(execution.step_runs.values_list("state", flat=True))


def letters(incident: Incident) -> list[Any]:
    """Return the waiting dead letters of an incident."""
    return list(DeadLetter.objects.filter(incident=incident, state="waiting"))
