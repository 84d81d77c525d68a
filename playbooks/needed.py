"""Which old calls are still needed by what was or will be sent: asked before any of them is forgotten."""

from collections.abc import Iterable, Mapping

from connectors import forgetting
from connectors.models import Call
from playbooks.models import DeadLetter, Execution, StepRun
from playbooks.states import LIVE_EXECUTION
from playbooks.telling.models import Outgoing
from playbooks.telling.states import OutState


def calls(asked: Mapping[int, int | None]) -> Iterable[int]:
    """Return the calls that steps made or messages left by, and all about incidents where something is unsettled."""
    keyed = dict(Call.objects.filter(pk__in=list(asked)).exclude(effect_key="").values_list("pk", "effect_key"))
    stepped = set(StepRun.objects.filter(effect_key__in=keyed.values()).values_list("effect_key", flat=True))
    about = {incident for incident in asked.values() if incident is not None}
    messages = Outgoing.objects.filter(incident__in=about)
    told = {number for number in messages.values_list("call_id", flat=True) if number is not None}
    unsettled = {
        *messages.filter(state__in=(OutState.PENDING, OutState.DEAD)).values_list("incident_id", flat=True),
        *_letters(about),
        *Execution.objects.filter(incident__in=about, state__in=LIVE_EXECUTION).values_list("incident_id", flat=True),
    }
    return {number for number in asked
            if number in told or asked[number] in unsettled or keyed.get(number) in stepped}  # fmt: skip


def _letters(about: Iterable[int]) -> Iterable[int]:
    waiting = DeadLetter.objects.filter(incident__in=about, state=DeadLetter.State.WAITING)
    return waiting.values_list("incident_id", flat=True)


def register() -> None:
    """Let the sweeps that forget ask this floor."""
    forgetting.keep_calls("playbooks", calls)
