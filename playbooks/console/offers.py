"""What one person may do with one incident now: the page shows these buttons and no others."""

from dataclasses import dataclass

from django.contrib.auth.models import User

from approvals.access import why_not
from audit.access import has_role
from incidents.states import CLOSED, NEXT, Status
from playbooks.actions import EDITABLE, REPLANNABLE
from playbooks.console.seam import Course
from playbooks.models import DeadLetter
from playbooks.plans import LIVE
from playbooks.standing import CannotUndo, standing_of
from playbooks.states import ExecutionState

MENDERS = ("operator", "automation_admin")
COMMENTERS = (*MENDERS, "approver", "compliance")
_ENDED = (ExecutionState.VERIFIED, ExecutionState.FAILED, ExecutionState.CANCELLED)
BUSY = (Status.EXECUTING, Status.VERIFYING, Status.ROLLING_BACK)


@dataclass(frozen=True)
class Offers:
    """Each field names one thing that the person may do now."""

    decide: bool = False
    why_not: str = ""  # why they may not decide what waits for a decision
    edit: bool = False
    replan: bool = False
    leave_hold_out: bool = False
    take_over: bool = False
    cancel: bool = False
    undo: bool = False
    why_no_undo: str = ""
    mend_letters: bool = False
    hold: bool = False
    release: bool = False
    dismiss: bool = False
    reopen: bool = False
    assign: bool = False
    comment: bool = False
    merge: bool = False
    unmerge: bool = False
    acknowledge: bool = False


def offers_to(
    user: User, course: Course, *, letters: list[DeadLetter], acknowledged: bool, held_out: bool = False
) -> Offers:
    """Return what ``user`` may do with the incident of ``course``."""
    status = course.status
    mender = has_role(user, *MENDERS)
    refusal = why_not(course.approval, user) if course.approval and course.approval.state == "pending" else ""
    undo, no_undo = _undo(course, letters) if mender else (False, "")
    return Offers(
        decide=bool(course.approval and course.approval.state == "pending" and not refusal),
        why_not=refusal,
        edit=mender and status in EDITABLE and course.plan is not None and course.plan.state in LIVE,
        replan=mender and status in REPLANNABLE,
        leave_hold_out=mender and held_out and status not in CLOSED,
        take_over=mender and status not in BUSY and status not in CLOSED and not _theirs_already(user, course),
        cancel=mender and _cancellable(course),
        undo=undo,
        why_no_undo=no_undo,
        mend_letters=mender and any(letter.state == DeadLetter.State.WAITING for letter in letters),
        hold=mender and Status.ON_HOLD in NEXT[status],
        release=mender and status is Status.ON_HOLD,
        dismiss=mender and Status.DISMISSED in NEXT[status],
        reopen=mender and status in CLOSED and course.incident.merged_into_id is None,
        assign=mender and status not in CLOSED,
        comment=has_role(user, *COMMENTERS),
        merge=mender and status not in BUSY and status not in CLOSED,
        unmerge=mender and status not in BUSY,
        acknowledge=has_role(user, *COMMENTERS) and status not in CLOSED and not acknowledged,
    )


def _theirs_already(user: User, course: Course) -> bool:
    """Tell whether taking over would change nothing: the loop rests, and the incident is this person's."""
    loose = course.plan is None or course.plan.state not in LIVE
    return course.status is Status.NEEDS_OPERATOR and course.incident.assignee_id == user.pk and loose


def _cancellable(course: Course) -> bool:
    live = course.back if course.back is not None and course.back.finished_at is None else course.forward
    running = (ExecutionState.WAITING, ExecutionState.RUNNING)
    return live is not None and live.state in running and not live.cancel_requested


def _undo(course: Course, letters: list[DeadLetter]) -> tuple[bool, str]:
    """Tell whether the mend can be taken back, or why not; ``("", False)`` where there is nothing to speak of."""
    forward = course.forward
    if forward is None or forward.state not in _ENDED or course.status not in (Status.RESOLVED, Status.NEEDS_OPERATOR):
        return False, ""
    try:
        # Who presses the button is asked again, by rows that are read anew.
        waiting = {letter.step_run_id for letter in letters}
        standing_of(forward, forward.step_runs.all(), undos=course.undos, waiting=waiting)
    except CannotUndo as refusal:
        return False, str(refusal)
    return True, ""
