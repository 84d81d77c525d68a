"""Trackers over HTTP: send a list, see which of its changes no recorded effect accounts for, open incidents about them.

A tracker's version counts what has been found and raised of it, which only ever grows.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.parsers import MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from audit.asking import body_as
from audit.errors import Invalid
from audit.preconditions import expected_version, with_etag
from insights.mining.telling import CsvRenderer
from insights.tasklog import trackers
from insights.tasklog.access import trackers as visible_trackers
from insights.tasklog.actions import require
from insights.tasklog.models import Tracker, TrackerLine
from insights.uploads import check_size

_SHOWN = ("all", "orphans", "matched")
_ORPHAN, _MATCHED = Q(effect_id=None), Q(effect_id__isnull=False)


class TrackerSerializer(serializers.ModelSerializer[Tracker]):
    """A list that people keep beside the systems, and how much of it is accounted for."""

    lines = serializers.IntegerField(source="lines_count")
    rejected = serializers.IntegerField(source="rejected_count", help_text="Lines that tell of no change.")
    orphans = serializers.IntegerField(help_text="Lines that no recorded effect accounts for.")
    raised = serializers.IntegerField(help_text="Orphans with an incident.")

    class Meta:
        model = Tracker
        fields = (
            "id", "name", "business_unit", "region", "entity_type", "tolerance_hours", "lines", "rejected", "orphans",
            "raised", "created_at",
        )  # fmt: skip


class TrackerBody(serializers.Serializer[Any]):
    """A list to take in: CSV or JSON with columns such as who, record, change and when."""

    file = serializers.FileField(allow_empty_file=True, help_text="CSV or JSON.")
    name = serializers.CharField(max_length=120)
    entity_type = serializers.CharField(required=False, allow_blank=True, max_length=60, help_text="Such as invoice.")
    tolerance_hours = serializers.IntegerField(
        required=False, min_value=1, max_value=720, help_text="How far a change and its effect may lie apart; 24."
    )
    business_unit = serializers.CharField(required=False, allow_blank=True, max_length=40)
    region = serializers.CharField(required=False, allow_blank=True, max_length=40)


class TrackerLineSerializer(serializers.ModelSerializer[TrackerLine]):
    """One change that the list tells of, and the step whose effect it is; without one it is an orphan."""

    person = serializers.CharField(help_text="A pseudonym.")
    effect = serializers.IntegerField(source="effect_id", allow_null=True)
    incident = serializers.IntegerField(source="incident_id", allow_null=True)

    class Meta:
        model = TrackerLine
        fields = ("line", "person", "record", "change", "changed_at", "effect", "incident")


class MatchedSerializer(TrackerSerializer):
    """A tracker after it was held against what is recorded."""

    found = serializers.IntegerField(help_text="Lines that have found their effect now.")

    class Meta(TrackerSerializer.Meta):
        fields = (*TrackerSerializer.Meta.fields, "found")  # type: ignore[assignment]


class RaisedSerializer(serializers.Serializer[Any]):
    """The incident about an orphan."""

    incident = serializers.IntegerField()


class _Trackers(GenericAPIView[Tracker]):
    """The trackers that the caller may see."""

    serializer_class: Any = TrackerSerializer
    queryset = Tracker.objects.none()  # tells the schema the type of the id

    def get_queryset(self) -> QuerySet[Tracker]:
        return visible_trackers(self.request.user).annotate(
            orphans=Count("lines", filter=Q(lines__effect_id=None)),
            matched=Count("lines", filter=Q(lines__effect_id__isnull=False)),
            raised=Count("lines", filter=Q(lines__incident_id__isnull=False)),
        )

    def found(self, pk: int) -> Tracker:
        """Return the tracker with that number, or answer 404 where it is not the caller's to see."""
        return get_object_or_404(self.get_queryset(), pk=pk)

    def person(self) -> User:
        """Return who is asking, if they may bring in and change trackers. Raises ``NotAllowed``."""
        person = cast(User, self.request.user)
        require(person)
        return person

    def told(self, tracker: Tracker, status: int = 200) -> Response:
        """Answer with the tracker and its ETag."""
        return _tagged(Response(TrackerSerializer(tracker).data, status=status), tracker)

    @contextmanager
    def as_seen(self, request: Request, pk: int) -> Iterator[Tracker]:
        """Hold the tracker as the caller saw it while something is done with it. Raises ``Stale``."""
        with transaction.atomic():
            # Nobody else finds or raises anything of it meanwhile.
            get_object_or_404(Tracker.objects.select_for_update(), pk=self.found(pk).pk)
            tracker = self.found(pk)
            expected_version(request, _version(tracker))
            yield tracker


def _version(tracker: Any) -> int:
    return 1 + int(tracker.matched) + int(tracker.raised)


def _tagged(response: Response, tracker: Tracker) -> Response:
    return with_etag(response, _version(tracker))  # type: ignore[no-any-return]


class TrackerList(ListAPIView[Tracker], _Trackers):
    """Trackers, newest first; send a new one."""

    filterset_fields = ("business_unit", "region", "entity_type")
    parser_classes = (MultiPartParser,)
    # A large file is read for minutes: no transaction may be open while it arrives.
    reaches_out = True

    @extend_schema(request={"multipart/form-data": TrackerBody}, responses={201: TrackerSerializer})
    def post(self, request: Request) -> Response:
        """Take a list in and hold it against what is recorded. Names of people are replaced as it is read."""
        by = self.person()
        check_size(request)
        told = body_as(TrackerBody, request)
        file = told.pop("file")
        return self.told(self.found(trackers.take_in(file.chunks(1 << 20), by=by, **told).pk), status=201)


class TrackerDetail(_Trackers):
    """One tracker."""

    @extend_schema(responses=TrackerSerializer)
    def get(self, request: Request, pk: int) -> Response:
        """Show one tracker: how many of its lines are accounted for."""
        return self.told(self.found(pk))


class TrackerLines(ListAPIView[TrackerLine]):
    """What a tracker tells of."""

    serializer_class = TrackerLineSerializer
    queryset = TrackerLine.objects.none()
    filter_backends = ()
    renderer_classes = [JSONRenderer, CsvRenderer]
    cursor_ordering = ("line",)

    def get_queryset(self) -> QuerySet[TrackerLine]:
        tracker = get_object_or_404(visible_trackers(self.request.user), pk=self.kwargs["pk"])
        shown = self.request.query_params.get("show") or "all"
        if shown not in _SHOWN:
            raise Invalid("Some parameters cannot be meant.", {"show": [f"One of {', '.join(_SHOWN)}."]})
        wanted = {"all": Q(), "orphans": _ORPHAN, "matched": _MATCHED}[shown]
        return TrackerLine.objects.filter(wanted, tracker=tracker).order_by("line")

    @extend_schema(
        parameters=[
            OpenApiParameter("show", str, description="Which lines; without it all.", enum=_SHOWN),
            OpenApiParameter("format", str, description="csv: all of them as a file.", enum=("json", "csv")),
        ]
    )
    def get(self, request: Request, pk: int) -> Response:
        """List the lines in the file's order; as CSV all of them in one file."""
        if isinstance(getattr(request, "accepted_renderer", None), CsvRenderer):
            rows = self.get_queryset().values("line", "person", "record", "change", "changed_at")
            told = rows.annotate(effect=F("effect_id"), incident=F("incident_id"))
            return Response(list(told))
        return self.list(request, pk=pk)

    def table(self, data: Any) -> Sequence[Mapping[str, Any]]:
        """Return the rows of the CSV file."""
        return list(data)


class TrackerMatch(_Trackers):
    """A comparison with what is recorded."""

    @extend_schema(request=None, responses=MatchedSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Hold the orphans against what has been recorded since. Honours ``If-Match``."""
        self.found(pk)
        self.person()
        with self.as_seen(request, pk) as tracker:
            found = trackers.match(tracker)
        after = self.found(pk)
        return _tagged(Response({**TrackerSerializer(after).data, "found": found}), after)


class TrackerRaise(_Trackers):
    """An incident about an orphan."""

    @extend_schema(request=None, responses={201: RaisedSerializer})
    def post(self, request: Request, pk: int, line: int) -> Response:
        """Open an incident about a line that no effect accounts for; again: the same. Honours ``If-Match``."""
        self.found(pk)
        by = self.person()
        with self.as_seen(request, pk) as tracker:
            row = get_object_or_404(TrackerLine.objects.select_related("tracker"), tracker=tracker, line=line)
            incident = trackers.raise_incident(row, by=by)
        return _tagged(Response({"incident": incident.pk}, status=201), self.found(pk))
