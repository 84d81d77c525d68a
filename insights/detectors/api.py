"""Detectors over HTTP: make, rehearse, switch on and off."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from audit.asking import body_as
from audit.errors import Invalid
from audit.preconditions import expected_version, with_etag
from insights.detectors import actions
from insights.detectors.models import Detector
from insights.detectors.serializers import (
    DetectorBody,
    DetectorRevision,
    DetectorSerializer,
    RehearsalSerializer,
    RehearseBody,
    SwitchBody,
)
from insights.models import EventLog


class _Detectors(GenericAPIView[Detector]):
    """The detectors that the caller may see."""

    serializer_class: Any = DetectorSerializer
    queryset = Detector.objects.none()  # tells the schema the type of the id

    def get_queryset(self) -> QuerySet[Detector]:
        found: QuerySet[Detector] = Detector.objects.visible_to(self.request.user).prefetch_related("versions")
        return found

    def found(self, pk: int) -> Detector:
        """Return the detector with that number, or answer 404 where it is not the caller's to see."""
        return get_object_or_404(self.get_queryset(), pk=pk)

    def told(self, detector: Detector, status: int = 200) -> Response:
        """Answer with the detector and its ETag."""
        return with_etag(Response(DetectorSerializer(detector).data, status=status), detector.row_version)  # type: ignore[no-any-return]


class DetectorList(ListAPIView[Detector], _Detectors):
    """Detectors, newest first; make one."""

    filterset_fields = ("enabled", "log", "business_unit")

    @extend_schema(request=DetectorBody, responses={201: DetectorSerializer})
    def post(self, request: Request) -> Response:
        """Make a detector, switched off. Rehearse it, then enable it."""
        told = body_as(DetectorBody, request)
        number = told.pop("log", None)
        log = EventLog.objects.visible_to(request.user).filter(pk=number).first() if number is not None else None
        if number is not None and log is None:
            raise Invalid("There is no such log.", {"log": ["There is no log of this number."]})
        return self.told(actions.create(by=request.user, log=log, **told), status=201)


class DetectorDetail(_Detectors):
    """One detector."""

    @extend_schema(responses=DetectorSerializer)
    def get(self, request: Request, pk: int) -> Response:
        """Show one detector with the version that stands and its last rehearsal."""
        return self.told(self.found(pk))

    @extend_schema(request=DetectorRevision, responses=DetectorSerializer)
    def put(self, request: Request, pk: int) -> Response:
        """Write the next version; the detector is switched off until that one is enabled. Honours ``If-Match``."""
        detector = self.found(pk)
        seen = expected_version(request, detector.row_version)
        actions.revise(detector, by=request.user, if_version=seen, **body_as(DetectorRevision, request))
        return self.told(self.found(pk))


class DetectorRehearse(_Detectors):
    """A look into the past."""

    reaches_out = True  # a saved query is asked

    @extend_schema(request=RehearseBody, responses={201: RehearsalSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Show what the version that stands would have raised. Nothing is raised."""
        made = actions.rehearse_now(self.found(pk), by=request.user, **body_as(RehearseBody, request))
        return Response(RehearsalSerializer(made).data, status=201)


class DetectorEnable(_Detectors):
    """On."""

    @extend_schema(request=SwitchBody, responses=DetectorSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Switch it on. The version must have been rehearsed, or a reason is needed. Honours ``If-Match``."""
        detector = self.found(pk)
        seen = expected_version(request, detector.row_version)
        return self.told(actions.enable(detector, by=request.user, if_version=seen, **body_as(SwitchBody, request)))


class DetectorDisable(_Detectors):
    """Off."""

    @extend_schema(request=SwitchBody, responses=DetectorSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Switch it off; what it opened stays. Honours ``If-Match``."""
        detector = self.found(pk)
        seen = expected_version(request, detector.row_version)
        return self.told(actions.disable(detector, by=request.user, if_version=seen, **body_as(SwitchBody, request)))
