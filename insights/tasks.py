"""Bells of insights. Each makes one call and is harmless when it rings twice or never."""

import logging
from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.dispatch import receiver

from audit.context import Source, coming_from
from audit.errors import Refusal
from audit.slots import take_slot
from incidents import bells
from insights import schedules
from insights.detectors import tasks as detector_tasks  # noqa: F401 - its bells belong to this app
from insights.drawing import placing
from insights.engines import TableGone
from insights.eventlog import changes, importing, remediation
from insights.kpis import tasks as kpi_tasks  # noqa: F401 - its bells belong to this app
from insights.models import EventLog
from insights.objectstore.faults import StoreUnavailable
from insights.signals import log_waits
from insights.states import LogState
from insights.tasklog import tasks as task_log_tasks  # noqa: F401 - its bells belong to this app

logger = logging.getLogger(__name__)
# To list a store costs money and time; what is left over does no harm.
OBJECTS_SECONDS = 3600


@shared_task(queue="insights", name="insights.import_log")
def import_log(*, log_id: int, **_: object) -> None:
    """Import one event log. Harmless when delivered twice: the lease lets one worker in."""
    with coming_from(Source("task")):
        try:
            log = importing.run(log_id)
        except importing.LeaseLost as lost:
            logger.info("%s", lost)
            return
        if log.state == LogState.READY:
            _keep_first_look(log)


def _keep_first_look(log: EventLog) -> None:
    try:
        placing.keep_first(log)
    except (Refusal, TableGone, StoreUnavailable) as gone:
        # It was imported again, or taken away: whoever looks asks for themselves.
        logger.info("event log %s: the first look is left to its reader: %s", log.pk, gone)


@shared_task(queue="sweeps", name="insights.sweep_imports")
def sweep_imports(**_: object) -> int:
    """Ring again for logs that wait: lost bells, dead workers; and take away files that no log knows."""
    if not take_slot("insights.sweep_imports", settings.SWEEP_SECONDS):
        return 0
    importing.tidy()
    if take_slot("insights.sweep_objects", OBJECTS_SECONDS):
        importing.tidy_objects()
    waiting = importing.due()
    for log_id in waiting:
        bells.ring(import_log, log_id=log_id)
    return len(waiting)


@shared_task(queue="insights", name="insights.keep_own_logs")
def keep_own_logs(**_: object) -> int:
    """Add what happened to incidents and what connections told to their logs; each turn is taken by one scheduler."""
    if not take_slot("insights.keep_own_logs", schedules.OWN_LOGS_SECONDS):
        return 0
    with coming_from(Source("task")):
        try:
            return remediation.keep_up() + changes.keep_up()
        except StoreUnavailable as away:
            logger.warning("The own logs wait: %s", away)
            return 0


@receiver(log_waits, sender=EventLog)
def nudge(sender: type[EventLog], log_id: int, **_: Any) -> None:
    """Ring once the row is committed."""
    transaction.on_commit(lambda: bells.ring(import_log, log_id=log_id))
