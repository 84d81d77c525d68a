"""Whose records the cases of a log are, for programs."""

from typing import Any, cast

from django.contrib.auth.models import User
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from audit.errors import NotAllowed
from audit.strictjson import StrictJSONParser
from insights.access import may_act
from insights.eventlog import sources
from insights.models import EventLog


class RecordsSerializer(serializers.Serializer[Any]):
    """Which records the cases are: a connection, what it calls them, where the key stands, what stands before it."""

    connection = serializers.CharField(max_length=60, allow_blank=True, help_text="Blank: no longer said.")
    entity = serializers.CharField(required=False, allow_blank=True, max_length=120)
    key = serializers.CharField(
        required=False, allow_blank=True, max_length=200, help_text="An attribute of the log; blank: the case itself."
    )
    prefix = serializers.CharField(
        required=False, allow_blank=True, max_length=60, trim_whitespace=True,
        help_text="What stands before the key, such as a company and a slash.",
    )  # fmt: skip


class LogRecords(GenericAPIView[EventLog]):
    """Whose records the cases of a log are."""

    serializer_class: Any = RecordsSerializer
    queryset = EventLog.objects.none()  # tells the schema the type of the id
    parser_classes = (StrictJSONParser,)

    def found(self, pk: int) -> EventLog:
        """Return the log with that number, or answer 404 where it is not the caller's to see."""
        return get_object_or_404(EventLog.objects.visible_to(self.request.user), pk=pk)

    @extend_schema(responses=RecordsSerializer)
    def get(self, request: Request, pk: int) -> Response:
        """Tell which records the cases are, blank where nobody has said."""
        return self._told(self.found(pk))

    @extend_schema(request=RecordsSerializer, responses=RecordsSerializer)
    def put(self, request: Request, pk: int) -> Response:
        """Say which records the cases are; each case then names its record, with a link where one is known."""
        log = self.found(pk)
        if not may_act(request.user):
            raise NotAllowed("Saying whose records a log tells of takes the role operator or automation_admin.")
        body = RecordsSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        person = cast(User, request.user)
        return self._told(sources.bind(log, body.validated_data, actor=person.get_username()))

    def _told(self, log: EventLog) -> Response:
        return Response({name: log.records.get(name, "") for name in sources.FIELDS})
