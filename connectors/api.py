"""Connections over HTTP: what is configured, what each may do, what was called, and the switch that stops it.

A connection's version is the number of its latest entry in its history: whatever is configured anew changes it, and
neither a test nor a call does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from audit.access import has_role
from audit.asking import Asked, body_as
from audit.errors import Invalid, NotAllowed
from audit.preconditions import expected_version, with_etag
from connectors import actions, registry
from connectors.filters import CallFilter, ConnectionFilter
from connectors.models import Call, Connection
from connectors.rights import report as rights
from connectors.serializers import (
    CallSerializer,
    ConnectionBody,
    ConnectionChange,
    ConnectionLineSerializer,
    ConnectionSerializer,
    KindSerializer,
    OperationSerializer,
    StopBody,
    TestedSerializer,
    told_kind,
    told_operation,
)

READERS = ("operator", "compliance", "automation_admin", "auditor")
WORKERS = ("operator", "automation_admin")
OWNERS = ("automation_admin",)
_IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="The ETag that you saw; else 412.")


class ReadsConnections(BasePermission):
    """Those who may see the traffic with other systems."""

    message = "Connections are for operators, automation owners, compliance and auditors."

    def has_permission(self, request: Request, view: Any) -> bool:
        return has_role(request.user, *READERS)


class _Connections(Asked, GenericAPIView[Connection]):
    """The connections; everybody who may read them sees all, for they belong to no unit."""

    permission_classes = (ReadsConnections,)
    serializer_class: Any = ConnectionSerializer
    queryset = Connection.objects.none()  # tells the schema what it is about
    lookup_field = "slug"

    def get_queryset(self) -> QuerySet[Connection]:
        return _versioned(Connection.objects.select_related("owner"))

    def found(self, slug: str) -> Any:
        """Return the connection of that name with its version, or answer 404."""
        return get_object_or_404(self.get_queryset(), slug=slug)

    def by(self, *roles: str) -> User:
        """Return who is asking, if they have one of ``roles``. Raises ``NotAllowed``."""
        if not has_role(self.person, *roles):
            said = "Automation owners do this." if roles == OWNERS else "Operators and automation owners do this."
            raise NotAllowed(said)
        return self.person

    def told(self, slug: str, status: int = 200) -> Response:
        """Answer with the connection as it stands now, and its ETag."""
        row = self.found(slug)
        return with_etag(Response(ConnectionSerializer(row).data, status=status), row.version)  # type: ignore[no-any-return]


def _versioned(rows: QuerySet[Connection]) -> QuerySet[Connection]:
    history: Any = Connection.history.model
    latest = history.objects.filter(id=OuterRef("pk")).order_by("-history_id").values("history_id")[:1]
    return rows.annotate(version=Coalesce(Subquery(latest), 0))


class ConnectionList(ListAPIView[Connection], _Connections):
    """Connections by name; configure one."""

    serializer_class = ConnectionLineSerializer
    filterset_class = ConnectionFilter
    cursor_ordering = "slug"

    @extend_schema(request=ConnectionBody, responses={201: ConnectionSerializer})
    def post(self, request: Request) -> Response:
        """Configure a new system. Nothing is called yet: test it then."""
        by = self.by(*OWNERS)
        told = body_as(ConnectionBody, request)
        slug, kind = told.pop("slug"), told.pop("kind")
        with _named(kind, told):
            actions.create_connection(slug, kind, actor=by.get_username(), **_columns(told, {}))
        return self.told(slug, status=201)


class ConnectionDetail(_Connections):
    """One connection."""

    @extend_schema(responses=ConnectionSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """Show one connection; of its secrets only whether they are set."""
        return self.told(slug)

    @extend_schema(request=ConnectionChange, responses=ConnectionSerializer, parameters=[_IF_MATCH])
    def patch(self, request: Request, slug: str) -> Response:
        """Change what is named and leave the rest. Honours ``If-Match``."""
        by = self.by(*OWNERS)
        self.found(slug)
        told = body_as(ConnectionChange, request)
        with transaction.atomic():
            # Held while it is changed: what somebody else changes meanwhile is neither lost nor unseen.
            row = get_object_or_404(Connection.objects.select_for_update(), slug=slug)
            expected_version(request, self.found(slug).version)
            with _named(row.kind, told):
                actions.update_connection(row, actor=by.get_username(), **_columns(told, row.config))
        return self.told(slug)


class ConnectionTest(_Connections):
    """A try."""

    reaches_out = True

    @extend_schema(request=None, responses=TestedSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """Try the connection without changing anything, and say what was tried and what came back."""
        by = self.by(*WORKERS)
        row = self.found(slug)
        expected_version(request, row.version)
        came = actions.test_connection(row, actor=by.get_username())
        said = {"ok": came.ok, "tried": came.tried, "message": came.message, "checked_at": row.checked_at}
        return Response(TestedSerializer(said).data)


class ConnectionOperations(_Connections):
    """What a connection can do."""

    @extend_schema(responses=OperationSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        """List the operations that the connection has, each with its arguments and whether it may be used here."""
        row = self.found(slug)
        told = [
            {**told_operation(operation), "allowed": rights.allowed(row, operation)}
            for operation in registry.operations_of(row)
        ]
        return Response(OperationSerializer(told, many=True).data)


class ConnectionCalls(ListAPIView[Call]):
    """The calls of a connection, newest first; secrets never stand in them."""

    permission_classes = (ReadsConnections,)
    serializer_class = CallSerializer
    filterset_class = CallFilter
    queryset = Call.objects.none()

    def get_queryset(self) -> QuerySet[Call]:
        connection = get_object_or_404(Connection, slug=self.kwargs["slug"])
        return Call.objects.filter(connection=connection)


class ConnectionStop(_Connections):
    """The emergency stop of one connection."""

    @extend_schema(request=StopBody, responses=ConnectionSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """Let nothing be written to it any more, or stop one operation; again: the same stop."""
        by = self.by(*WORKERS)
        row = self.found(slug)
        expected_version(request, row.version)
        actions.stop_everything(actor=by.get_username(), connection=row, **body_as(StopBody, request))
        return self.told(slug)


class ConnectionResume(_Connections):
    """The end of the emergency stop of one connection."""

    @extend_schema(request=StopBody, responses=ConnectionSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """Let writing go on; 409 where nothing is stopped here."""
        by = self.by(*WORKERS)
        row = self.found(slug)
        expected_version(request, row.version)
        actions.resume(actor=by.get_username(), connection=row, **body_as(StopBody, request))
        return self.told(slug)


class ConnectionKinds(Asked):
    """The kinds of systems that can be connected."""

    permission_classes = (ReadsConnections,)
    token_scope = "connections:read"  # noqa: S105 - the name of a scope

    @extend_schema(operation_id="connection_kinds_list", responses=KindSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List every kind with its settings, secrets and operations, as JSON schemas."""
        return Response(KindSerializer([told_kind(kind) for kind in registry.KINDS.values()], many=True).data)


def _columns(told: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return what the actions take: settings joined with those that stand, people instead of names."""
    columns = dict(told)
    if "config" in told or not config:
        joined = {**config, **told.get("config", {})}
        columns["config"] = {name: value for name, value in joined.items() if value is not None}
    if "owner" in told:
        columns["owner"] = actions.owner_named(told["owner"])
    return columns


@contextmanager
def _named(kind: str, told: dict[str, Any]) -> Iterator[None]:
    """Say of what is not valid where it stands in the body. Raises ``Invalid``."""
    try:
        yield
    except Invalid as invalid:
        known = registry.KINDS.get(kind)
        settings = {*told.get("config", {}), *(known.config.model_fields if known else ())}
        secrets = {*told.get("secrets", {}), *(known.secrets if known else ())}
        places = {name: f"config.{name}" for name in settings} | {name: f"secrets.{name}" for name in secrets}
        errors = {_place(name, places): messages for name, messages in invalid.errors.items()}
        raise Invalid(str(invalid), errors) from None


def _place(name: str, places: dict[str, str]) -> str:
    first, dot, rest = name.partition(".")
    return f"{places.get(first, first)}{dot}{rest}"


api_urls: list[URLPattern] = [
    path("connections/", ConnectionList.as_view(), name="api-connections"),
    path("connections/<slug:slug>/", ConnectionDetail.as_view(), name="api-connection"),
    path("connections/<slug:slug>/test/", ConnectionTest.as_view(), name="api-connection-test"),
    path("connections/<slug:slug>/operations/", ConnectionOperations.as_view(), name="api-connection-operations"),
    path("connections/<slug:slug>/calls/", ConnectionCalls.as_view(), name="api-connection-calls"),
    path("connections/<slug:slug>/stop/", ConnectionStop.as_view(), name="api-connection-stop"),
    path("connections/<slug:slug>/resume/", ConnectionResume.as_view(), name="api-connection-resume"),
    path("connection-kinds/", ConnectionKinds.as_view(), name="api-connection-kinds"),
]
