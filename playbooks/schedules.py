"""The periodic tasks that Goldseam cannot do without: made when missing, never overwritten."""

from typing import Any

from django.conf import settings
from django.db.models.signals import post_migrate
from django.dispatch import receiver


def wanted() -> dict[str, tuple[str, int]]:
    """Return each schedule's name with its task and its turn in seconds."""
    return {
        "Ring for due incidents": ("playbooks.sweep", settings.SWEEP_SECONDS),
        "Replay or escalate dead letters": ("playbooks.sweep_dead_letters", 60),
        "Sweep SLA clocks": ("incidents.sweep_sla", 15),
        "Offer what waits for a person": ("incidents.sweep_routing", 15),
        "Count how long signals take": ("incidents.count_pace", 15),
        "Judge deliveries": ("incidents.process_deliveries", settings.SWEEP_SECONDS),
        "Poll connections": ("connectors.poll_connections", settings.POLL_SECONDS),
        "Expire approvals": ("approvals.expire_approvals", 30),
        "Expire unused approvals": ("playbooks.expire_unused", 30),
        "Tell what happened": ("playbooks.sweep_telling", settings.SWEEP_SECONDS),
        "Forget old messages": ("playbooks.forget_messages", 3600),
        "Count uses of operations": ("connectors.count_uses", 60),
        "Forget unused texts": ("connectors.forget_texts", 3600),
        "Forget old deliveries and calls": ("connectors.forget_traffic", 3600),
        "End hold-outs": ("playbooks.end_hold_outs", 300),
    }


@receiver(post_migrate)
def ensure(sender: Any, **_: Any) -> None:
    """Make the schedules that are missing, after the migration of the app that holds them."""
    if sender.name != "django_celery_beat":
        return
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    for name, (task, seconds) in wanted().items():
        if not PeriodicTask.objects.filter(task=task).exists():
            every, _made = IntervalSchedule.objects.get_or_create(every=seconds, period=IntervalSchedule.SECONDS)
            PeriodicTask.objects.create(name=name, task=task, interval=every, queue="sweeps")
