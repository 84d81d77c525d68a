"""Asking a system for its news: stored as deliveries, and remembered how far it was asked."""

import logging

from django.db.models import Q

from audit.clock import db_now
from connectors import gateway, webhooks
from connectors.base import Blocked, ConnectorError
from connectors.models import Connection
from connectors.webhooks import Received

logger = logging.getLogger(__name__)
ACTOR = "system:poll"


def poll_one(connection: Connection) -> Received:
    """Fetch and keep what is new in one system; a system that does not answer is asked again next time."""
    try:
        told, bookmarks = gateway.poll(connection, connection.polled_until, actor=ACTOR)
    except Blocked as blocked:
        logger.info("%s was not polled: %s", connection.slug, blocked)
        return Received(0, 0)
    except ConnectorError as error:
        logger.warning("%s could not be polled: %s", connection.slug, error)
        return Received(0, 0)
    received = webhooks.store(connection, told)
    if bookmarks != connection.bookmarks:
        # After the news are kept: a process that dies in between is told the same again, which adds nothing.
        Connection.objects.filter(pk=connection.pk).update(bookmarks=bookmarks)
    # The system's own stamps, not our clock: what it shows late is still asked for the next time.
    moments = [inbound.occurred_at for inbound in told if inbound.occurred_at is not None]
    if moments:
        # A stamp of tomorrow (their clock, or a record made up) must not hide what comes until then.
        latest = min(max(moments), db_now())
        behind = Q(polled_until=None) | Q(polled_until__lt=latest)
        Connection.objects.filter(behind, pk=connection.pk).update(polled_until=latest)
    return received
