"""Ring for a worker, or keep silent for a while after a broker that did not answer.

A row is the truth and a bell only a nudge: nobody may wait for a broker that swallows connections. While this
process is silent, the sweep of a process that reaches the broker finds the rows.
"""

import logging
from time import monotonic
from typing import Any

from kombu.exceptions import KombuError, OperationalError

logger = logging.getLogger(__name__)
SILENCE_SECONDS = 10.0


class _Silence:
    """When this process may ring again, by its own monotonic clock."""

    until = 0.0


def ring(task: Any, **ids: int) -> bool:
    """Ring ``task`` for the row that ``ids`` name; ``False`` where the broker is away, or was a moment ago."""
    if monotonic() < _Silence.until:
        return False
    try:
        task.delay(**ids)
    except (OperationalError, KombuError, OSError) as away:
        _Silence.until = monotonic() + SILENCE_SECONDS
        logger.warning("the broker is away, no bells for %g s, the sweep rings later: %s", SILENCE_SECONDS, away)
        return False
    return True


def forget() -> None:
    """Ring again at once, whatever happened before."""
    _Silence.until = 0.0
