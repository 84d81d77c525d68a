"""Why a step cannot be taken back, in the words of whoever declared it: for those who decide about it.

That it cannot be is bound by the plan's digest; why is told beside it, and kept by value with the question that was
asked, so that it reads the same in ten years.
"""

from approvals.models import ApprovalRequest
from connectors import registry
from connectors.models import Connection
from playbooks.models import Plan, Step


def reasons_of(plan: Plan) -> dict[int, str]:
    """Return why steps of a plan cannot be taken back, by number: as it was asked, else as it is stated now."""
    final = [step for step in plan.steps.all() if step.undo is None]
    if not final:
        return {}
    asked = ApprovalRequest.objects.filter(subject="plan", subject_id=plan.pk).order_by("-id")
    summary = asked.values_list("summary", flat=True).first()
    if summary is not None:
        return {step["number"]: str(step.get("undo_reason") or "") for step in summary.get("steps") or []}
    return stated(final)


def stated(steps: list[Step]) -> dict[int, str]:
    """Return what the connections state now of steps that nothing takes back, by number."""
    slugs = {step.connection for step in steps}
    known = {one.slug: one for one in Connection.objects.filter(slug__in=slugs)}
    return {
        step.number: registry.lasting_of(known[step.connection], step.operation, step.parameters)
        for step in steps
        if step.connection in known
    }
