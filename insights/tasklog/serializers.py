"""Task mining as the API writes and reads it."""

from typing import Any

from rest_framework import serializers

from insights.tasklog.backlog import Item
from insights.tasklog.models import ActivityLink, RejectedStep, Routine, TaskLog


class RejectedStepSerializer(serializers.ModelSerializer[RejectedStep]):
    """A line that was no step, and why; never what stood in it."""

    class Meta:
        model = RejectedStep
        fields = ("line", "reason")


class TaskLogSerializer(serializers.ModelSerializer[TaskLog]):
    """A step log, and how far it is."""

    state = serializers.CharField(help_text="waiting, mining, ready or failed.")

    class Meta:
        model = TaskLog
        fields = (
            "id", "name", "business_unit", "region", "state", "progress", "error", "steps", "people", "sessions",
            "withheld", "rejected_count", "first_at", "last_at", "created_at", "ready_at", "expires_at", "expired_at",
        )  # fmt: skip


class TaskLogDetailSerializer(TaskLogSerializer):
    """A step log with its columns and what was refused of it."""

    rejected = serializers.SerializerMethodField()
    mapping = serializers.DictField(child=serializers.CharField())
    systems = serializers.DictField(child=serializers.CharField(), help_text="The connection behind each application.")

    class Meta(TaskLogSerializer.Meta):
        fields = (*TaskLogSerializer.Meta.fields, "mapping", "systems", "rejected")  # type: ignore[assignment]

    def get_rejected(self, log: TaskLog) -> list[dict[str, Any]]:
        return [{"line": one.line, "reason": one.reason} for one in log.rejected.all()[:1_000]]


class TaskLogBody(serializers.Serializer[Any]):
    """A step log to take in."""

    file = serializers.FileField(allow_empty_file=True, help_text="CSV or JSON.")
    name = serializers.CharField(max_length=120)
    mapping = serializers.CharField(
        required=False, allow_blank=True, max_length=10_000,
        help_text='JSON such as {"user": "who", "application": "app", "action": "what", "time": "at"}.',
    )  # fmt: skip
    time_zone = serializers.CharField(required=False, allow_blank=True, max_length=60, help_text="Default: UTC.")
    business_unit = serializers.CharField(required=False, allow_blank=True, max_length=40)
    region = serializers.CharField(required=False, allow_blank=True, max_length=40)


class StateSerializer(serializers.Serializer[Any]):
    """A log that has been taken in."""

    id = serializers.IntegerField()
    state = serializers.CharField()


class SeenStepSerializer(serializers.Serializer[Any]):
    """One step as it was seen; ``value`` is only what sort of value went in."""

    application = serializers.CharField()
    element = serializers.CharField(allow_blank=True)
    action = serializers.CharField()
    value = serializers.CharField()


class RoutineSerializer(serializers.ModelSerializer[Routine]):
    """What enough people do again and again."""

    kind = serializers.CharField(help_text="sequence, copy_paste or retyping.")
    steps = SeenStepSerializer(many=True)
    playbook = serializers.SlugRelatedField(slug_field="slug", read_only=True, allow_null=True)  # type: ignore[var-annotated]

    class Meta:
        model = Routine
        fields = (
            "id", "number", "kind", "family", "steps", "repeats", "people", "weeks", "median_seconds", "total_seconds",
            "share", "playbook",
        )  # fmt: skip


class LinkSerializer(serializers.ModelSerializer[ActivityLink]):
    """Where the steps of a window belong."""

    class Meta:
        model = ActivityLink
        fields = ("id", "application", "element", "event_log", "activity", "declared_by", "created_at")


class LinkBody(serializers.Serializer[Any]):
    """A declaration: an activity of an event log, the connection behind the application, or both."""

    application = serializers.CharField(max_length=80)
    element = serializers.CharField(max_length=80, required=False, allow_blank=True)
    event_log = serializers.IntegerField(required=False)
    activity = serializers.CharField(max_length=200, required=False, allow_blank=True)
    connection = serializers.CharField(max_length=60, required=False, allow_blank=True)


class FactorSerializer(serializers.Serializer[Any]):
    """One reason for how feasible it is."""

    name = serializers.CharField()
    share = serializers.FloatField()
    because = serializers.CharField()


class WhereSerializer(serializers.Serializer[Any]):
    """The activity that it belongs to."""

    event_log = serializers.IntegerField(source="log.pk")
    activity = serializers.CharField()
    count = serializers.IntegerField()
    rework = serializers.FloatField()
    waiting_seconds = serializers.FloatField(allow_null=True)


class ItemSerializer(serializers.Serializer[Item]):
    """One line of the backlog: what it costs in a month, how feasible it is, and why."""

    routine = RoutineSerializer()
    task_log = serializers.IntegerField(source="routine.log_id")
    hours_per_month = serializers.FloatField(source="hours")
    value = serializers.FloatField(help_text="Money a month at REWORK_HOURLY_RATE.")
    feasibility = serializers.FloatField()
    score = serializers.FloatField()
    factors = FactorSerializer(many=True)
    where = WhereSerializer(allow_null=True)


class BacklogSerializer(serializers.Serializer[Any]):
    """The backlog, what is worth most first; at most 500 lines."""

    results = ItemSerializer(many=True)


class DraftBody(serializers.Serializer[Any]):
    """Which kind of exception the playbook would mend."""

    kind = serializers.CharField(max_length=60)


class DraftedSerializer(serializers.Serializer[Any]):
    """The playbook that was drafted: off, and without an active version."""

    playbook = serializers.CharField()
