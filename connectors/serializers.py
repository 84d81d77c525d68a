"""Connections, their operations and their calls as JSON. A secret is only ever set or not set."""

from typing import Any

from django.db.models import Q
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audit.asking import StrictBody
from connectors import registry
from connectors.base import Connector, Operation, Tell, Write
from connectors.door.models import DataClass, Label
from connectors.models import Call, Connection, EmergencyStop

SET, NOT_SET = "set", "not set"
_LONGEST_SECRET = 20_000
KINDS_OF_USE = ("read", "write", "tell")


class StopSerializer(serializers.ModelSerializer[EmergencyStop]):
    """An emergency stop that holds."""

    everywhere = serializers.SerializerMethodField()

    class Meta:
        model = EmergencyStop
        fields = ("everywhere", "operation", "reason", "actor", "started_at")

    def get_everywhere(self, stop: EmergencyStop) -> bool:
        """Whether it holds for every connection."""
        return stop.connection_id is None


class ConnectionLineSerializer(serializers.ModelSerializer[Connection]):
    """One configured system in a list."""

    version = serializers.IntegerField(help_text="Counts its changes; also its ETag.")

    class Meta:
        model = Connection
        fields = ("slug", "kind", "label", "enabled", "data_class", "team", "health", "checked_at", "version")


class ConnectionSerializer(ConnectionLineSerializer):
    """One configured system with everything that was entered, save its secrets."""

    config = serializers.DictField(help_text="As its kind's settings schema says.")
    secrets = serializers.SerializerMethodField(help_text="For each of its secrets: set, or not set.")
    hook_secret = serializers.SerializerMethodField(help_text="set, or not set.")
    operations = serializers.ListField(child=serializers.CharField(), help_text="Writes that may be used.")
    reads = serializers.ListField(child=serializers.CharField(), help_text="Reads that may be used; none: every one.")
    labels = serializers.DictField(child=serializers.ChoiceField(choices=Label.choices))
    cleared = serializers.ListField(child=serializers.ChoiceField(choices=Label.choices))
    owner = serializers.SlugRelatedField[Any](slug_field="username", read_only=True)
    stopped = serializers.SerializerMethodField()

    class Meta(ConnectionLineSerializer.Meta):
        fields = (  # type: ignore[assignment]
            *ConnectionLineSerializer.Meta.fields, "config", "secrets", "hook_secret", "operations", "reads", "poll",
            "owner", "labels", "cleared", "rate_calls", "rate_seconds", "price_call", "price_tokens", "price_currency",
            "health_message", "not_before", "stopped",
        )  # fmt: skip

    def get_secrets(self, connection: Connection) -> dict[str, str]:
        """Say of each secret that the kind has whether it is set."""
        kind = registry.KINDS.get(connection.kind)
        names = kind.secrets if kind else frozenset(connection.secrets)
        return {name: SET if name in connection.secrets else NOT_SET for name in sorted(names)}

    def get_hook_secret(self, connection: Connection) -> str:
        """Say whether the hook has a secret."""
        return SET if connection.hook_secret_digest else NOT_SET

    @extend_schema_field(StopSerializer(many=True))
    def get_stopped(self, connection: Connection) -> Any:
        """Name the emergency stops that hold here: its own, and those of everything."""
        here = EmergencyStop.objects.filter(Q(connection=None) | Q(connection=connection), ended_at=None)
        return StopSerializer(here.order_by("started_at"), many=True).data


class ConnectionChange(StrictBody):
    """What is to be changed; what is not named stays as it is."""

    label = serializers.CharField(required=False, max_length=120)  # type: ignore[assignment]
    config = serializers.DictField(required=False, help_text="Only the settings to change; null: the default again.")
    secrets = serializers.DictField(
        child=serializers.CharField(allow_blank=True, max_length=_LONGEST_SECRET, trim_whitespace=False),
        required=False, write_only=True, help_text="Only those to set anew; blank removes one. Never shown again.",
    )  # fmt: skip
    hook_secret = serializers.CharField(
        required=False, write_only=True, max_length=500, trim_whitespace=False, help_text="At least 16 letters."
    )
    operations = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, max_length=500,
        help_text="All writes that may be used; [\"*\"]: every one that it has now.",
    )  # fmt: skip
    reads = serializers.ListField(child=serializers.CharField(max_length=100), required=False, max_length=500)
    enabled = serializers.BooleanField(required=False)
    poll = serializers.BooleanField(required=False)
    owner = serializers.CharField(required=False, allow_blank=True, max_length=150, help_text="A user's name.")
    data_class = serializers.ChoiceField(required=False, choices=DataClass.choices)
    labels = serializers.DictField(
        child=serializers.ChoiceField(choices=Label.choices), required=False, help_text="All of them, by field."
    )
    cleared = serializers.ListField(child=serializers.ChoiceField(choices=Label.choices), required=False)
    team = serializers.CharField(required=False, allow_blank=True, max_length=60)
    rate_calls = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=1_000_000)
    rate_seconds = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=86_400)
    price_call = serializers.DecimalField(required=False, allow_null=True, max_digits=12, decimal_places=6)
    price_tokens = serializers.DecimalField(required=False, allow_null=True, max_digits=12, decimal_places=6)
    price_currency = serializers.CharField(required=False, allow_blank=True, max_length=3)
    reason = serializers.CharField(required=False, allow_blank=True, max_length=2_000, help_text="Why; kept for good.")


class ConnectionBody(ConnectionChange):
    """A new connection."""

    slug = serializers.SlugField(max_length=60, help_text="The name that playbooks use, such as fo or crm.")
    kind = serializers.CharField(max_length=40, help_text="One of connection-kinds.")


class StopBody(StrictBody):
    """Why something is stopped or goes on."""

    reason = serializers.CharField(max_length=2_000)
    operation = serializers.CharField(required=False, allow_blank=True, max_length=100, help_text="Only this one.")


class TestedSerializer(serializers.Serializer[Any]):
    """What a connection test tried and what came back."""

    ok = serializers.BooleanField()
    tried = serializers.ListField(child=serializers.CharField())
    message = serializers.CharField()
    checked_at = serializers.DateTimeField()


class KindOperationSerializer(serializers.Serializer[Any]):
    """One operation that a kind of system declares."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    use = serializers.ChoiceField(choices=KINDS_OF_USE)
    risk = serializers.CharField(allow_null=True, help_text="low, medium or high; of a write.")
    reversible = serializers.CharField(allow_null=True, help_text="How far its effect can be taken back; of a write.")
    financial = serializers.BooleanField(help_text="Posts money: its undo needs an approval of its own.")
    arguments = serializers.DictField(help_text="JSON schema.")


class OperationSerializer(KindOperationSerializer):
    """One operation that a connection has."""

    allowed = serializers.BooleanField(help_text="Whether it may be used here.")


class KindSerializer(serializers.Serializer[Any]):
    """One kind of system that can be connected."""

    slug = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    about = serializers.CharField()
    settings = serializers.DictField(help_text="JSON schema of config.")
    secrets = serializers.ListField(child=serializers.CharField())
    receives = serializers.BooleanField(help_text="Whether it can deliver to a hook.")
    signed_with = serializers.CharField(help_text="The secret that its deliveries are signed with; blank: none.")
    polls = serializers.BooleanField(help_text="Whether it can be asked for news.")
    tells = serializers.BooleanField(help_text="Whether it can be told of incidents.")
    operations = KindOperationSerializer(many=True)


class CallSerializer(serializers.ModelSerializer[Call]):
    """One use of an operation and what came of it, without secrets."""

    incident = serializers.IntegerField(source="incident_id", allow_null=True)
    arguments = serializers.DictField()
    answer = serializers.DictField()

    class Meta:
        model = Call
        fields = (
            "id", "operation", "direction", "actor", "incident", "effect_key", "arguments", "started_at",
            "finished_at", "outcome", "status", "requests", "request_id", "message", "answer", "tokens",
        )  # fmt: skip


def told_operation(operation: Operation) -> dict[str, Any]:
    """Return what a kind declares of an operation."""
    write = operation if isinstance(operation, Write) else None
    return {
        "name": operation.name,
        "label": operation.label or operation.name,
        "use": "write" if write else "tell" if isinstance(operation, Tell) else "read",
        "risk": write.risk.value if write else None,
        "reversible": write.reversible.value if write else None,
        "financial": bool(write and write.financial),
        "arguments": operation.arguments.model_json_schema(),
    }


def told_kind(kind: type[Connector]) -> dict[str, Any]:
    """Return what a kind of system declares of itself."""
    return {
        "slug": kind.slug,
        "label": kind.label,
        "about": " ".join((kind.__doc__ or "").split()),
        "settings": kind.config.model_json_schema(),
        "secrets": sorted(kind.secrets),
        "receives": kind.receive is not Connector.receive,
        "signed_with": kind.signed_with,
        "polls": kind.poll is not Connector.poll,
        "tells": any(isinstance(operation, Tell) for operation in kind.operations),
        "operations": [told_operation(operation) for operation in kind.operations],
    }
