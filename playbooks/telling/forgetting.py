"""Forget what was told long ago: the messages go in batches, and the ledger keeps how many of them were forgotten."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from audit.actions import record
from audit.clock import db_now
from incidents.states import CLOSED
from playbooks.telling.models import Outgoing
from playbooks.telling.reading import ACTOR
from playbooks.telling.states import OutState

BATCH = 1_000  # messages in one transaction
BATCHES = 50  # in one turn
ENDED = (OutState.SENT, OutState.SKIPPED)


def forget_old() -> int:
    """Forget the messages that ended and are older than ``TELL_KEEP_DAYS`` (0: none ever); return how many.

    Kept are dead letters, what waits, messages about incidents that are not over, and those of a thread that a
    waiting or dead message would go on with.
    """
    if settings.TELL_KEEP_DAYS <= 0:
        return 0
    forgotten = 0
    for _ in range(BATCHES):
        batch = _forget_batch(timedelta(days=settings.TELL_KEEP_DAYS))
        forgotten += batch
        if batch < BATCH:
            break
    return forgotten


@transaction.atomic
def _forget_batch(kept_for: timedelta) -> int:
    before = db_now() - kept_for
    old = Outgoing.objects.filter(created_at__lt=before)
    # Messages are numbered as they are made: from the first younger one on, none needs to be looked at.
    young = Outgoing.objects.filter(created_at__gte=before).order_by("pk").values_list("pk", flat=True).first()
    if young is not None:
        old = old.filter(pk__lt=young)
    numbers = list(_unneeded(old).order_by("pk").values_list("pk", flat=True)[:BATCH])
    # Both states are final: what is found here cannot have become anything else meanwhile.
    forgotten, _ = Outgoing.objects.filter(pk__in=numbers, state__in=ENDED).delete()
    if forgotten:
        record("outgoing.forgotten", actor=ACTOR, data={"messages": forgotten, "made_before": before.isoformat()})
    return forgotten


def _unneeded(messages: QuerySet[Outgoing]) -> QuerySet[Outgoing]:
    unsettled = Outgoing.objects.filter(
        subscription=OuterRef("subscription"), incident=OuterRef("incident"),
        state__in=(OutState.PENDING, OutState.DEAD),
    )  # fmt: skip
    return messages.filter(state__in=ENDED, incident__status__in=CLOSED).exclude(Exists(unsettled))
