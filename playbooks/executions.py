"""Begins executions, forward to mend and backward to undo."""

from dataclasses import asdict
from typing import Any

from django.db import transaction

from approvals import actions as approvals
from approvals.rules import Requirement
from audit.actions import record
from audit.clock import db_now
from connectors import gateway, registry
from connectors.base import Reversible, Write
from connectors.door.purposes import Purpose
from playbooks import authority, lanes, plans, scopes, seals, verification
from playbooks.effects import effect_key, with_key
from playbooks.models import DeadLetter, Execution, Plan, StepRun
from playbooks.moves import move_execution
from playbooks.standing import CannotUndo, standing_of
from playbooks.states import ExecutionState

__all__ = ["CannotUndo"]


def begin(plan: Plan, *, actor: str) -> Execution:
    """Start carrying out an approved plan: its step rows, effect keys and undos are written before anything is sent."""
    with transaction.atomic():
        execution = Execution.objects.create(
            incident_id=plan.incident_id,
            plan=plan,
            digest=plan.digest,
            state=ExecutionState.RUNNING,
            requested_by=actor,
            created_at=db_now(),
        )
        for step in plan.steps.all():
            key = effect_key(plan.digest, step.number, "forward")
            StepRun.objects.create(
                execution=execution,
                step=step,
                number=step.number,
                effect_key=key,
                connection=step.connection,
                operation=step.operation,
                parameters=with_key(step.parameters, key),
                undo=with_key(step.undo, key),
                expected=with_key(step.predicted, key),
                lane=step.lane,
            )
        # After the ledger entry on purpose: it serialises executions, so that places in lanes are given in
        # one order and no two plans can wait for each other in a circle.
        record(
            "execution.begun", actor=actor, target=execution, incident=plan.incident_id, data={"digest": plan.digest}
        )
        lanes.queue_up(execution, [step.lane for step in plan.steps.all()])
    return execution


def undoable(execution: Execution) -> list[StepRun]:
    """Return the steps whose effects a rollback would take back, the last first. Raises ``CannotUndo``."""
    undos = execution.undone_by.prefetch_related("step_runs")
    runs = (
        execution.step_runs.select_related("step").prefetch_related(None).prefetch_related("attempts", "verifications")
    )
    waiting = DeadLetter.objects.filter(step_run__execution=execution, state=DeadLetter.State.WAITING)
    return standing_of(execution, runs, undos=list(undos), waiting=set(waiting.values_list("step_run_id", flat=True)))


def foresee_undo(execution: Execution, steps: list[StepRun]) -> list[dict[str, Any]]:
    """Read the records as they are; return each undo step with its predicted changes, in the order of the rollback.

    ``asked_by`` names the policies that want a person's word. Raises ``CannotUndo`` where a policy forbids a step:
    better nothing is taken back than half of it.
    """
    return [_foreseen(step_run, number) for number, step_run in enumerate(steps, start=1)]


def _foreseen(step_run: StepRun, number: int) -> dict[str, Any]:
    assert step_run.undo is not None  # noqa: S101 - undoable() has refused those
    connection = verification.connection_of(step_run)
    if outside := scopes.undo_beyond(step_run, step_run.undo["operation"]):
        raise CannotUndo(outside)
    operation = registry.operation_of(connection, step_run.undo["operation"])
    if not isinstance(operation, Write):
        raise CannotUndo(f"{connection.label} has no operation “{step_run.undo['operation']}” any more.")
    parameters = step_run.undo["parameters"]
    records = gateway.observe(
        connection, operation.name, parameters, actor="system:loop", incident=step_run.execution.incident_id,
        purpose=Purpose.UNDO,
    )  # fmt: skip
    changes = operation.predict(operation.arguments.model_validate(parameters), records)
    undo = {
        "number": number,
        "title": f"Undo: {step_run.step.title}",
        "connection": connection.slug,
        "operation": operation.name,
        "parameters": parameters,
        "predicted": [asdict(change) for change in changes],
        "sources": [{"system": r.system, "entity": r.entity, "key": r.key, "version": r.version} for r in records],
        "financial": operation.financial or step_run.step.financial,
        "risk": operation.risk,
        "reversible": Reversible.NO,
    }
    stops, asks = authority.on_undo(step_run, operation, undo, records)
    if stops:
        raise CannotUndo(
            f"Step {step_run.number} cannot be taken back, so nothing was: {stops}"
            " Ask the owner of the policy, or put the records back by hand."
        )
    return {**undo, "asked_by": [{"policy": r.policy, "version": r.version, "reason": r.reason} for r in asks]}


def begin_rollback(
    execution: Execution, *, actor: str, reason: str, steps: list[StepRun], foreseen: list[dict[str, Any]]
) -> Execution:
    """Write the rollback of these ``steps`` and ask whom it needs; it runs at once where it needs nobody.

    ``foreseen`` is what ``foresee_undo`` said of them. Undoing a financial posting needs an approval of its own,
    whatever the rules say.
    """
    plan, incident = execution.plan, execution.incident
    generation = execution.undone_by.count()
    with transaction.atomic():
        back = Execution.objects.create(
            incident=incident,
            plan=plan,
            direction=Execution.Direction.BACKWARD,
            undoes=execution,
            state=ExecutionState.WAITING,
            digest=seals.rollback_seal(execution.pk, foreseen),
            requested_by=actor,
            reason=reason,
            created_at=db_now(),
        )
        for step_run, undo in zip(steps, foreseen, strict=True):
            _store(back, step_run, undo, generation)
        needed = _needed(execution, foreseen)
        record(
            "rollback.requested",
            actor=actor,
            target=back,
            incident=incident.pk,
            reason=reason,
            data={"digest": back.digest},
        )
        if needed:
            asked = approvals.ask(_question(back, foreseen, needed, actor))
            Execution.objects.filter(pk=back.pk).update(approval_id=asked.pk)
            back.approval_id = asked.pk
    return back


def start_rollback(back: Execution, *, actor: str) -> None:
    """Let an agreed rollback run; only now does it stand in line for its records."""
    with transaction.atomic():
        move_execution(
            back, ExecutionState.RUNNING, actor=actor, reason="agreed" if back.approval_id else "needs nobody"
        )
        lanes.queue_up(back, back.step_runs.values_list("lane", flat=True))


def _store(back: Execution, step_run: StepRun, undo: dict[str, Any], generation: int) -> None:
    key = effect_key(back.plan.digest, step_run.number, "backward", generation)
    StepRun.objects.create(
        execution=back,
        step=step_run.step,
        number=undo["number"],
        effect_key=key,
        connection=undo["connection"],
        operation=undo["operation"],
        parameters=with_key(undo["parameters"], key),
        expected=undo["predicted"],
        result={"sources": undo["sources"]},
        lane=step_run.lane,
    )


def _needed(execution: Execution, foreseen: list[dict[str, Any]]) -> list[Requirement]:
    """Return who must agree: whom the rules ask, an approver for money, and one where a policy asks."""
    financial = any(undo["financial"] for undo in foreseen)
    needed = plans.by_rules(execution.plan, subject="rollback", financial=financial)
    if financial and not needed:
        because = "taking back a financial posting needs an approval of its own"
        needed = [Requirement("financial-rollback", 1, "approver", 1, because, 1440)]
    if not any(requirement.role == "approver" for requirement in needed):
        asking = [one for undo in foreseen for one in undo["asked_by"]]
        needed = needed + [plans.for_policy(one["policy"], one["version"], one["reason"]) for one in asking[:1]]
    return needed


def _question(
    back: Execution, foreseen: list[dict[str, Any]], needed: list[Requirement], actor: str
) -> approvals.Question:
    plan, incident = back.plan, back.incident
    return approvals.Question(
        subject="rollback",
        subject_id=back.pk,
        incident_id=incident.pk,
        digest=back.digest,
        title=f"Undo: {incident.title}",
        summary={"playbook": str(plan.playbook_version), "rationale": back.reason, "steps": foreseen},
        risk_tier=plan.risk_tier,
        domain=incident.domain,
        amount=plan.amount,
        currency=plan.currency,
        business_unit=incident.business_unit,
        region=incident.region,
        requirements=needed,
        requested_by=actor,
        excluded=[actor],
    )
