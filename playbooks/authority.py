"""May this effect be sent, now? Asked in the last moment before each one, whatever was said before."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from approvals import actions as approvals
from connectors import registry
from connectors.base import Record, Write
from connectors.models import Connection
from incidents.kinds import definition_of
from playbooks import flows, plans, policies
from playbooks.definitions import PlaybookDefinition
from playbooks.models import Execution, StepRun


def forbids(step_run: StepRun, records: Sequence[Record]) -> str:
    """Return why the step may not be sent; "" where it may.

    The approval of exactly this plan or rollback, or the grant, must still stand, and no policy may block it on the
    record as it is now. A rollback for which nobody had to be asked needs no approval. The data classes and labels of
    the connections must still let the plan's data flow; an undo only puts back what the system itself held.
    """
    return _unapproved(step_run.execution) or _joins(step_run.execution) or _blocked(step_run, records)


def _joins(execution: Execution) -> str:
    kind = execution.incident.kind
    if _is_undo(execution) or kind is None:
        return ""
    definition = PlaybookDefinition.model_validate(execution.plan.playbook_version.definition)
    said = flows.forbids(definition, definition_of(kind))
    return f"The data classes of the connections do not allow it now: {said}" if said else ""


def lapsed(execution: Execution) -> str:
    """Return why nothing of the execution may be sent any more; "" where it may. What ran out becomes expired."""
    said = _unapproved(execution)
    if said:
        back = _is_undo(execution)
        approvals.expire("rollback" if back else "plan", execution.pk if back else execution.plan_id)
    return said


def _is_undo(execution: Execution) -> bool:
    return execution.direction == Execution.Direction.BACKWARD


def _unapproved(execution: Execution) -> str:
    if not _is_undo(execution):
        return plans.authority(execution.plan)
    if execution.approval_id is None:
        return ""
    if approvals.standing("rollback", execution.pk, execution.digest) is None:
        return "No approval of exactly this rollback stands."
    return ""


def on_undo(
    step_run: StepRun, operation: Write, undo: Mapping[str, Any], records: Sequence[Record]
) -> tuple[str, list[policies.Ruling]]:
    """Ask the policies about the undo of a step before it is begun. Return why it may not be, and who asks a person.

    Both are empty where nothing stands in the way. ``undo`` holds ``parameters`` and the ``predicted`` changes. They
    are asked again before each step is sent, about the record as it is then.
    """
    rulings = policies.judge(_situation(step_run, operation, undo["parameters"], undo["predicted"], records, undo=True))
    stops = _refusal(rulings)
    answered = set() if step_run.execution.plan.autonomous else _answers(step_run)
    asks = [one for one in rulings if one.verdict == "needs_approval" and (one.policy, one.version) not in answered]
    return stops, asks


def _blocked(step_run: StepRun, records: Sequence[Record]) -> str:
    """Ask the policies again, as they stand now, about the record as it is now; what they say is kept."""
    undo = _is_undo(step_run.execution)
    rulings = policies.judge(
        _situation(step_run, _operation(step_run), step_run.parameters, step_run.expected, records, undo=undo)
    )
    policies.keep(rulings, step_run.step, moment="run")
    return _stops(step_run, rulings)


def _situation(
    step_run: StepRun,
    operation: Write | None,
    parameters: Mapping[str, Any],
    predicted: Sequence[Mapping[str, Any]],
    records: Sequence[Record],
    *,
    undo: bool,
) -> policies.Situation:
    """Describe what is about to be sent; of an undo, the operation that takes back."""
    step, back = step_run.step, operation if undo else None
    amount, currency = _at_stake(operation, parameters, records)
    name = operation.name if operation else step_run.operation
    return policies.Situation(
        operation=f"{step_run.connection}:{name}",
        connection=step_run.connection,
        parameters=parameters,
        record=dict(records[0].fields) if records else {},
        changes={change["field"]: change["after"] for change in predicted if not change["side_effect"]},
        incident=plans.described(step_run.execution.incident),
        risk=back.risk if back else step.risk,
        # What takes back a posting is about money, whatever its own operation says.
        financial=step.financial or bool(back and back.financial),
        amount=amount,
        currency=currency,
        actor="system:loop",
        subject="rollback" if undo else "plan",
    )


def _refusal(rulings: Sequence[policies.Ruling]) -> str:
    refused = [
        f"{ruling.reason} ({ruling.policy} v{ruling.version})" for ruling in rulings if ruling.verdict == "block"
    ]
    if refused:
        return "Policy blocks it now: " + "; ".join(refused)
    corrected = [f"{ruling.policy} v{ruling.version}" for ruling in rulings if ruling.verdict == "correct"]
    return f"A policy would correct what was approved: {', '.join(corrected)}." if corrected else ""


def _stops(step_run: StepRun, rulings: Sequence[policies.Ruling]) -> str:
    if refused := _refusal(rulings):
        return refused
    asked = {(ruling.policy, ruling.version) for ruling in rulings if ruling.verdict == "needs_approval"}
    names = ", ".join(f"{policy} v{version}" for policy, version in sorted(asked - _answered(step_run)))
    if not names or not _nobody_was_asked(step_run.execution):
        return ""
    if _is_undo(step_run.execution):
        return f"A policy asks for an approval of this undo, and nobody was asked: {names}."
    return f"A policy that spoke only now asks for an approval: {names}."


def _answered(step_run: StepRun) -> set[tuple[str, int]]:
    """Return the policies that asked when the plan was made: who approved the plan approved the undo in its digest."""
    if _is_undo(step_run.execution) and step_run.execution.plan.autonomous:
        return set()
    return _answers(step_run)


def _answers(step_run: StepRun) -> set[tuple[str, int]]:
    spoken = step_run.step.guardrails.filter(moment="plan", verdict="needs_approval")
    return set(spoken.values_list("policy", "version"))


def _nobody_was_asked(execution: Execution) -> bool:
    return execution.approval_id is None if _is_undo(execution) else execution.plan.autonomous


def _operation(step_run: StepRun) -> Write | None:
    connection = Connection.objects.filter(slug=step_run.connection).first()
    operation = registry.operation_of(connection, step_run.operation) if connection else None
    return operation if isinstance(operation, Write) else None


def _at_stake(
    operation: Write | None, parameters: Mapping[str, Any], records: Sequence[Record]
) -> tuple[Decimal | None, str]:
    """Return the amount of this one step, as the plan asked the policies: never the sum of a plan's steps."""
    if operation is None or operation.amount is None:
        return None, ""
    stake = operation.amount(operation.arguments.model_validate(dict(parameters)), records)
    return (Decimal(stake[0]), stake[1]) if stake else (None, "")
