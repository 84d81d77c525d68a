"""An entry of the ledger as JSON."""

import json
from typing import Any, ClassVar

from rest_framework import serializers

from audit.models import Entry


class TargetSerializer(serializers.Serializer):  # type: ignore[type-arg]
    """What was acted on."""

    type = serializers.CharField(source="target_type")
    id = serializers.CharField(source="target_id")


class SourceSerializer(serializers.Serializer):  # type: ignore[type-arg]
    """Where the action came from."""

    channel = serializers.CharField()
    request_id = serializers.CharField()
    address = serializers.CharField()
    token = serializers.CharField()


class EntrySerializer(serializers.ModelSerializer[Entry]):
    """One line of the ledger, with what changed and the two hashes that chain it."""

    target = TargetSerializer(source="*")
    origin = SourceSerializer(source="*")
    incident = serializers.IntegerField(source="incident_id", allow_null=True)
    before = serializers.SerializerMethodField()
    after = serializers.SerializerMethodField()
    data = serializers.SerializerMethodField()  # type: ignore[assignment] # a field of this name hides nothing in use

    class Meta:
        model = Entry
        fields: ClassVar = [
            *("n", "at", "actor", "verb", "target", "incident", "business_unit", "region", "reason"),
            *("before", "after", "data", "origin", "previous_hash", "hash"),
        ]

    def get_before(self, entry: Entry) -> dict[str, Any]:
        """Fields as they were."""
        return part_of(entry, "before")

    def get_after(self, entry: Entry) -> dict[str, Any]:
        """Fields as they became."""
        return part_of(entry, "after")

    def get_data(self, entry: Entry) -> dict[str, Any]:
        """Whatever else the entry tells."""
        return part_of(entry, "data")


def body_of(entry: Entry) -> dict[str, Any]:
    """Return what an entry's body says. The text itself is what was hashed."""
    said: dict[str, Any] = json.loads(entry.body)
    return said


def part_of(entry: Entry, name: str) -> dict[str, Any]:
    """Return one part of an entry's body, empty where it tells nothing of it."""
    part: dict[str, Any] = body_of(entry).get(name, {})
    return part
