"""What of an execution stands in other systems and could be taken back, told from rows that were read before."""

from collections.abc import Container, Iterable

from audit.errors import Refusal
from playbooks.models import Execution, StepRun
from playbooks.states import ExecutionState, StepState

T = StepState
# In these states an effect stands, or may stand, in the target.
EFFECTIVE = (T.DONE, T.VERIFIED, T.MISMATCH)
_BEGUN = (ExecutionState.WAITING, ExecutionState.RUNNING, ExecutionState.FAILED, ExecutionState.VERIFIED)


class CannotUndo(Refusal):
    """There is nothing to take back, or it cannot be taken back."""

    code = "cannot_undo"


def standing_of(
    execution: Execution, steps: Iterable[StepRun], *, undos: Iterable[Execution], waiting: Container[int | None]
) -> list[StepRun]:
    """Return the steps whose effects a rollback would take back, the last first. Raises ``CannotUndo``.

    ``steps`` are the execution's step runs, ``undos`` the executions that undo it, ``waiting`` the numbers of step runs
    with a dead letter that waits. Asks nothing where their steps, attempts and verifications were prefetched.
    """
    if execution.direction == Execution.Direction.BACKWARD:
        raise CannotUndo("An undo is not undone; plan the change again instead.")
    if any(undo.state in _BEGUN for undo in undos):
        raise CannotUndo("This execution is being rolled back, or has been.")
    steps = sorted(steps, key=lambda step: -step.number)
    if any(step.state in (T.SENT, T.UNKNOWN) for step in steps):
        raise CannotUndo("A step's outcome is still unknown; it is being looked up. Try again in a moment.")
    if any(step.pk in waiting and step.attempts_count and _unclear(step) for step in steps):
        raise CannotUndo("Nobody knows whether a step was carried out. Replay its dead letter first: it is looked for.")
    gone = {run.step_id for undo in undos for run in undo.step_runs.all() if run.state == T.VERIFIED}
    standing = [step for step in steps if step.attempts_count and _stands(step) and step.step_id not in gone]
    if not standing:
        raise CannotUndo("Nothing of this execution stands in another system: there is nothing to take back.")
    fixed = [step.step.title for step in standing if step.undo is None]
    if fixed:
        raise CannotUndo(f"It cannot be undone: “{fixed[0]}” was declared irreversible before it was approved.")
    return standing


def _stands(step: StepRun) -> bool:
    return step.state in EFFECTIVE or _was_done(step)


def _was_done(step: StepRun) -> bool:
    """Tell whether a stuck step had got as far as the target's yes: then its effect stands."""
    return step.state == T.STUCK and (step.finished_at is not None or bool(step.verifications.all()))


def _unclear(step: StepRun) -> bool:
    """Tell whether a stuck step may or may not have been carried out: its last try was not answered."""
    sent = [one for one in step.attempts.all() if one.act == "send" and one.sent_at is not None]
    return step.state == T.STUCK and not _was_done(step) and bool(sent) and sent[-1].outcome in ("", "unanswered")
