"""Which old calls and deliveries are still needed by incidents: asked before anything of them is forgotten."""

from collections.abc import Iterable, Mapping

from connectors import forgetting
from incidents.models import Evidence, Incident, Signal
from incidents.states import CLOSED


def calls(asked: Mapping[int, int | None]) -> Iterable[int]:
    """Return the calls that evidence refers to, and all of the incidents that are not over."""
    cited = Evidence.objects.filter(call_id__in=list(asked)).values_list("call_id", flat=True)
    about = {incident for incident in asked.values() if incident is not None}
    live = set(Incident.objects.filter(pk__in=about).exclude(status__in=CLOSED).values_list("pk", flat=True))
    return {*(number for number in cited if number is not None), *(one for one in asked if asked[one] in live)}


def deliveries(asked: Iterable[int]) -> Iterable[int]:
    """Return the deliveries that became signals of incidents that are not over."""
    told = Signal.objects.filter(delivery_id__in=list(asked)).exclude(incident__status__in=CLOSED)
    return [number for number in told.values_list("delivery_id", flat=True) if number is not None]


def register() -> None:
    """Let the sweeps that forget ask this floor."""
    forgetting.keep_calls("incidents", calls)
    forgetting.keep_deliveries("incidents", deliveries)
