"""How measures look to programs."""

from collections.abc import Iterable
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from insights.kpis.answers import Answer, Group
from insights.kpis.cells import BY
from insights.kpis.definitions import USE
from insights.kpis.measures import Measure

_INTERVAL = {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 2}


@extend_schema_field(_INTERVAL)
class IntervalField(serializers.JSONField):
    """The two ends of a 95 % interval."""


class PartSerializer(serializers.Serializer[Any]):
    """A measure without what it is made of."""

    value = serializers.FloatField(allow_null=True, help_text="Null: nothing to measure, or too little; see because.")
    n = serializers.IntegerField(help_text="How many rows it rests on.")
    interval = IntervalField(allow_null=True, help_text="95 %.")
    because = serializers.CharField(allow_blank=True, help_text="Why there is no value, or what to make of it.")


class MeasureSerializer(PartSerializer):
    """A measure with its definition."""

    unit = serializers.ChoiceField(choices=["seconds", "share", "money", "count"])
    definition = serializers.CharField()
    rows = serializers.CharField(help_text="The page that lists the rows behind it.")
    parts = serializers.DictField(child=PartSerializer(), help_text="What it is made of, by name.")
    # Whatever else belongs to it: the currency, the amounts, the assumptions.
    data = serializers.DictField()  # type: ignore[assignment] # see incidents.serializers.EventSerializer


class GroupSerializer(serializers.Serializer[Any]):
    """The same measures for one part of the period's rows."""

    key = serializers.CharField(allow_blank=True, help_text="The kind, week, playbook …; blank for rows without one.")
    mttr_seconds = MeasureSerializer()
    first_contact_resolution = MeasureSerializer()
    sla_adherence = MeasureSerializer()
    change_success_rate = MeasureSerializer()
    automation_coverage = MeasureSerializer()
    roi = MeasureSerializer()


class KpisSerializer(GroupSerializer):
    """All measures of a period."""

    key = None  # type: ignore[assignment] # the whole has no name
    to = serializers.DateTimeField(help_text="Excluded.")
    by = serializers.ChoiceField(choices=BY, allow_blank=True)
    revenue_protected = MeasureSerializer(many=True, help_text="One for each currency.")
    duplicate_invoices = MeasureSerializer(many=True)
    freight_misrates = MeasureSerializer(many=True)
    working_capital = MeasureSerializer(many=True)
    cost_to_serve = MeasureSerializer(many=True)
    connector_calls = MeasureSerializer(many=True, help_text="One for each connection.")
    token_cost = MeasureSerializer(many=True, help_text="One for each connection that used tokens.")
    run_times = MeasureSerializer(many=True, help_text="One for each operation; its parts are p50 and p95.")
    groups = GroupSerializer(many=True)

    def get_fields(self) -> dict[str, Any]:
        """Add the member whose name is a word of the language."""
        return {"from": serializers.DateTimeField(help_text="Included."), **super().get_fields()}


_MONEY = ("revenue_protected", "duplicate_invoices", "freight_misrates", "working_capital", "cost_to_serve")


def body_of(answer: Answer, used: Iterable[Measure] = ()) -> dict[str, Any]:
    """Return an answer, and what was used, as JSON is made of it."""
    used = tuple(used)
    return {
        "from": answer.period.start,
        "to": answer.period.end,
        "by": answer.by,
        **{one.name: measure_of(one, answer) for one in answer.first},
        **{name: [measure_of(one, answer) for one in answer.money if one.name == name] for name in _MONEY},
        **{name: [measure_of(one, answer) for one in used if one.name == name] for name in USE},
        "groups": [_group(one, answer) for one in answer.groups],
    }


def _group(group: Group, answer: Answer) -> dict[str, Any]:
    return {"key": group.key, **{one.name: measure_of(one, answer, group.key) for one in group.first}}


def measure_of(measure: Measure, answer: Answer, key: str | None = None) -> dict[str, Any]:
    """Return one measure as JSON is made of it."""
    return {
        **_part(measure),
        "unit": measure.definition.unit,
        "definition": measure.definition.text,
        "rows": rows_url(measure.name, answer, key) + _use(measure),
        "parts": {part.name.partition(".")[2]: _part(part) for part in measure.parts},
        "data": measure.data,
    }


def _part(measure: Measure) -> dict[str, Any]:
    return {
        "value": measure.value,
        "n": measure.n,
        "interval": None if measure.interval is None else list(measure.interval),
        "because": measure.because,
    }


def rows_url(name: str, answer: Answer, key: str | None = None) -> str:
    """Return where the rows behind a measure are listed."""
    from django.urls import reverse
    from django.utils.http import urlencode

    narrowed = f"&{urlencode({answer.by: key})}" if key is not None else ""
    return f"{reverse('kpi_rows', args=[name])}?{answer.period.query}{narrowed}"


def _use(measure: Measure) -> str:
    """Return what narrows the rows of a use to its connection and operation, as part of an address."""
    from django.utils.http import urlencode

    told: dict[str, str] = {name: measure.data[name] for name in ("connection", "operation") if name in measure.data}
    return f"&{urlencode(told)}" if told else ""
