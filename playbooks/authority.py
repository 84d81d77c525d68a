"""May this effect be sent, now? Asked in the last moment before each one, whatever was said before."""

from collections.abc import Sequence
from decimal import Decimal

from approvals import actions as approvals
from connectors import registry
from connectors.base import Record, Write
from connectors.models import Connection
from playbooks import plans, policies
from playbooks.models import Execution, StepRun


def forbids(step_run: StepRun, records: Sequence[Record]) -> str:
    """Return why the step may not be sent; "" where it may.

    Forward: the approval of exactly this plan, or the grant, must still stand, and no policy may block it on the
    record as it is now. Backward: the approval of this rollback must stand where one was asked for.
    """
    execution = step_run.execution
    if execution.direction == Execution.Direction.BACKWARD:
        return _rollback(execution)
    return plans.authority(execution.plan) or _blocked(step_run, records)


def _rollback(execution: Execution) -> str:
    if execution.approval_id is None:
        return ""
    if approvals.standing("rollback", execution.pk, execution.digest) is None:
        return "No approval of exactly this rollback stands."
    return ""


def _blocked(step_run: StepRun, records: Sequence[Record]) -> str:
    """Ask the policies again, as they stand now, about the record as it is now; what they say is kept."""
    step, incident = step_run.step, step_run.execution.incident
    plan = step.plan
    amount, currency = _at_stake(step_run, records)
    rulings = policies.judge(
        policies.Situation(
            operation=f"{step.connection}:{step.operation}",
            connection=step.connection,
            parameters=step_run.parameters,
            record=dict(records[0].fields) if records else {},
            changes={change["field"]: change["after"] for change in step.predicted if not change["side_effect"]},
            incident=plans.described(incident),
            risk=step.risk,
            financial=step.financial,
            amount=amount,
            currency=currency,
            actor="system:loop",
            subject="plan",
        )
    )
    policies.keep(rulings, step, moment="run")
    refused = [
        f"{ruling.reason} ({ruling.policy} v{ruling.version})" for ruling in rulings if ruling.verdict == "block"
    ]
    if refused:
        return "Policy blocks it now: " + "; ".join(refused)
    corrected = [f"{ruling.policy} v{ruling.version}" for ruling in rulings if ruling.verdict == "correct"]
    if corrected:
        return f"A policy would correct what was approved: {', '.join(corrected)}."
    asked = {(ruling.policy, ruling.version) for ruling in rulings if ruling.verdict == "needs_approval"}
    answered = set(step.guardrails.filter(moment="plan", verdict="needs_approval").values_list("policy", "version"))
    if plan.autonomous and asked - answered:
        names = ", ".join(f"{policy} v{version}" for policy, version in sorted(asked - answered))
        return f"A policy that spoke only now asks for an approval: {names}."
    return ""


def _at_stake(step_run: StepRun, records: Sequence[Record]) -> tuple[Decimal | None, str]:
    """Return the amount of this one step, as the plan asked the policies: never the sum of a plan's steps."""
    connection = Connection.objects.filter(slug=step_run.connection).first()
    operation = registry.operation_of(connection, step_run.operation) if connection else None
    if not isinstance(operation, Write) or operation.amount is None:
        return None, ""
    stake = operation.amount(operation.arguments.model_validate(step_run.parameters), records)
    return (Decimal(stake[0]), stake[1]) if stake else (None, "")
