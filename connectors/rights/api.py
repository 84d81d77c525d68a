"""Rights over HTTP: which operations and secrets of a connection are used, and which could go. Nothing is changed."""

from typing import Any

from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.asking import Asked
from connectors.api import ReadsConnections
from connectors.door import credential_uses
from connectors.models import Connection
from connectors.rights import report as rights
from connectors.rights import wording as rights_pages

_DAYS = OpenApiParameter("days", int, description=f"How far to look back, 1 to {rights.MOST_DAYS}; {rights.DAYS}.")


class NamedSerializer(serializers.Serializer[Any]):
    """Something in use that names an operation."""

    by = serializers.CharField(help_text="playbook, exception kind, detector, subscription …")
    name = serializers.CharField()
    url = serializers.CharField()


class RightSerializer(serializers.Serializer[Any]):
    """One operation and what is to be thought of it."""

    operation = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    use = serializers.ChoiceField(choices=("read", "write", "tell"))
    state = serializers.ChoiceField(choices=[state.value for state in rights.ORDER])
    allowed = serializers.BooleanField()
    allowed_since = serializers.DateTimeField(allow_null=True)
    calls = serializers.IntegerField(help_text="In that time, without those that our own rules refused.")
    refused = serializers.IntegerField(help_text="By our own rules, in that time.")
    last_used_at = serializers.DateTimeField(allow_null=True)
    last_looked_at = serializers.DateTimeField(allow_null=True, help_text="When a write's record was last looked at.")
    named_by = NamedSerializer(many=True)
    takes_back = serializers.ListField(child=serializers.CharField(), help_text="Operations in use that it undoes.")
    needs = serializers.ListField(child=serializers.CharField(), help_text="Rights in the source system.")


class CredentialSerializer(serializers.Serializer[Any]):
    """One secret, without its value."""

    name = serializers.CharField()
    set = serializers.BooleanField()
    set_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="To the hour.")
    unused = serializers.BooleanField(help_text="Set for all that time and never taken.")


class GrantSerializer(serializers.Serializer[Any]):
    """A right in the source system and the operations that need it."""

    right = serializers.CharField()
    operations = serializers.ListField(child=serializers.CharField())


class GrantsSerializer(serializers.Serializer[Any]):
    """What has to be granted in the source system, and no more."""

    always = serializers.ListField(child=serializers.CharField())
    rights = GrantSerializer(many=True)


class RightsSerializer(serializers.Serializer[Any]):
    """The rights of one connection."""

    connection = serializers.CharField()
    days = serializers.IntegerField()
    since = serializers.DateTimeField()
    log_since = serializers.DateTimeField(allow_null=True, help_text="How far the log of calls reaches back.")
    complete = serializers.BooleanField(help_text="Whether all calls are counted; until then nothing is called unused.")
    rights = RightSerializer(many=True)
    credentials = CredentialSerializer(many=True)
    grants = GrantsSerializer()


class RightsLineSerializer(serializers.Serializer[Any]):
    """How many rights of one connection are in which state."""

    connection = serializers.CharField()
    counts = serializers.DictField(child=serializers.IntegerField())
    unused = serializers.ListField(child=serializers.CharField(), help_text="Operations that can go.")
    unused_credentials = serializers.ListField(child=serializers.CharField())


class _Rights(Asked):
    permission_classes = (ReadsConnections,)
    token_scope = "connections:read"  # noqa: S105 - the name of a scope


class ConnectionRights(_Rights):
    """The rights of one connection."""

    @extend_schema(responses=RightsSerializer, parameters=[_DAYS])
    def get(self, request: Request, slug: str) -> Response:
        """Say of each operation and secret whether it is used, what names it, and what it needs over there."""
        connection = get_object_or_404(Connection, slug=slug)
        days = rights_pages.days_of(request.query_params.get("days", ""))
        secrets = credential_uses.credentials(connection, days)
        return Response(RightsSerializer(rights_pages.told(rights.report(connection, days), secrets)).data)


class ConnectionsRights(_Rights):
    """The rights of all connections."""

    @extend_schema(operation_id="connection_rights_list", responses=RightsLineSerializer(many=True), parameters=[_DAYS])
    def get(self, request: Request) -> Response:
        """Count, for every connection, its rights by state, and name those that can go."""
        days = rights_pages.days_of(request.query_params.get("days", ""))
        lines = [
            {
                "connection": one.connection.slug,
                "counts": {state.value: count for state, count in one.counts.items()},
                "unused": [right.name for right in one.removable],
                "unused_credentials": [
                    secret.name for secret in credential_uses.credentials(one.connection, days) if secret.unused
                ],
            }
            for one in rights.reports(Connection.objects.order_by("slug"), days)
        ]
        return Response(RightsLineSerializer(lines, many=True).data)


api_urls: list[URLPattern] = [
    path("connections/<slug:slug>/rights/", ConnectionRights.as_view(), name="api-connection-rights"),
    path("connection-rights/", ConnectionsRights.as_view(), name="api-connections-rights"),
]
