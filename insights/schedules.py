"""The periodic tasks of insights: made when missing, never overwritten."""

from typing import Any

from django.conf import settings
from django.db.models.signals import post_migrate
from django.dispatch import receiver

OWN_LOGS_SECONDS = 60


def wanted() -> dict[str, tuple[str, int, str]]:
    """Return each schedule's name with its task, its turn in seconds and its queue."""
    return {
        "Import event logs": ("insights.sweep_imports", settings.SWEEP_SECONDS, "sweeps"),
        "Keep the loop's own event logs": ("insights.keep_own_logs", OWN_LOGS_SECONDS, "insights"),
    }


@receiver(post_migrate)
def ensure(sender: Any, **_: Any) -> None:
    """Make the schedules that are missing, after the migration of the app that holds them."""
    if sender.name != "django_celery_beat":
        return
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    for name, (task, seconds, queue) in wanted().items():
        if not PeriodicTask.objects.filter(task=task).exists():
            every, _made = IntervalSchedule.objects.get_or_create(every=seconds, period=IntervalSchedule.SECONDS)
            PeriodicTask.objects.create(name=name, task=task, interval=every, queue=queue)
