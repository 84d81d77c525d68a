"""Carries one execution through the effect protocol, one step after the other.

For each step:
1. wait for the lane, then commit the intent with its effect key and undo;
2. read the record afresh: already so → nothing is sent; changed since the plan → nothing is overwritten;
3. ask again whether it may be done (approval or grant, policies), commit ``sent``, then open the socket;
4. an unknown outcome is looked up before anything is sent again, under the same key;
5. done is not verified: verified comes from a fresh read of the business fields.
Killed at any point, the next worker finds the step's row and goes on from there.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max
from django.db.models.functions import Now

from audit.clock import db_now
from connectors import gateway, registry
from connectors.base import Blocked, ConnectorError, Unanswered, VersionConflict, Write, Written
from connectors.door import retry
from connectors.models import Connection
from incidents.leases import Lease
from playbooks import authority, deadletters, lanes, seals, stumbles, verification
from playbooks.models import Attempt, DeadLetter, Execution, StepRun
from playbooks.moves import move_step
from playbooks.states import StepState

ACTOR = "system:loop"
T = StepState


class Ending(Enum):
    """How far an execution came."""

    FINISHED = "finished"  # every step verified
    WAITING = "waiting"  # look again in `seconds`
    FAILED = "failed"  # a person is needed
    DRIFTED = "drifted"  # a record changed before anything was sent: plan again
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Outcome:
    """What a run of the engine came to, and why."""

    ending: Ending
    reason: str = ""
    seconds: float = 0.0


GO_ON = None
UNDO_FORBIDDEN = (
    "Ask the owner of the policy, then replay; where an approval is missing, add an approval rule for rollbacks, "
    "resolve this letter and ask for the undo anew. Or put the record back by hand and resolve this letter."
)
Turn = Outcome | None


def run(execution: Execution, lease: Lease) -> Outcome:
    """Carry ``execution`` as far as it goes now. Raises ``LeaseLost`` where another worker took over."""
    for step_run in execution.step_runs.select_related("step", "execution__plan", "execution__incident"):
        while step_run.state != T.VERIFIED:
            outcome = _turn(step_run, lease)
            if outcome is not GO_ON:
                return outcome
    stumbles.forget(execution.incident)
    return Outcome(Ending.FINISHED)


def _turn(step_run: StepRun, lease: Lease) -> Turn:
    """Take the one next move of a step; ``GO_ON`` where it can move again at once."""
    state = StepState(step_run.state)
    if state in (T.PLANNED, T.INTENT) and not step_run.attempts_count and _cancelled(step_run.execution):
        # Also while it waits for its lane or for a system that is away: nothing of this step has been sent.
        return Outcome(Ending.CANCELLED, "Cancelled before this step was begun.")
    if step_run.not_before is not None:
        left = (step_run.not_before - db_now()).total_seconds()
        if left > 0:
            return Outcome(Ending.WAITING, step_run.state_reason, left)
    if state is T.PLANNED:
        return _prepare(step_run, lease)
    if state is T.INTENT:
        return _send(step_run, lease)
    if state is T.SENT:
        # Found as sent: whoever sent it never came back to tell.
        move_step(
            step_run, T.UNKNOWN, lease=lease, actor=ACTOR, reason="The worker stopped before the answer was saved."
        )
        return GO_ON
    if state is T.UNKNOWN:
        return _look_up(step_run, lease)
    if state in (T.DONE, T.SKIPPED, T.MISMATCH):
        return _verify(step_run, lease)
    return Outcome(Ending.FAILED, step_run.state_reason)


def _cancelled(execution: Execution) -> bool:
    return Execution.objects.filter(pk=execution.pk, cancel_requested=True).exists()


def _prepare(step_run: StepRun, lease: Lease) -> Turn:
    execution = step_run.execution
    lapsed = authority.lapsed(execution)
    if lapsed and _untouched(step_run):
        # Also while it waits for its lane: those behind it must not wait for what may never be sent.
        return Outcome(Ending.CANCELLED, lapsed)
    if not lanes.enter(execution, step_run.lane):
        ahead = lanes.before_us(execution, step_run.lane)
        who = f"{ahead.execution.incident}" if ahead else "another plan"
        reason = f"Waits behind {who} for {step_run.lane}."
        StepRun.objects.filter(pk=step_run.pk, state=T.PLANNED).update(state_reason=reason)
        return Outcome(Ending.WAITING, reason, settings.SWEEP_SECONDS)
    with transaction.atomic():
        move_step(step_run, T.INTENT, lease=lease, actor=ACTOR, started_at=db_now(), not_before=None)
        _open_attempt(step_run, lease, "send")
    return GO_ON


def _is_undo(step_run: StepRun) -> bool:
    return step_run.execution.direction == Execution.Direction.BACKWARD


def _untouched(step_run: StepRun) -> bool:
    """Tell whether nothing of the whole execution has been sent."""
    sent = step_run.attempts.filter(act="send", sent_at__isnull=False).exclude(outcome="versionconflict")
    return not sent.exists() and not step_run.execution.step_runs.filter(number__lt=step_run.number).exists()


def _drifted(step_run: StepRun, lease: Lease, changed: str) -> Turn:
    if _untouched(step_run) and not _is_undo(step_run):
        return Outcome(Ending.DRIFTED, changed)
    return _park(
        step_run, lease, "record_changed", changed, "Look at the record, then plan the rest anew or undo what was done."
    )


def _send(step_run: StepRun, lease: Lease) -> Turn:
    altered = seals.altered(step_run)
    if altered:
        guidance = "Somebody changed stored rows: find out who wrote to the database, then plan again."
        return _park(step_run, lease, "altered", altered, guidance)
    try:
        look = verification.compare_with_plan(step_run)
    except ConnectorError as error:
        return _again_later(step_run, lease, error)
    if look.already_so:
        move_step(step_run, T.SKIPPED, lease=lease, actor=ACTOR, reason="The record already says so: nothing was sent.")
        return GO_ON
    if look.changed:
        return _drifted(step_run, lease, look.changed)
    forbidden = authority.forbids(step_run, look.records)
    if forbidden:
        guidance = UNDO_FORBIDDEN if _is_undo(step_run) else "Plan again, so that what is needed is asked anew."
        return _park(step_run, lease, "not_authorised", forbidden, guidance)
    return _open_the_socket(step_run, lease)


def _open_the_socket(step_run: StepRun, lease: Lease) -> Turn:
    with transaction.atomic():
        attempt = _sending(step_run, lease)
        move_step(step_run, T.SENT, lease=lease, actor=ACTOR, attempts_count=F("attempts_count") + 1, not_before=None)
    step_run.refresh_from_db(fields=["attempts_count"])
    # Last look before the socket opens: a worker that slept through its lease must not send, and the whole
    # lease must be left for the call: whoever took over while it is still on its way would not find it yet.
    lease.renew()
    try:
        answer = gateway.call(
            verification.connection_of(step_run),
            step_run.operation,
            step_run.parameters,
            actor=ACTOR,
            incident=step_run.execution.incident_id,
            effect_key=step_run.effect_key,
            version=verification.version_to_write(step_run),
            purpose=verification.purpose_of(step_run),
        )
    except ConnectorError as error:
        _close_attempt(attempt, type(error).__name__.lower(), error)
        return _not_done(step_run, lease, error)
    written = answer.written or Written()
    with transaction.atomic():
        move_step(step_run, T.DONE, lease=lease, actor=ACTOR, result=_result(step_run, written), finished_at=db_now())
        _close_attempt(attempt, "done", call_id=answer.call.pk, request_id=written.request_id)
    return GO_ON


def _result(step_run: StepRun, written: Written) -> dict[str, Any]:
    """Return what the target said, beside the records as an undo foresaw them: its digest is made of those too."""
    return {**step_run.result, **written.result}


def _not_done(step_run: StepRun, lease: Lease, error: ConnectorError) -> Turn:
    if isinstance(error, VersionConflict):
        # 412: nothing was written. Back to the start of the step, where the fresh read says what changed.
        with transaction.atomic():
            move_step(step_run, T.INTENT, lease=lease, actor=ACTOR, reason=str(error))
            move_step(step_run, T.PLANNED, lease=lease, actor=ACTOR, reason=str(error))
        # At once for the first time; a conflict of which the fresh read shows nothing must not be asked for ever.
        tries = _tries(step_run)
        if tries >= settings.RETRY_LIMIT:
            return _park(step_run, lease, "version_conflict", str(error), "Look at the record, then plan again.")
        return GO_ON if tries == 1 else _wait(step_run, lease, float(settings.SETTLE_SECONDS), str(error))
    if isinstance(error, Unanswered) or error.effect_possible:
        move_step(step_run, T.UNKNOWN, lease=lease, actor=ACTOR, reason=str(error))
        return GO_ON
    if error.retryable:
        move_step(step_run, T.INTENT, lease=lease, actor=ACTOR, reason=str(error))
        return _send_later(step_run, lease, error)
    guidance = retry.decide(error, wrote=True, attempt=_tries(step_run), key=step_run.effect_key).guidance
    with transaction.atomic():
        move_step(step_run, T.REFUSED, lease=lease, actor=ACTOR, reason=str(error))
        deadletters.put(step_run, cause=_cause(step_run, error), error=str(error), guidance=guidance)
    return Outcome(Ending.FAILED, str(error))


def _look_up(step_run: StepRun, lease: Lease) -> Turn:
    """Read back an unknown outcome: adopt it, or wait the settle time, look again, then send under the same key."""
    try:
        connection = verification.connection_of(step_run)
        operation = _operation(connection, step_run.operation)
    except ConnectorError as error:
        return _again_later(step_run, lease, error)
    lease.check()
    attempt = _open_attempt(step_run, lease, "find")
    try:
        written = gateway.find(
            connection,
            step_run.operation,
            step_run.parameters,
            effect_key=step_run.effect_key,
            actor=ACTOR,
            incident=step_run.execution.incident_id,
        )
    except ConnectorError as error:
        _close_attempt(attempt, type(error).__name__.lower(), error)
        return _again_later(step_run, lease, error)
    _close_attempt(attempt, "found" if written else "not_found")
    if written is not None:
        reason = "The answer was lost, the effect was found: adopted."
        result = _result(step_run, written)
        move_step(step_run, T.DONE, lease=lease, actor=ACTOR, reason=reason, result=result, finished_at=db_now())
        return GO_ON
    if step_run.not_found_count == 0:
        settle = max(operation.settle_seconds, float(settings.SETTLE_SECONDS))
        return _wait(step_run, lease, settle, "Not found yet: looking once more before it is sent again.", found=1)
    if _tries(step_run) >= settings.RETRY_LIMIT:
        reason = f"Sent {step_run.attempts_count} times without an answer, and no trace of it in {connection.label}."
        return _park(
            step_run, lease, "unanswered", reason, f"Check {connection.label}, then replay under the same key."
        )
    with transaction.atomic():
        reason = "Looked for twice and not found: it is sent again under the same key."
        move_step(step_run, T.INTENT, lease=lease, actor=ACTOR, reason=reason, not_found_count=0)
        _open_attempt(step_run, lease, "send")
    return GO_ON


def _verify(step_run: StepRun, lease: Lease) -> Turn:
    try:
        verified = verification.verify(step_run)
    except ConnectorError as error:
        return _again_later(step_run, lease, error)
    if verified.matched:
        move_step(step_run, T.VERIFIED, lease=lease, actor=ACTOR, reason="Read back from the source.", not_before=None)
        stumbles.forget(step_run.execution.incident)
        return GO_ON
    reads = step_run.verifications.count()
    if step_run.state != T.MISMATCH:
        move_step(step_run, T.MISMATCH, lease=lease, actor=ACTOR, reason=verification.difference(verified))
    if reads < 3:
        # A replica may lag behind the write; a difference is believed when it stays.
        return _wait(step_run, lease, float(settings.SETTLE_SECONDS), verification.difference(verified))
    return _park(
        step_run,
        lease,
        "read_back_differs",
        verification.difference(verified),
        "Compare both values; undo, or accept by hand.",
    )


def _again_later(step_run: StepRun, lease: Lease, error: ConnectorError) -> Turn:
    """Try a read again, ever more slowly, for as long as it takes: nothing was sent, and the clock tells people."""
    count = stumbles.note(step_run.execution.incident, str(error))
    advice = retry.decide(error, wrote=False, attempt=count, key=step_run.effect_key)
    if advice.again and advice.after_seconds is not None:
        return _wait(step_run, lease, advice.after_seconds, str(error))
    if error.retryable and not isinstance(error, Blocked):
        return _wait(step_run, lease, settings.RETRY_CAP_SECONDS, str(error))
    return _park(step_run, lease, _cause(step_run, error), str(error), advice.guidance)


def _send_later(step_run: StepRun, lease: Lease, error: ConnectorError) -> Turn:
    """Send again after a pause what was certainly not carried out, as often as the table allows."""
    advice = retry.decide(error, wrote=True, attempt=_tries(step_run), key=step_run.effect_key)
    if advice.again and advice.after_seconds is not None:
        return _wait(step_run, lease, advice.after_seconds, str(error))
    return _park(step_run, lease, _cause(step_run, error), str(error), advice.guidance)


def _wait(step_run: StepRun, lease: Lease, seconds: float, reason: str, *, found: int = 0) -> Outcome:
    lease.check()
    until = db_now() + timedelta(seconds=seconds)
    changes: dict[str, Any] = {"not_before": until, "state_reason": reason}
    if found:
        changes["not_found_count"] = F("not_found_count") + found
    StepRun.objects.filter(pk=step_run.pk).update(**changes)
    return Outcome(Ending.WAITING, reason, seconds)


def _park(step_run: StepRun, lease: Lease, cause: str, reason: str, guidance: str) -> Outcome:
    with transaction.atomic():
        move_step(step_run, T.STUCK, lease=lease, actor=ACTOR, reason=reason)
        deadletters.put(step_run, cause=f"{step_run.connection}: {cause}"[:200], error=reason, guidance=guidance)
    return Outcome(Ending.FAILED, reason)


def _cause(step_run: StepRun, error: ConnectorError) -> str:
    parts = (step_run.connection, step_run.operation, str(error.status or ""), error.code or type(error).__name__)
    return " ".join(part for part in parts if part)[:200]


def _operation(connection: Connection, name: str) -> Write:
    operation = registry.operation_of(connection, name)
    if not isinstance(operation, Write):
        raise ConnectorError(f"{connection.label} has no write operation “{name}” any more.")
    return operation


def _tries(step_run: StepRun) -> int:
    """Count how often it was sent since it was last replayed: who replays a letter wants it tried again."""
    sent = step_run.attempts.filter(act="send", sent_at__isnull=False)
    replayed = step_run.dead_letters.filter(state=DeadLetter.State.REPLAYED).aggregate(at=Max("closed_at"))["at"]
    return sent.count() if replayed is None else sent.filter(sent_at__gte=replayed).count()


def _open_attempt(step_run: StepRun, lease: Lease, act: str) -> Attempt:
    number = step_run.attempts.count() + 1
    return Attempt.objects.create(step_run=step_run, number=number, act=act, fence=lease.fence, started_at=db_now())


def _sending(step_run: StepRun, lease: Lease) -> Attempt:
    """Mark the waiting attempt as sent now, or open one where a retry has none."""
    attempt = step_run.attempts.filter(act="send", sent_at__isnull=True).last()
    if attempt is None:
        attempt = _open_attempt(step_run, lease, "send")
    Attempt.objects.filter(pk=attempt.pk).update(sent_at=Now(), fence=lease.fence)
    return attempt


def _close_attempt(
    attempt: Attempt,
    outcome: str,
    error: ConnectorError | None = None,
    *,
    call_id: int | None = None,
    request_id: str = "",
) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(
        finished_at=Now(),
        outcome=outcome[:20],
        status=error.status if error else None,
        message=str(error) if error else "",
        call_id=call_id,
        request_id=request_id,
    )
