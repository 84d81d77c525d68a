"""Bells of task mining. Each makes one call and is harmless when it rings twice or never."""

import logging
from typing import Any

from celery import shared_task
from django.db import transaction
from django.db.models.signals import post_migrate
from django.dispatch import receiver

from audit.context import Source, coming_from
from audit.slots import take_slot
from incidents import bells
from insights.tasklog import running
from insights.tasklog.models import TaskLog
from insights.tasklog.signals import task_log_waits

logger = logging.getLogger(__name__)
SWEEP_SECONDS = 30


@shared_task(queue="insights", name="insights.mine_task_log")
def mine_task_log(*, log_id: int, **_: object) -> None:
    """Mine one task log. Harmless when delivered twice: the lease lets one worker in."""
    with coming_from(Source("task")):
        try:
            running.run(log_id)
        except running.LeaseLost as lost:
            logger.info("%s", lost)


@shared_task(queue="sweeps", name="insights.sweep_task_logs")
def sweep_task_logs(**_: object) -> int:
    """Ring again for task logs that wait, and remove the steps whose time is over."""
    if not take_slot("insights.sweep_task_logs", SWEEP_SECONDS):
        return 0
    waiting = running.due()
    for log_id in waiting:
        bells.ring(mine_task_log, log_id=log_id)
    with coming_from(Source("task")):
        running.expire()
    return len(waiting)


@receiver(task_log_waits, sender=TaskLog)
def nudge(sender: type[TaskLog], log_id: int, **_: Any) -> None:
    """Ring once the row is committed."""
    transaction.on_commit(lambda: bells.ring(mine_task_log, log_id=log_id))


@receiver(post_migrate, dispatch_uid="insights.tasklog.schedule")
def ensure_schedule(sender: Any, **_: Any) -> None:
    """Make the schedule when it is missing; one that stands is never overwritten."""
    if sender.name != "django_celery_beat":
        return
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    task = "insights.sweep_task_logs"
    if not PeriodicTask.objects.filter(task=task).exists():
        every, _made = IntervalSchedule.objects.get_or_create(every=SWEEP_SECONDS, period=IntervalSchedule.SECONDS)
        PeriodicTask.objects.create(name="Mine task logs", task=task, interval=every, queue="sweeps")
