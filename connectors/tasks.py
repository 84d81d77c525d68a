"""What the schedule asks of the connectors. Ids in, one call; harmless when rung twice."""

import logging

from celery import shared_task
from django.conf import settings

from audit.slots import take_slot
from connectors import bookmarks, polling
from connectors.models import Connection

logger = logging.getLogger(__name__)


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
