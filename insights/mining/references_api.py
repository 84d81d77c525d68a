"""The reference models of a log for programs: listed, and given as paths or as a BPMN file."""

from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from audit.errors import Invalid, NotAllowed
from audit.strictjson import StrictJSONParser
from insights.access import may_act
from insights.mining.actions import give_reference
from insights.mining.bpmn import MOST_BYTES
from insights.mining.models import ReferenceModel
from insights.models import EventLog


class ReferenceModelSerializer(serializers.ModelSerializer[ReferenceModel]):
    """A reference model: what may follow what, where it may begin and end, what must not be left out."""

    content = serializers.JSONField()

    class Meta:
        model = ReferenceModel
        fields: ClassVar = ["id", "name", "source", "content", "digest", "created_at"]


class ReferenceBody(serializers.Serializer[Any]):
    """What is posted: ``paths``, or ``file`` (multipart, BPMN 2.0), and ``duties`` as pairs of activities."""

    name = serializers.CharField(max_length=120)
    paths = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField(max_length=1000)), required=False
    )
    file = serializers.FileField(required=False)
    duties = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField(max_length=1000)), required=False
    )


class ReferenceModels(generics.ListAPIView[ReferenceModel]):
    """The reference models of a log, the newest first, which is the one that counts."""

    serializer_class = ReferenceModelSerializer
    queryset = ReferenceModel.objects.none()
    filter_backends = ()
    parser_classes = (StrictJSONParser, MultiPartParser)

    def get_queryset(self) -> Any:
        if getattr(self, "swagger_fake_view", False):
            return ReferenceModel.objects.none()
        return ReferenceModel.objects.filter(log=self.log())

    def log(self) -> EventLog:
        """Return the log, or answer 404 where it is not the caller's to see."""
        return get_object_or_404(EventLog.objects.visible_to(self.request.user), pk=self.kwargs["pk"])

    @extend_schema(
        request={"application/json": ReferenceBody, "multipart/form-data": ReferenceBody},
        responses={201: ReferenceModelSerializer},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Give the log a reference model: declared paths, or a simple BPMN 2.0 file."""
        log = self.log()
        if not may_act(request.user):
            raise NotAllowed("Only operators and automation owners give reference models.")
        body = ReferenceBody(data=request.data)
        body.is_valid(raise_exception=True)
        told = body.validated_data
        file = told.get("file")
        if file is not None and file.size > MOST_BYTES:
            raise Invalid("The file is too large.", {"file": [f"At most {MOST_BYTES // 1024 // 1024} MB."]})
        person: Any = request.user
        row = give_reference(
            log,
            name=told["name"],
            by=person if isinstance(person, User) else request.user,
            paths=told.get("paths"),
            bpmn=file.read() if file is not None else None,
            duties=told.get("duties"),
        )
        return Response(ReferenceModelSerializer(row).data, status=201)
