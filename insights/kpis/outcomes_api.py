"""What playbooks changed, over HTTP: held out against handled, and before and after in the cases of a log."""

from collections.abc import Mapping
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from insights.kpis import feedback, holdouts
from insights.kpis.feedback import Feedback
from insights.kpis.holdouts import Contrast, Trial
from insights.kpis.intervals import Difference
from insights.kpis.serializers import IntervalField
from insights.mining.asking import require_ready
from insights.models import EventLog

VERDICTS = ("too_thin", "no_effect", "less", "more")


class DifferenceSerializer(serializers.Serializer[Any]):
    """One measure in both groups, and the second less the first with its interval."""

    measure = serializers.CharField()
    unit = serializers.CharField(help_text="time in seconds, share, count, or money_days: money at risk times days.")
    currency = serializers.CharField(allow_blank=True)
    first = serializers.FloatField(allow_null=True, help_text="The mean or share held out, or before.")
    second = serializers.FloatField(allow_null=True, help_text="The mean or share handled, or after.")
    n_first = serializers.IntegerField()
    n_second = serializers.IntegerField()
    difference = serializers.FloatField(allow_null=True, help_text="Null: too few to say.")
    interval = IntervalField(allow_null=True, help_text="97 %, of the difference.")
    verdict = serializers.ChoiceField(choices=VERDICTS)
    more_needed = serializers.ListField(
        child=serializers.IntegerField(), help_text="How many more each side needs before anything is said."
    )


class TrialSerializer(serializers.Serializer[Any]):
    """What a hold-out says of one playbook version."""

    playbook = serializers.CharField()
    version = serializers.IntegerField()
    hold_out = serializers.IntegerField(help_text="The number of the trial within its playbook.")
    share = serializers.IntegerField(help_text="Percent.")
    purpose = serializers.CharField()
    begun_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    held_out = serializers.IntegerField(help_text="Records, as they were drawn.")
    handled = serializers.IntegerField(help_text="Records, as they were drawn.")
    left = serializers.IntegerField(help_text="Of the held out: taken out of the group by somebody; they count still.")
    still_open = serializers.IntegerField(help_text="Of both groups.")
    measures = DifferenceSerializer(many=True)


class TrialsSerializer(serializers.Serializer[Any]):
    """Every hold-out that has drawn an incident which the reader may see."""

    evidence = serializers.CharField(help_text="How strong it is, in words.")
    results = TrialSerializer(many=True)


class BeforeAfterSerializer(serializers.Serializer[Any]):
    """One playbook version, before and after its first mend."""

    playbook = serializers.CharField()
    version = serializers.IntegerField()
    since = serializers.DateTimeField()
    measures = DifferenceSerializer(many=True)


class BeforeAfterListSerializer(serializers.Serializer[Any]):
    """The weaker comparison."""

    evidence = serializers.CharField(help_text="How strong it is, in words.")
    results = BeforeAfterSerializer(many=True)


class OutcomesSerializer(serializers.Serializer[Any]):
    """What playbooks changed in the cases of a log, the stronger evidence first."""

    held_out = TrialsSerializer()
    before_and_after = BeforeAfterListSerializer()


class HoldOuts(APIView):
    """Held out against handled: what each playbook brings, by lot."""

    @extend_schema(responses=TrialsSerializer)
    def get(self, request: Request) -> Response:
        """Compare both groups by their incidents, as far as you may see them; everybody counts as drawn."""
        return Response(TrialsSerializer(_trials(holdouts.trials(request.user))).data)


class Outcomes(APIView):
    """What playbooks changed in the cases of one log."""

    @extend_schema(responses=OutcomesSerializer)
    def get(self, request: Request, pk: int) -> Response:
        """Compare the cases that incidents are about: held out against handled, and before against after."""
        log = get_object_or_404(EventLog.objects.visible_to(request.user), pk=pk)
        require_ready(log)
        told = feedback.comparisons(log, request.user)
        weaker = {"evidence": feedback.LABEL, "results": [_before_after(one) for one in told]}
        body = {"held_out": _trials(holdouts.by_log(log, request.user)), "before_and_after": weaker}
        return Response(OutcomesSerializer(body).data)


def _trials(found: list[Trial]) -> Mapping[str, Any]:
    return {"evidence": holdouts.LABEL, "results": [_trial(one) for one in found]}


def _trial(found: Trial) -> dict[str, Any]:
    terms = {name: getattr(found.hold_out, name) for name in ("share", "purpose", "begun_at", "ends_at", "ended_at")}
    counts = {name: getattr(found, name) for name in ("held_out", "handled", "left", "still_open")}
    return {
        "playbook": found.version.playbook.slug,
        "version": found.version.number,
        "hold_out": found.hold_out.number,
        **terms,
        **counts,
        "measures": [_measure(one) for one in found.contrasts],
    }


def _before_after(found: Feedback) -> dict[str, Any]:
    parts = (("throughput", "time"), ("rework", "count"), ("leakage", "time"))
    return {
        "playbook": found.version.playbook.slug,
        "version": found.version.number,
        "since": found.begun,
        "measures": [_measure(Contrast(name, unit, getattr(found, name))) for name, unit in parts],
    }


def _measure(one: Contrast) -> dict[str, Any]:
    found: Difference = one.found
    return {
        "measure": one.name,
        "unit": one.unit,
        "currency": one.currency,
        "first": found.before,
        "second": found.after,
        "n_first": found.n_before,
        "n_second": found.n_after,
        "difference": found.value,
        "interval": None if found.interval is None else list(found.interval),
        "verdict": found.verdict,
        "more_needed": list(one.more_needed),
    }
