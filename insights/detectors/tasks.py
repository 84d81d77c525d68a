"""Bells of detectors. Each makes one call and is harmless when it rings twice or never."""

from typing import Any

from celery import shared_task
from django.db.models.signals import post_migrate
from django.dispatch import receiver

from audit.context import Source, coming_from
from audit.slots import take_slot
from incidents import bells
from insights.detectors import running

SWEEP_SECONDS = 30


@shared_task(queue="insights", name="insights.run_detector")
def run_detector(*, detector_id: int, **_: object) -> None:
    """Run one detector whose turn has come. Harmless when delivered twice."""
    with coming_from(Source("task")):
        running.run(detector_id)


@shared_task(queue="sweeps", name="insights.run_detectors")
def run_detectors(**_: object) -> int:
    """Ring for every detector whose turn has come; each turn of this is taken by one scheduler."""
    if not take_slot("insights.run_detectors", SWEEP_SECONDS):
        return 0
    waiting = running.due()
    for detector_id in waiting:
        bells.ring(run_detector, detector_id=detector_id)
    return len(waiting)


@receiver(post_migrate, dispatch_uid="insights.detectors.schedule")
def ensure_schedule(sender: Any, **_: Any) -> None:
    """Make the schedule when it is missing; one that stands is never overwritten."""
    if sender.name != "django_celery_beat":
        return
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    if not PeriodicTask.objects.filter(task="insights.run_detectors").exists():
        every, _made = IntervalSchedule.objects.get_or_create(every=SWEEP_SECONDS, period=IntervalSchedule.SECONDS)
        PeriodicTask.objects.create(name="Run detectors", task="insights.run_detectors", interval=every, queue="sweeps")
