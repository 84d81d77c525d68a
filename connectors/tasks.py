"""What the schedule asks of the connectors. Ids in, one call; harmless when rung twice."""

import logging

from celery import shared_task
from django.conf import settings

from audit.context import Source, coming_from
from audit.slots import take_slot
from connectors import forgetting, texts
from connectors.inbound import bookmarks, polling
from connectors.models import Connection
from connectors.rights import counting

logger = logging.getLogger(__name__)
FORGET_SECONDS = 3600
MOST_BATCHES = 20


@shared_task(queue="sweeps", name="connectors.poll_connections")
def poll_connections(**_: object) -> None:
    """Ask every connection that is polled, or that has missed something, for its news.

    Once per turn of the schedule, however many beats ring.
    """
    if not take_slot("connectors.poll", settings.POLL_SECONDS):
        return
    for connection in Connection.objects.filter(enabled=True):
        if connection.poll or bookmarks.wanted(connection):
            polling.poll_one(connection)


@shared_task(queue="sweeps", name="connectors.forget_texts")
def forget_texts(**_: object) -> int:
    """Forget long texts that no connection has named for long. Harmless when two schedulers ring: each goes once."""
    return texts.forget_unused() if take_slot("connectors.forget_texts", FORGET_SECONDS) else 0


@shared_task(queue="sweeps", name="connectors.forget_traffic")
def forget_traffic(**_: object) -> int:
    """Forget what was told and what was asked long ago. Harmless when two schedulers ring: each goes once."""
    if not take_slot("connectors.forget_traffic", FORGET_SECONDS):
        return 0
    with coming_from(Source("task")):
        return forgetting.forget_deliveries() + forgetting.forget_calls() + forgetting.forget_mails()


@shared_task(queue="sweeps", name="connectors.count_uses")
def count_uses(**_: object) -> int:
    """Add up which operations were used. Harmless when two schedulers ring: each call is counted once."""
    counted = turn = counting.count()
    # What waits after a stop or an upgrade is counted over several turns: no beat is held up for long.
    for _turn in range(MOST_BATCHES - 1):
        if turn < counting.BATCH:
            break
        turn = counting.count()
        counted += turn
    return counted
