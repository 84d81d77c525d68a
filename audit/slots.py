"""Each turn of a schedule is taken once, however many schedulers ring."""

from django.db import IntegrityError, transaction

from audit.clock import db_now
from audit.models import Slot


def take_slot(schedule: str, every_seconds: int) -> bool:
    """Claim this turn of ``schedule``; ``False`` where another process has it already.

    django-celery-beat has no lock: two beats send every task twice. The unique row lets one of them act.
    """
    now = db_now()
    slot = int(now.timestamp()) // max(every_seconds, 1)
    try:
        with transaction.atomic():
            Slot.objects.create(schedule=schedule, slot=slot, taken_at=now)
    except IntegrityError:
        return False
    Slot.objects.filter(schedule=schedule, slot__lt=slot - 100).delete()
    return True
