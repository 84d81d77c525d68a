"""Kept database connections are checked before a request uses them, but not when they have just been used."""

import time
from typing import Any

from django.core.signals import request_finished, request_started
from django.db import connections

# A connection that answered this recently is taken to stand: under load the check would cost a round trip per call.
_SECONDS = 1.0
_ATTRIBUTE = "_goldseam_used_at"


def note_use(**_: Any) -> None:
    """Remember when this thread's connections last served a request without an error."""
    now = time.monotonic()
    for connection in connections.all(initialized_only=True):
        whole = connection.connection is not None and not connection.errors_occurred
        setattr(connection, _ATTRIBUTE, (connection.connection, now) if whole else None)


def trust_recent(**_: Any) -> None:
    """Skip the check of connections that were used within the last second."""
    now = time.monotonic()
    for connection in connections.all(initialized_only=True):
        used = getattr(connection, _ATTRIBUTE, None)
        if used is not None and used[0] is connection.connection and now - used[1] < _SECONDS:
            connection.health_check_done = True  # type: ignore[attr-defined]


def connect() -> None:
    """Follow Django's own receivers, which ask for a check at the start and the end of each request."""
    request_started.connect(trust_recent, dispatch_uid="config.freshness.started")
    request_finished.connect(note_use, dispatch_uid="config.freshness.finished")
