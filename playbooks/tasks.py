"""Bells. Each takes ids, makes one call, and is harmless when it rings twice or never."""

from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.dispatch import receiver

from audit.context import Source, coming_from
from audit.slots import take_slot
from incidents import bells, leases
from incidents.models import Incident
from incidents.signals import incident_due
from playbooks import actions, endings, holdout_actions, loop


@shared_task(queue="loop", name="playbooks.advance")
def advance(*, incident_id: int, **_: object) -> None:
    """Carry one incident as far as it goes now. Harmless when delivered twice."""
    with coming_from(Source("task")):
        loop.advance(incident_id)


@shared_task(queue="sweeps", name="playbooks.sweep")
def sweep(**_: object) -> int:
    """Ring again for every incident that is due and nobody works on: lost bells, dead workers, waits that ended."""
    if not take_slot("playbooks.sweep", settings.SWEEP_SECONDS):
        return 0
    waiting = leases.due()
    for incident_id in waiting:
        ring_bell(incident_id)
    return len(waiting)


@shared_task(queue="sweeps", name="playbooks.sweep_dead_letters")
def sweep_dead_letters(**_: object) -> int:
    """After the cool-down, replay the letters whose cause may have passed, and tell people of the others."""
    if not take_slot("playbooks.sweep_dead_letters", 60):
        return 0
    with coming_from(Source("task")):
        return actions.after_cooldown()


@shared_task(queue="sweeps", name="playbooks.expire_unused")
def expire_unused(**_: object) -> int:
    """Settle what was approved and not carried out in time. Harmless when two schedulers ring: each settles once."""
    if not take_slot("playbooks.expire_unused", 30):
        return 0
    with coming_from(Source("task")):
        return endings.expire_unused()


@shared_task(queue="sweeps", name="playbooks.end_hold_outs")
def end_hold_outs(**_: object) -> int:
    """End the hold-outs whose time is over, so that the ledger tells their keys."""
    if not take_slot("playbooks.end_hold_outs", 300):
        return 0
    with coming_from(Source("task")):
        return holdout_actions.end_due()


def ring_bell(incident_id: int) -> None:
    """Tell a worker to look; where the broker is away the sweep will find the row instead."""
    bells.ring(advance, incident_id=incident_id)


@receiver(incident_due, sender=Incident)
def nudge(sender: type[Incident], incident_id: int, **_: Any) -> None:
    """Ring once the row is committed."""
    transaction.on_commit(lambda: ring_bell(incident_id))
