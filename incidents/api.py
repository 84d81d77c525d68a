"""Incidents for programs: found, read whole, and worked on."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, cast

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response

from audit.asking import Asked
from audit.errors import IllegalMove, Invalid, NotAllowed
from audit.history import changes_of
from audit.preconditions import expected_version, with_etag
from incidents import actions
from incidents.contributions import contribute, contribute_happenings, contribute_waiting, parts_of
from incidents.filters import IncidentFilter, shown_to
from incidents.models import Evidence, Incident, Merge
from incidents.paging import ORDERS, KeysetCursor, ListCursor
from incidents.serializers import (
    AssignBody,
    CommentBody,
    CommentSerializer,
    CorrectBody,
    EvidenceSerializer,
    HappeningSerializer,
    HistoryLineSerializer,
    IncidentActBody,
    IncidentDetailSerializer,
    IncidentSerializer,
    MergeBody,
)
from incidents.timeline import timeline_of

__all__ = ["contribute", "contribute_happenings", "contribute_waiting"]
_ORDERING = OpenApiParameter(
    "ordering",
    description="With - for the largest first: -severity is the most severe first, due the next to be late.",
    enum=[*ORDERS, *(f"-{name}" for name in ORDERS)],
)


class _Incidents(Asked, generics.GenericAPIView[Incident]):
    """The incidents that the caller may see."""

    serializer_class: Any = IncidentDetailSerializer
    queryset = Incident.objects.none()

    def get_queryset(self) -> QuerySet[Incident]:
        return shown_to(self.request.user)

    def found(self, pk: int) -> Incident:
        """Return the incident with that number, or answer 404 where it is not the caller's to see."""
        return get_object_or_404(Incident.objects.visible_to(self.request.user), pk=pk)

    def answer(self, pk: int) -> Response:
        """Show the incident as it stands now, with its version."""
        incident = get_object_or_404(self.get_queryset(), pk=pk)
        parts = parts_of(incident, self.request.user)
        body = IncidentDetailSerializer(incident, context={"parts": parts}).data
        return cast(Response, with_etag(Response(body), incident.row_version))


class IncidentList(generics.ListAPIView[Incident], _Incidents):
    """Incidents that you may see, newest first."""

    serializer_class = IncidentSerializer
    filterset_class = IncidentFilter
    pagination_class = KeysetCursor

    @extend_schema(parameters=[_ORDERING])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List the incidents that you may see, newest first unless `ordering` says otherwise."""
        return super().get(request, *args, **kwargs)


class IncidentDetail(_Incidents):
    """One incident: where it stands, its cause, its plan, and what came of it."""

    @extend_schema(responses=IncidentDetailSerializer)
    def get(self, request: Request, pk: int) -> Response:
        """Show one incident with its cause, plan, approval, execution and outcome."""
        return self.answer(pk)


class IncidentEvidence(generics.ListAPIView[Evidence]):
    """The signals and records that an incident rests on, as they stood; never changed."""

    serializer_class = EvidenceSerializer
    queryset = Evidence.objects.none()
    filterset_fields = ("form", "name", "round")
    cursor_ordering = "id"

    def get_queryset(self) -> QuerySet[Evidence]:
        if getattr(self, "swagger_fake_view", False):
            return Evidence.objects.none()
        incident = get_object_or_404(Incident.objects.visible_to(self.request.user), pk=self.kwargs["pk"])
        return incident.evidence.all()


class _Lines(_Incidents):
    """Lists that are put together here."""

    pagination_class = ListCursor
    filter_backends = ()

    def page(self, lines: list[Any]) -> Response:
        """Answer one page of ``lines``."""
        cursor = ListCursor()
        page = cursor.paginate_list(lines, self.request)
        return cursor.get_paginated_response(self.serializer_class(page, many=True).data)


class IncidentTimeline(_Lines):
    """Everything that happened to an incident, in order."""

    serializer_class = HappeningSerializer

    @extend_schema(operation_id="incidents_timeline_list", responses=HappeningSerializer(many=True))
    def get(self, request: Request, pk: int) -> Response:
        """Tell signals, ledger entries, comments, escalations, approvals and executions, oldest first."""
        return self.page([asdict(line) for line in timeline_of(self.found(pk), self.person)])


class IncidentHistory(_Lines):
    """Field-level changes of an incident."""

    serializer_class = HistoryLineSerializer

    @extend_schema(operation_id="incidents_history_list", responses=HistoryLineSerializer(many=True))
    def get(self, request: Request, pk: int) -> Response:
        """Tell the latest 200 changes field by field, newest first."""
        return self.page([asdict(line) for line in changes_of(self.found(pk))])


class _Act(_Incidents):
    """Something that a person does to an incident. Honours ``If-Match``."""

    body_class: type[IncidentActBody] = IncidentActBody

    def read(self, request: Request, incident: Incident) -> dict[str, Any]:
        """Return what was posted, with who posted it and the version that must stand."""
        body = self.body_class(data=request.data)
        body.is_valid(raise_exception=True)
        version = expected_version(request, incident.row_version)
        return {**body.validated_data, "by": self.person, "if_version": version}


class _Simple(_Act):
    """An action that takes a reason and no more."""

    act: Callable[..., Any]

    @extend_schema(request=IncidentActBody, responses=IncidentDetailSerializer)
    def post(self, request: Request, pk: int) -> Response:
        incident = self.found(pk)
        type(self).act(incident, **self.read(request, incident))
        return self.answer(pk)


class Acknowledge(_Simple):
    """Say that you have seen it: the clock to acknowledge stops."""

    act = actions.acknowledge


class Hold(_Simple):
    """Let it rest: the loop stops and the clock stands still until it is released. Needs a reason."""

    act = actions.hold


class Release(_Simple):
    """Let the loop go on with a held incident."""

    act = actions.release


class Dismiss(_Simple):
    """Close it without a mend. Needs a reason."""

    act = actions.dismiss


class Reopen(_Simple):
    """Take a closed incident up again. Needs a reason."""

    act = actions.reopen


class Assign(_Act):
    """Give it to a person, or to nobody."""

    body_class = AssignBody

    @extend_schema(request=AssignBody, responses=IncidentDetailSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Assign the incident to somebody who may see it and work on it; null takes it from whoever has it."""
        incident = self.found(pk)
        told = self.read(request, incident)
        actions.assign(incident, to=_named(told.pop("assignee")), **told)
        return self.answer(pk)


class Correct(_Act):
    """Set its severity or domain right."""

    body_class = CorrectBody

    @extend_schema(request=CorrectBody, responses=IncidentDetailSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Set severity, domain or both, for a reason; the rules leave them alone from then on."""
        incident = self.found(pk)
        actions.correct(incident, **self.read(request, incident))
        return self.answer(pk)


class MergeInto(_Act):
    """Fold it into another incident."""

    body_class = MergeBody

    @extend_schema(request=MergeBody, responses=IncidentDetailSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Fold the incident into another one, which keeps the signals of both."""
        folded = self.found(pk)
        told = self.read(request, folded)
        kept = Incident.objects.visible_to(self.person).filter(pk=told.pop("into")).first()
        if kept is None:
            raise Invalid("There is no such incident to merge into.", {"into": ["No incident that you may see."]})
        actions.merge(kept, folded, **told)
        return self.answer(pk)


class Unmerge(_Act):
    """Take a merge apart exactly."""

    @extend_schema(request=IncidentActBody, responses=IncidentDetailSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Give an incident that was merged into another its signals and its state back."""
        folded = self.found(pk)
        told = self.read(request, folded)
        merge = Merge.objects.filter(folded=folded, unmerged_at=None).select_related("kept").first()
        if merge is None:
            raise IllegalMove(f"{folded} is not merged into another incident.")
        if not Incident.objects.visible_to(self.person).filter(pk=merge.kept_id).exists():
            raise NotAllowed("The incident that it was merged into is not yours to see, so not yours to change.")
        actions.unmerge(merge, by=told["by"], reason=told["reason"])
        return self.answer(pk)


class CommentOn(_Act):
    """Write something about it."""

    body_class = CommentBody

    @extend_schema(request=CommentBody, responses={201: CommentSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Write a comment; it stands in the timeline."""
        incident = self.found(pk)
        written = actions.comment(incident, **self.read(request, incident))
        return Response(CommentSerializer(written).data, status=201)


def _named(username: str | None) -> User | None:
    if username is None:
        return None
    person = User.objects.filter(username=username, is_active=True).first()
    if person is None:
        raise Invalid(f"There is nobody called {username}.", {"assignee": ["No active person has this username."]})
    return person
