"""Asking a system for its news: stored as deliveries, and remembered how far it was asked."""

import logging

from django.db.models import Q

from audit.clock import db_now
from connectors import gateway
from connectors.base import Blocked, ConnectorError
from connectors.inbound import bookmarks, webhooks
from connectors.inbound.webhooks import Received
from connectors.models import Connection

logger = logging.getLogger(__name__)
ACTOR = "system:poll"
# Of one system in one turn, so that the others are not kept waiting.
MOST_PARTS = 10


def poll_one(connection: Connection) -> Received:
    """Fetch and keep what is new in one system, part by part; one that does not answer is asked again next time."""
    total = Received(0, 0)
    for _ in range(MOST_PARTS):
        received = _part(connection)
        if received is None:
            break
        total = Received(
            total.accepted + received.accepted, total.repeated + received.repeated, total.ids + received.ids
        )
        if bookmarks.LEFT_OFF not in connection.bookmarks:
            break
    return total


def _part(connection: Connection) -> Received | None:
    try:
        told, places = gateway.poll(connection, connection.polled_until, actor=ACTOR)
    except Blocked as blocked:
        logger.info("%s was not polled: %s", connection.slug, blocked)
        return None
    except ConnectorError as error:
        logger.warning("%s could not be polled: %s", connection.slug, error)
        return None
    received = webhooks.store(connection, told)
    # After the news are kept: a process that dies in between is told the same again, which adds nothing.
    bookmarks.remember(connection, connection.bookmarks, places)
    # The system's own stamps, not our clock: what it shows late is still asked for the next time.
    moments = [inbound.occurred_at for inbound in told if inbound.occurred_at is not None]
    if moments:
        # A stamp of tomorrow (their clock, or a record made up) must not hide what comes until then.
        latest = min(max(moments), db_now())
        behind = Q(polled_until=None) | Q(polled_until__lt=latest)
        Connection.objects.filter(behind, pk=connection.pk).update(polled_until=latest)
    return received
