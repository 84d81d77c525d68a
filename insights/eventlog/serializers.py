"""How event logs look on the wire, and what may be posted to them."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from insights.models import EventLog, Rejected
from insights.states import LogState

_STATES = "importing, ready, failed, or mapping: it waits until somebody says which columns are what"


class ReceivedSerializer(serializers.Serializer[Any]):
    """A log that was taken in."""

    id = serializers.IntegerField()
    state = serializers.CharField(help_text=_STATES)


class RejectedSerializer(serializers.ModelSerializer[Rejected]):
    """A line that is no event."""

    class Meta:
        model = Rejected
        fields: ClassVar = ["line", "reason", "text"]


class LogSerializer(serializers.ModelSerializer[EventLog]):
    """An event log in a list."""

    state = serializers.CharField(help_text=_STATES)
    progress = serializers.FloatField(help_text="Share of the import that is done, 0 to 1.")

    class Meta:
        model = EventLog
        fields: ClassVar = [
            *("id", "name", "state", "progress", "error", "process", "object_type", "origin", "file_name", "format"),
            *("size", "digest", "business_unit", "region", "cases", "events", "activities", "variants", "first_at"),
            *("last_at", "rejected_count", "failed_rejected_count", "generation", "created_at", "ready_at"),
        ]
        read_only_fields: ClassVar = fields


class LogDetailSerializer(LogSerializer):
    """One event log with its columns and the first thousand lines that are no events."""

    rejected = serializers.SerializerMethodField(
        help_text="The first thousand lines that the last import refused, also where it failed."
    )
    attributes = serializers.ListField(child=serializers.DictField(child=serializers.CharField()))
    mapping = serializers.SerializerMethodField(help_text="Which column is what, as it was told or guessed.")

    @extend_schema_field(RejectedSerializer(many=True))
    def get_rejected(self, log: EventLog) -> Any:
        rows = log.refused_last() if log.state == LogState.FAILED else log.refused_now()
        return RejectedSerializer(rows, many=True).data

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
    def get_mapping(self, log: EventLog) -> dict[str, str]:
        return {key: value for key, value in log.mapping.items() if isinstance(value, str)}

    class Meta(LogSerializer.Meta):
        fields: ClassVar = [*LogSerializer.Meta.fields, "attributes", "mapping", "rejected"]
        read_only_fields: ClassVar = fields


class UploadBody(serializers.Serializer[Any]):
    """A file and what is known of it."""

    file = serializers.FileField(allow_empty_file=True, help_text="XES, XES.gz, OCEL 2.0 JSON or SQLite, CSV, Parquet.")
    name = serializers.CharField(max_length=120)
    mapping = serializers.CharField(
        required=False, allow_blank=True, max_length=10_000,
        help_text='JSON such as {"case": "order", "activity": "step", "timestamp": "at", "time_zone": "UTC"}.',
    )  # fmt: skip
    object_type = serializers.CharField(required=False, allow_blank=True, max_length=120)
    look_first = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Wait in state mapping until `mapping/` is posted.",
    )
    process = serializers.SlugField(required=False, allow_blank=True, max_length=40)
    business_unit = serializers.CharField(required=False, allow_blank=True, max_length=40)
    region = serializers.CharField(required=False, allow_blank=True, max_length=40)


class MappingBody(serializers.Serializer[Any]):
    """Which column is what. Names are the file's own."""

    case = serializers.CharField(required=False, allow_blank=True, max_length=200)
    activity = serializers.CharField(required=False, allow_blank=True, max_length=200)
    timestamp = serializers.CharField(required=False, allow_blank=True, max_length=200)
    start = serializers.CharField(required=False, allow_blank=True, max_length=200)
    resource = serializers.CharField(required=False, allow_blank=True, max_length=200)
    amount = serializers.CharField(required=False, allow_blank=True, max_length=200)
    time_zone = serializers.CharField(required=False, allow_blank=True, max_length=60, help_text="Default: UTC.")
    time_format = serializers.CharField(required=False, allow_blank=True, max_length=60)
    duplicates = serializers.CharField(required=False, allow_blank=True, max_length=10, help_text="keep or drop")
    future = serializers.CharField(required=False, allow_blank=True, max_length=10, help_text="reject or keep")
    object_type = serializers.CharField(required=False, allow_blank=True, max_length=120)


class FoundSerializer(serializers.Serializer[Any]):
    """An attribute that was seen."""

    name = serializers.CharField()
    of = serializers.CharField(help_text="event, case, or an object type")
    type = serializers.CharField(help_text="text, number, time or flag")
    example = serializers.CharField(allow_blank=True)


class ObjectTypeSerializer(serializers.Serializer[Any]):
    """An object type among the events that were seen."""

    name = serializers.CharField()
    objects = serializers.IntegerField()
    events = serializers.IntegerField(help_text="Events that touch one.")
    several = serializers.IntegerField(help_text="Events that touch several: they stand in each such case.")


class InsideSerializer(serializers.Serializer[Any]):
    """What the beginning of an XES or OCEL file shows."""

    events = serializers.IntegerField(help_text="How many events were looked at.")
    attributes = FoundSerializer(many=True)
    object_types = ObjectTypeSerializer(many=True)
    case = serializers.CharField(allow_blank=True, help_text="Which object type would be the cases.")
    time_zone = serializers.CharField(help_text="Whether times name their offset, and what is made of others.")
    flattened = serializers.ListField(child=serializers.CharField(), help_text="What becomes of the structure.")


class PreviewSerializer(serializers.Serializer[Any]):
    """The first rows of a file, and what its columns seem to be."""

    format = serializers.CharField()
    columns = serializers.ListField(child=serializers.CharField())
    rows = serializers.ListField(child=serializers.ListField(child=serializers.CharField(allow_blank=True)))
    mapping = serializers.DictField(child=serializers.CharField(), help_text="The guess, or what was told.")
    confidence = serializers.SerializerMethodField()
    sure = serializers.BooleanField(help_text="Whether nobody needs to be asked.")
    object_types = serializers.ListField(child=serializers.CharField())
    error = serializers.CharField(allow_blank=True)
    inside = InsideSerializer(allow_null=True, required=False, help_text="Of XES and OCEL; rows are its first events.")

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "number"}})
    def get_confidence(self, seen: dict[str, Any]) -> dict[str, float]:
        found: dict[str, float] = seen["confidence"]
        return found
