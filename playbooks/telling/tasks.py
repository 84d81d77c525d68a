"""Bells of the outbox. Each makes one call and is harmless when it rings twice or never."""

from celery import shared_task
from django.conf import settings

from audit.context import Source, coming_from
from audit.slots import take_slot
from incidents import bells
from playbooks.telling import forgetting, reading, sending

FORGET_SECONDS = 3600


@shared_task(queue="loop", name="playbooks.tell")
def tell(*, outgoing_id: int, **_: object) -> None:
    """Send one message, and ring for the next about the same incident. Harmless when delivered twice."""
    with coming_from(Source("task")):
        if sending.send(outgoing_id):
            following = sending.following(outgoing_id)
            if following is not None:
                ring_bell(following)


@shared_task(queue="sweeps", name="playbooks.sweep_telling")
def sweep(**_: object) -> int:
    """Make the messages of what happened, and ring for those that are due: new ones, lost bells, waits that ended."""
    if not take_slot("playbooks.sweep_telling", settings.SWEEP_SECONDS):
        return 0
    with coming_from(Source("task")):
        reading.keep_up()
        waiting = sending.due()
    for outgoing_id in waiting:
        ring_bell(outgoing_id)
    return len(waiting)


@shared_task(queue="sweeps", name="playbooks.forget_messages")
def forget_messages(**_: object) -> int:
    """Forget the messages that were told long ago. Harmless when two schedulers ring: each goes once."""
    if not take_slot("playbooks.forget_messages", FORGET_SECONDS):
        return 0
    with coming_from(Source("task")):
        return forgetting.forget_old()


def ring_bell(outgoing_id: int) -> None:
    """Tell a worker to look; where the broker is away the sweep will find the row instead."""
    bells.ring(tell, outgoing_id=outgoing_id)
