"""Which operations a playbook may use: those that its own text names, and those that take them back.

Asked whenever a step of a plan turns to a connection, whatever the stored rows, a model or a parameter say. The text
itself cannot be rewritten: the database refuses to change a version.
"""

from connectors import registry
from connectors.models import Connection
from playbooks.models import Execution, PlaybookVersion, StepRun


def of(version: PlaybookVersion) -> frozenset[tuple[str, str]]:
    """Return the operations that a version names, each with its connection."""
    return frozenset((step["connection"], step["operation"]) for step in version.definition["steps"])


def beyond(step_run: StepRun) -> str:
    """Say why a step is outside of what its playbook may use; blank: it is within."""
    step, version = step_run.step, step_run.execution.plan.playbook_version
    named = of(version)
    if (step.connection, step.operation) not in named:
        return _said(version, step.connection, step.operation)
    if step_run.execution.direction == Execution.Direction.BACKWARD and step_run.connection == step.connection:
        return undo_beyond(step_run, step_run.operation)
    inside = (step_run.connection, step_run.operation) in named
    return "" if inside else _said(version, step_run.connection, step_run.operation)


def undo_beyond(step_run: StepRun, operation: str) -> str:
    """Say why ``operation`` cannot be what takes a step back; blank: it is, as far as the connection's kind says."""
    step = step_run.step
    connection = Connection.objects.filter(slug=step.connection).first()
    told = registry.needs_of(connection).operations if connection else None
    needs = (told or {}).get(step.operation)
    if needs is None or operation in needs.undone_by:
        return ""
    return _said(step_run.execution.plan.playbook_version, step.connection, operation)


def _said(version: PlaybookVersion, connection: str, operation: str) -> str:
    return (
        f"{version} names neither {connection}:{operation} nor what it would take back. Somebody changed stored rows:"
        " find out who wrote to the database, then plan again."
    )
