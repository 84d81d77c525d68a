"""How detectors look on the wire, and what may be posted to them."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from insights.detectors.models import Detector, Rehearsal


class RehearsalSerializer(serializers.ModelSerializer[Rehearsal]):
    """What a version would have raised; nothing was."""

    version = serializers.IntegerField(source="version.number")
    result = serializers.DictField(
        help_text="cooled, held, nameless, judged, weeks [[day, count]], examples, doubts, notes, precision and"
        " false_alarm_blocks {hits, n, value, low, high}"
    )

    class Meta:
        model = Rehearsal
        fields: ClassVar = ["version", "made_at", "by", "since", "until", "found", "raised", "per_week", "result"]


class DetectorSerializer(serializers.ModelSerializer[Detector]):
    """A detector with the version that stands."""

    version = serializers.SerializerMethodField()
    definition = serializers.SerializerMethodField()
    rehearsal = serializers.SerializerMethodField()

    class Meta:
        model = Detector
        fields: ClassVar = [
            *("id", "slug", "label", "log", "log_name", "business_unit", "region", "enabled", "version", "definition"),
            *("rehearsal", "next_at", "created_at", "row_version"),
        ]

    def get_version(self, detector: Detector) -> int | None:
        """Return the number of the version that stands."""
        version = detector.active
        return version.number if version else None

    @extend_schema_field(serializers.DictField())
    def get_definition(self, detector: Detector) -> dict[str, Any]:
        """Return what the detector says."""
        version = detector.active
        return dict(version.definition) if version else {}

    @extend_schema_field(RehearsalSerializer(allow_null=True))
    def get_rehearsal(self, detector: Detector) -> dict[str, Any] | None:
        """Return the last rehearsal of the version that stands."""
        version = detector.active
        last = version.rehearsals.select_related("version").first() if version else None
        return dict(RehearsalSerializer(last).data) if last else None


class DetectorBody(serializers.Serializer[Any]):
    """A new detector, or the next version of one."""

    label = serializers.CharField(max_length=120)  # type: ignore[assignment]
    definition = serializers.DictField(help_text="rule, filter, when, opens, limits; see docs/how-to/detectors.md")
    log = serializers.IntegerField(required=False, allow_null=True, help_text="The number of an event log.")
    business_unit = serializers.CharField(max_length=40, required=False, default="", allow_blank=True)
    region = serializers.CharField(max_length=40, required=False, default="", allow_blank=True)


class DetectorRevision(serializers.Serializer[Any]):
    """The next version of a detector."""

    label = serializers.CharField(max_length=120, required=False, default="", allow_blank=True)  # type: ignore[assignment]
    definition = serializers.DictField()


class SwitchBody(serializers.Serializer[Any]):
    """Why; needed where a version is switched on that was never rehearsed."""

    reason = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class RehearseBody(serializers.Serializer[Any]):
    """How far back."""

    days = serializers.IntegerField(required=False, default=90, min_value=1, max_value=3660)
