"""Is what stands in the rows still what was approved? Asked before anything is sent, forward and backward.

An approval binds a digest. Here the digest is made again from the rows that are about to be sent.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from audit.proofs import digest
from incidents.evidence import plain
from playbooks.effects import effect_key, plan_digest, with_key
from playbooks.models import Execution, Plan, PlaybookVersion, Step, StepRun


def plan_seal(incident_id: int, number: int, version: PlaybookVersion, steps: Sequence[Mapping[str, Any]]) -> str:
    """Return the digest of a plan of these steps, the same over what is planned and over what was stored of it."""
    playbook = [version.playbook.slug, version.number, version.digest]
    return plan_digest(plain({"incident": incident_id, "number": number, "playbook": playbook, "steps": steps}))


def rollback_seal(execution_id: int, steps: Sequence[Mapping[str, Any]]) -> str:
    """Return the digest of the rollback of an execution by these steps: what is sent, and what it will change."""
    names = ("number", "connection", "operation", "parameters", "predicted", "sources")
    told = [{name: step[name] for name in names} for step in steps]
    return digest({"goldseam": "rollback", "version": 2, "execution": execution_id, "steps": plain(told)})


def altered(step_run: StepRun) -> str:
    """Return what is not as it was approved, in words; "" where everything is."""
    execution = step_run.execution
    plan = Plan.objects.select_related("playbook_version__playbook").get(pk=execution.plan_id)
    if _stored(plan) != plan.digest:
        return f"The stored steps of {plan} are not those that its digest was made of."
    if execution.direction == Execution.Direction.BACKWARD:
        return _undo_altered(step_run, plan)
    key = effect_key(plan.digest, step_run.step.number, "forward")
    if execution.digest != plan.digest or _sent(step_run) != _planned(step_run.step, key):
        return f"The stored row of {step_run} is not what {plan} says."
    return ""


def _stored(plan: Plan) -> str:
    steps = plan.steps.prefetch_related("guardrails")
    return plan_seal(plan.incident_id, plan.number, plan.playbook_version, [_facts(step) for step in steps])


def _facts(step: Step) -> dict[str, Any]:
    names = ("connection", "operation", "parameters", "sources", "predicted", "undo")
    rulings = [one for one in step.guardrails.all() if one.moment == "plan"]
    spoken = [[one.policy, one.version, one.verdict] for one in rulings]
    return {**{name: getattr(step, name) for name in names}, "policies": spoken}


def _sent(step_run: StepRun) -> list[Any]:
    names = ("effect_key", "connection", "operation", "parameters", "expected", "undo")
    return [getattr(step_run, name) for name in names]


def _planned(step: Step, key: str) -> list[Any]:
    return [
        key,
        step.connection,
        step.operation,
        *(with_key(v, key) for v in (step.parameters, step.predicted, step.undo)),
    ]


def _undo_altered(step_run: StepRun, plan: Plan) -> str:
    back, step = step_run.execution, step_run.step
    done = back.undoes
    if done is None:
        return f"{back} takes nothing back."
    key = effect_key(plan.digest, step.number, "backward", done.undone_by.filter(pk__lt=back.pk).count())
    undo = with_key(step.undo, effect_key(plan.digest, step.number, "forward")) or {}
    planned = [key, step.connection, undo.get("operation"), with_key(undo.get("parameters"), key)]
    if _sent(step_run)[:4] != planned:
        return f"The stored row of {step_run} is not the undo that {plan} says."
    rows = [run if run.pk != step_run.pk else step_run for run in back.step_runs.all()]
    told = [
        {
            **{name: getattr(run, name) for name in ("number", "connection", "operation", "parameters")},
            "predicted": run.expected,
            "sources": run.result.get("sources", []),
        }
        for run in rows
    ]
    if rollback_seal(done.pk, told) != back.digest:
        return f"The stored steps of {back} are not those that its digest was made of."
    return ""
