"""Bells of the backbone. Each makes one call and is harmless when it rings twice or never."""

from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.dispatch import receiver

from audit.context import Source, coming_from
from audit.slots import take_slot
from connectors.models import Delivery
from connectors.signals import deliveries_arrived
from incidents import bells, detection, pace, routing, sla
from incidents.models import Incident
from incidents.signals import incident_moved
from incidents.states import Status

SLA_SECONDS = 15


@shared_task(queue="intake", name="incidents.process_delivery")
def process_delivery(*, delivery_id: int, **_: object) -> None:
    """Judge one delivery. Harmless when delivered twice."""
    with coming_from(Source("task")):
        detection.process(delivery_id)


@shared_task(queue="sweeps", name="incidents.process_deliveries")
def process_deliveries(**_: object) -> int:
    """Ring again for deliveries that wait: lost bells, dead workers, waits that ended."""
    if not take_slot("incidents.process_deliveries", settings.SWEEP_SECONDS):
        return 0
    waiting = detection.sweep_deliveries()
    for delivery_id in waiting:
        ring_bell(delivery_id)
    return len(waiting)


@shared_task(queue="sweeps", name="incidents.sweep_sla")
def sweep_sla(**_: object) -> dict[str, int]:
    """Warn, note breaches and escalate; each turn is taken by one scheduler."""
    if not take_slot("incidents.sweep_sla", SLA_SECONDS):
        return {}
    with coming_from(Source("task")):
        return sla.sweep()


@shared_task(queue="sweeps", name="incidents.sweep_routing")
def sweep_routing(**_: object) -> int:
    """Offer what waits for a person to whom it suits; each turn is taken by one scheduler."""
    if not take_slot("incidents.sweep_routing", SLA_SECONDS):
        return 0
    with coming_from(Source("task")):
        return routing.sweep()


@shared_task(queue="sweeps", name="incidents.count_pace")
def count_pace(**_: object) -> int:
    """Count how long signals took on their way; each turn is taken by one scheduler."""
    return pace.count() if take_slot("incidents.count_pace", SLA_SECONDS) else 0


@receiver(incident_moved, sender=Incident)
def offer_it(sender: type[Incident], incident_id: int, status: str, **_: Any) -> None:
    """Offer what has come to need a person at once; the sweep finds what this misses."""
    if status == Status.NEEDS_OPERATOR:
        routing.offer_quietly(incident_id)


def ring_bell(delivery_id: int) -> None:
    """Tell a worker to look; where the broker is away the sweep will find the row instead."""
    bells.ring(process_delivery, delivery_id=delivery_id)


@receiver(deliveries_arrived, sender=Delivery)
def nudge(sender: type[Delivery], delivery_ids: list[int], **_: Any) -> None:
    """Ring once the rows are committed."""

    def ring() -> None:
        for delivery_id in delivery_ids:
            ring_bell(delivery_id)

    transaction.on_commit(ring)
