"""Event logs over HTTP: send a file, say what its columns are, see what became of it."""

from typing import Any, cast

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from audit.asking import body_as
from audit.errors import Invalid, NotAllowed
from audit.models import BusinessUnit
from audit.strictjson import StrictJSONParser
from insights import actions, storage
from insights.access import may_act
from insights.eventlog.looking import look
from insights.eventlog.serializers import (
    LogDetailSerializer,
    LogSerializer,
    MappingBody,
    PreviewSerializer,
    ReceivedSerializer,
    UploadBody,
)
from insights.eventlog.shapes import Mapping
from insights.models import EventLog
from insights.uploads import check_size, mapping_of


class _Logs(GenericAPIView[EventLog]):
    """The event logs that the caller may see."""

    serializer_class: Any = LogDetailSerializer
    queryset = EventLog.objects.none()  # tells the schema the type of the id

    def get_queryset(self) -> QuerySet[EventLog]:
        return EventLog.objects.visible_to(self.request.user)

    def found(self, pk: int) -> EventLog:
        """Return the log with that number, or answer 404 where it is not the caller's to see."""
        return get_object_or_404(self.get_queryset(), pk=pk)

    def owner(self) -> User:
        """Return who is asking, if they may bring in and change logs. Raises ``NotAllowed``."""
        if not may_act(self.request.user):
            raise NotAllowed("Bringing in event logs takes the role operator or automation_admin.")
        return cast(User, self.request.user)

    def received(self, log: EventLog) -> Response:
        """Answer that a worker will see to it."""
        return Response(ReceivedSerializer({"id": log.pk, "state": log.state}).data, status=202)


class LogList(ListAPIView[EventLog], _Logs):
    """Event logs, newest first; send a new one."""

    serializer_class = LogSerializer
    filterset_fields = ("state", "process", "origin", "business_unit")
    parser_classes = (MultiPartParser,)
    # A large file is read for minutes: no transaction may be open while it arrives.
    reaches_out = True

    @extend_schema(request={"multipart/form-data": UploadBody}, responses={202: ReceivedSerializer})
    def post(self, request: Request) -> Response:
        """Take in a file as a new event log; it is imported by a worker. Follow `state` until `ready`."""
        person = self.owner()
        check_size(request)
        told = body_as(UploadBody, request)
        file = told["file"]
        _check_unit(person, told.get("business_unit", ""), told.get("region", ""))
        log = actions.receive(
            file.chunks(1 << 20),
            name=told["name"],
            actor=person.get_username(),
            file_name=file.name or "",
            mapping=mapping_of(told.get("mapping", ""), wanted="an object with case, activity and timestamp"),
            uploaded_by=person,
            look_first=told.get("look_first", False),
            **{key: told.get(key, "") for key in ("object_type", "process", "business_unit", "region")},
        )
        return self.received(log)


def _check_unit(person: User, unit: str, region: str) -> None:
    """Raise ``Invalid`` for a unit that does not exist or is not the person's own."""
    if not unit and not region:
        return
    if unit and not BusinessUnit.objects.filter(slug=unit).exists():
        raise Invalid("No such business unit.", {"business_unit": ["There is no such business unit."]})
    # The same condition that decides who sees a row, asked of a row that does not exist yet.
    outside = EventLog(business_unit=unit, region=region)
    if not person.is_superuser and not _fits(person, outside):
        raise Invalid("Not your unit.", {"business_unit": ["You do not work for this unit and region."]})


def _fits(person: Any, row: EventLog) -> bool:
    scope = getattr(person, "scope", None)
    if scope is None:
        return False
    pairs = ((row.business_unit, scope.business_units), (row.region, scope.regions))
    return all(not value or "*" in allowed or value in allowed for value, allowed in pairs)


class LogDetail(_Logs):
    """One event log."""

    @extend_schema(responses=LogDetailSerializer)
    def get(self, request: Request, pk: int) -> Response:
        """Show one event log: how far its import is, what it holds, which lines were refused and why."""
        return Response(LogDetailSerializer(self.found(pk)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Remove an event log with all its files."""
        person, log = self.owner(), self.found(pk)
        actions.delete(log, actor=person.get_username())
        return Response(status=204)


class LogMapping(_Logs):
    """Say which column is what."""

    parser_classes = (StrictJSONParser,)

    @extend_schema(request=MappingBody, responses={202: ReceivedSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Say which column is what, and import the log with it; also again with another mapping or object type."""
        person, log = self.owner(), self.found(pk)
        told = dict(request.data) if isinstance(request.data, dict) else {}
        object_type = told.pop("object_type", "")
        if not isinstance(object_type, str):
            raise Invalid("The object type is no text.", {"object_type": ["Give a text."]})
        return self.received(
            actions.set_mapping(log, told, actor=person.get_username(), object_type=object_type or log.object_type)
        )


class LogPreview(_Logs):
    """What the file looks like."""

    @extend_schema(
        responses=PreviewSerializer,
        parameters=[OpenApiParameter("object_type", str, description="Of OCEL: which objects would be the cases.")],
    )
    def get(self, request: Request, pk: int) -> Response:
        """Show the first 20 rows of the file and what its columns seem to be; of XES and OCEL what is inside."""
        log = self.found(pk)
        given = storage.given(log)
        if not given.exists():
            raise Invalid("This log did not come as a file.", {"file": ["There is no file to look at."]})
        object_type = request.query_params.get("object_type", "")[:120] or log.object_type
        seen = look(given, Mapping.of(log.mapping), inside=True, object_type=object_type)
        guess = seen.guess
        return Response(
            PreviewSerializer(
                {
                    "format": seen.format,
                    "columns": seen.columns,
                    "rows": seen.rows,
                    "mapping": {**(guess.mapping.as_json() if guess else {}), **log.mapping},
                    "confidence": guess.confidence if guess else {},
                    "sure": guess is None or guess.sure,
                    "object_types": seen.object_types,
                    "error": seen.error,
                    "inside": seen.inside,
                }
            ).data
        )
