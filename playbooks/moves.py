"""The only writers of the states of plans, executions and steps."""

from typing import Any, TypeVar

from django.db import transaction

from approvals.models import ApprovalRequest
from audit.actions import record
from audit.clock import db_now
from audit.errors import IllegalMove, LostRace
from incidents.leases import Lease
from incidents.models import Incident
from playbooks.models import Execution, Plan, StepRun
from playbooks.states import (
    EXECUTION_NEXT,
    PLAN_NEXT,
    STEP_NEXT,
    ExecutionState,
    PlanState,
    StepState,
)

Row = TypeVar("Row", Plan, Execution, StepRun)


def hold(incident_id: int) -> Incident:
    """Hold an incident and what is asked about it until the commit, before several of its rows are moved at once.

    Everybody takes rows in this order: approvals, the incident, plans, executions, steps, letters, and the head of
    the ledger last. Whoever locked a row behind the head would wait in a circle with a decision or with the loop.
    """
    asked = ApprovalRequest.objects.select_for_update(no_key=True).filter(incident_id=incident_id)
    list(asked.filter(state__in=("pending", "approved")).order_by("pk").values_list("pk"))
    return Incident.objects.select_for_update(no_key=True).get(pk=incident_id)


def move_plan(plan: Plan, to: PlanState, *, actor: str, reason: str = "", **columns: Any) -> Plan:
    """Change a plan's state, or say why not."""
    entry = {"verb": f"plan.{to}", "incident": plan.incident_id, "actor": actor, "reason": reason}
    return _move(plan, PLAN_NEXT[PlanState(plan.state)], to, columns, entry)


def move_execution(run: Execution, to: ExecutionState, *, actor: str, reason: str = "", **columns: Any) -> Execution:
    """Change an execution's state, or say why not."""
    if to in (ExecutionState.VERIFIED, ExecutionState.CANCELLED):
        columns["finished_at"] = db_now()
    allowed = EXECUTION_NEXT[ExecutionState(run.state)]
    entry = {"verb": f"execution.{to}", "incident": run.incident_id, "actor": actor, "reason": reason}
    with transaction.atomic():
        moved = _move(run, allowed, to, columns, entry)
        if to in (ExecutionState.VERIFIED, ExecutionState.CANCELLED):
            # In the same transaction: a place that outlives its execution would block the record for ever.
            run.tickets.all().delete()
    return moved


def move_step(
    run: StepRun, to: StepState, *, lease: Lease | None, actor: str, reason: str = "", **columns: Any
) -> StepRun:
    """Change a step's state, or say why not; with a lease, only while it is ours.

    The ledger entry commits with the state: where the ledger cannot be written the step does not move,
    and a step that did not move to ``sent`` is not sent.
    """
    with transaction.atomic():
        if lease is not None:
            lease.renew()
        data = {"operation": f"{run.connection}:{run.operation}", "effect_key": run.effect_key, "step": run.number}
        allowed = STEP_NEXT[StepState(run.state)]
        entry = {"verb": f"effect.{to}", "incident": run.execution.incident_id, "actor": actor, "reason": reason}
        return _move(run, allowed, to, columns, {**entry, "data": data})


def _move(row: Row, allowed: frozenset[Any], to: Any, columns: dict[str, Any], entry: dict[str, Any]) -> Row:
    """Compare and swap the state, write the further columns, and enter it with the arguments of ``record``."""
    if to not in allowed:
        raise IllegalMove(f"{row} cannot go from {row.state} to {to}.")
    with transaction.atomic():
        before = row.state
        changes = {"state": to, "state_reason": entry["reason"], **columns}
        # Compare and swap: of two workers, the database lets one through.
        if not type(row)._default_manager.filter(pk=row.pk, state=before).update(**changes):
            raise LostRace(f"{row} was moved by someone else.")
        record(target=row, before={"state": before}, after={"state": to}, **entry)
    for name, value in changes.items():
        setattr(row, name, value)
    return row
