"""Delivered CloudEvents that are signals already: their data says what is wrong, so no kind has to detect it.

They are read as ``POST signals/`` reads them. The connection stands in for the sender: the hook's secret was right.
"""

from collections.abc import Mapping
from typing import Any

from connectors.models import Delivery
from incidents import cloudevents
from incidents.normal import NormalSignal

_SAID = frozenset({"code", "entity_type", "entity_key"})


def is_signal(payload: Mapping[str, Any]) -> bool:
    """Tell whether an event's data names the kind of exception and the entity, as a signal does."""
    data = payload.get("data")
    return payload.get("specversion") == "1.0" and isinstance(data, Mapping) and data.keys() >= _SAID


def signal_of(delivery: Delivery) -> NormalSignal:
    """Return the signal that a delivered event is. Raises ``Invalid`` with every field that cannot be meant."""
    moment = delivery.occurred_at or delivery.received_at
    found, _ = cloudevents.read(cloudevents.STRUCTURED, delivery.payload, {}, lambda: moment)
    # Source and id are those of the delivery: a hook must not speak in the name of another sender.
    named = {"source": delivery.connection.slug, "id": delivery.external_id}
    return found[0].model_copy(update={**named, "channel": "hook", "delivery_id": delivery.pk})
