"""The sweep over questions that nobody answered in time."""

from celery import shared_task
from django.conf import settings

from approvals import actions
from audit.slots import take_slot


@shared_task(name="approvals.expire_approvals")
def expire_approvals(**_: object) -> int:
    """Settle what has run out. Harmless when two beats ring: only one takes the turn, and each row settles once."""
    if not take_slot("expire_approvals", settings.SWEEP_SECONDS):
        return 0
    return actions.expire_due()
