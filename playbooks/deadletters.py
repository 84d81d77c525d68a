"""What cannot go on by itself: one letter per step, grouped by cause, with what to do next."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction

from audit.actions import record
from audit.clock import db_now
from audit.errors import Invalid, LostRace
from connectors.kit.confidential import shown
from playbooks.models import DeadLetter, StepRun

State = DeadLetter.State


def put(step_run: StepRun, *, cause: str, error: str, guidance: str) -> DeadLetter:
    """Put a step aside until a person, or a replay, takes it up; it keeps its lane meanwhile."""
    now = db_now()
    with transaction.atomic():
        letter, created = DeadLetter.objects.get_or_create(
            step_run=step_run,
            state=State.WAITING,
            defaults={
                "incident": step_run.execution.incident,
                "cause": cause,
                "error": error,
                "guidance": guidance,
                "payload": {
                    "connection": step_run.connection,
                    "operation": step_run.operation,
                    "parameters": shown(step_run.parameters),
                    "effect_key": step_run.effect_key,
                },
                "replays": step_run.dead_letters.count(),
                "created_at": now,
                "escalate_at": now + timedelta(seconds=settings.DEAD_LETTER_COOLDOWN_SECONDS),
            },
        )
        if created:
            record(
                "dead_letter.put",
                actor="system:loop",
                target=letter,
                incident=letter.incident_id,
                reason=error,
                data={"cause": cause, "guidance": guidance},
            )
    return letter


def close(letter: DeadLetter, state: DeadLetter.State, *, actor: str, resolution: str = "") -> DeadLetter:
    """Close a waiting letter as replayed or resolved. Raises ``LostRace`` where somebody else did."""
    if state == State.WAITING:
        raise Invalid("A letter is closed as replayed or as resolved.")
    with transaction.atomic():
        waiting = DeadLetter.objects.filter(pk=letter.pk, state=State.WAITING)
        if not waiting.update(state=state, closed_at=db_now(), closed_by=actor, resolution=resolution):
            raise LostRace("This letter has been dealt with already.")
        record(f"dead_letter.{state}", actor=actor, target=letter, incident=letter.incident_id, reason=resolution)
    letter.refresh_from_db()
    return letter
