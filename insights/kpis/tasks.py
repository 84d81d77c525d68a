"""Bells of the score. Each makes one call and is harmless when it rings twice or never."""

from typing import Any

from celery import shared_task
from django.db.models.signals import post_migrate
from django.dispatch import receiver

from audit.context import Source, coming_from
from audit.slots import take_slot
from insights.kpis import feedback, usage

USAGE_SECONDS = 60
FEEDBACK_SECONDS = 24 * 3600


@shared_task(queue="sweeps", name="insights.count_usage")
def count_usage(**_: object) -> int:
    """Sum up the calls that have come. The mark is held while counting: two schedulers count each call once."""
    if not take_slot("insights.count_usage", USAGE_SECONDS):
        return 0
    counted = 0
    while more := usage.count():
        counted += more
    return counted


@shared_task(queue="insights", name="insights.look_for_bottlenecks")
def look_for_bottlenecks(**_: object) -> int:
    """Hold each process against the time before its playbooks; what has become slow since is a finding, found once."""
    if not take_slot("insights.look_for_bottlenecks", FEEDBACK_SECONDS):
        return 0
    with coming_from(Source("task")):
        return feedback.look_for_bottlenecks()


@receiver(post_migrate, dispatch_uid="insights.kpis.schedules")
def ensure_schedules(sender: Any, **_: Any) -> None:
    """Make the schedules that are missing; one that stands is never overwritten."""
    if sender.name != "django_celery_beat":
        return
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    for name, task, seconds, queue in (
        ("Count the use of systems", "insights.count_usage", USAGE_SECONDS, "sweeps"),
        ("Look for new bottlenecks", "insights.look_for_bottlenecks", FEEDBACK_SECONDS, "insights"),
    ):
        if not PeriodicTask.objects.filter(task=task).exists():
            every, _made = IntervalSchedule.objects.get_or_create(every=seconds, period=IntervalSchedule.SECONDS)
            PeriodicTask.objects.create(name=name, task=task, interval=every, queue=queue)
