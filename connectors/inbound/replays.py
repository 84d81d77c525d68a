"""Deliveries judged anew: after a rule was mended, or where what they needed could not be read."""

from collections import defaultdict
from collections.abc import Collection

from django.db import transaction

from audit.actions import record
from audit.errors import Invalid, Refusal
from connectors.models import Delivery
from connectors.signals import deliveries_arrived

MOST = 500
FORGOTTEN = "What was told has been forgotten, as DELIVERY_KEEP_DAYS says."


class NothingToReplay(Refusal):
    """None of them was judged yet, so that they are being judged anyway; or nothing is left of them to judge."""

    code = "nothing_to_replay"


@transaction.atomic
def replay(ids: Collection[int], *, reason: str, actor: str) -> tuple[int, ...]:
    """Let deliveries be judged again as if they had just arrived; return which ones those are.

    What was told stays as it came, and what a signal is named by stays too: a delivery that became a signal before
    adds no second one. Those still waiting are left alone, and those of which nothing is left but that they came.
    Raises ``Invalid`` without a reason or for too many at once, and ``NothingToReplay``.
    """
    if not reason.strip():
        raise Invalid("Say why they are to be judged again.", {"reason": ["Required."]})
    if len(ids) > MOST:
        raise Invalid(f"At most {MOST} deliveries at once.", {"ids": ["Choose fewer."]})
    judged = Delivery.objects.select_for_update(of=("self",)).select_related("connection")
    rows = list(judged.filter(pk__in=ids, processed_at__isnull=False, forgotten_at=None).order_by("pk"))
    if not rows:
        if Delivery.objects.filter(pk__in=ids, forgotten_at__isnull=False).exists():
            raise NothingToReplay(f"{FORGOTTEN} Nothing is left of it that could be judged again.")
        raise NothingToReplay("None of these deliveries was judged yet; nothing needs to be replayed.")
    found = tuple(row.pk for row in rows)
    Delivery.objects.filter(pk__in=found).update(processed_at=None, outcome="", message="", attempts=0, not_before=None)
    by_connection: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        by_connection[row.connection_id].append(row.pk)
        _enter(row, reason.strip(), actor)
    for connection_id, mine in by_connection.items():
        deliveries_arrived.send(sender=Delivery, connection_id=connection_id, delivery_ids=mine)
    return found


def _enter(row: Delivery, reason: str, actor: str) -> None:
    record(
        "delivery.replayed",
        actor=actor,
        target=row,
        reason=reason,
        before={"outcome": row.outcome, "message": row.message[:500]},
        data={"connection": row.connection.slug, "event": row.event, "external_id": row.external_id},
    )
