"""Views that fail in every way, mounted beside the real addresses for the tests of the API root."""

from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, ValidationError
from django.db import OperationalError, transaction
from django.http import Http404
from django.urls import path
from pydantic import BaseModel
from rest_framework import exceptions, serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.actions import LedgerUnavailable, record
from audit.errors import IllegalMove, Invalid, NotAllowed, Stale
from audit.models import BusinessUnit
from config.urls import handler400, handler403, handler404, handler500  # noqa: F401 - Django looks for them here
from config.urls import urlpatterns as real


class Amount(BaseModel):
    """A body with a field that may be wrong."""

    value: int


class Deep(serializers.Serializer):
    """Nested fields that may be wrong."""

    name = serializers.CharField()
    lines = serializers.ListField(child=serializers.DictField(child=serializers.IntegerField()))


def _pydantic() -> None:
    Amount.model_validate({"value": "x"})


def _deep() -> None:
    Deep(data={"lines": [{"a": 1}, {"a": "x"}]}).is_valid(raise_exception=True)


def _raise(error: Exception) -> Any:
    def fail() -> None:
        raise error

    return fail


FAILURES: dict[str, Any] = {
    "illegal": _raise(IllegalMove("An incident that is resolved cannot be held.")),
    "stale": _raise(Stale("Version 4 stands now.")),
    "not-allowed": _raise(NotAllowed("Only operators may.")),
    "invalid": _raise(Invalid("No.", {"reason": ["Say why."]})),
    "ledger": _raise(LedgerUnavailable("the table is gone: secret detail")),
    "busy": _raise(OperationalError("database is locked: secret detail")),
    "pydantic": _pydantic,
    "deep": _deep,
    "django": _raise(ValidationError({"slug": ["Taken."]})),
    "django-list": _raise(ValidationError(["Wrong."])),
    "drf-list": _raise(exceptions.ValidationError(["Wrong."])),
    "gone": _raise(Http404("secret detail")),
    "denied": _raise(PermissionDenied("Not yours.")),
    "big": _raise(RequestDataTooBig("x")),
    "throttled": _raise(exceptions.Throttled(wait=12.2)),
    "unauthenticated": _raise(exceptions.NotAuthenticated()),
    "broken": _raise(ZeroDivisionError("secret detail")),
}


class Fail(APIView):
    """Fails as asked."""

    def get(self, request: Request, how: str) -> Response:
        FAILURES[how]()
        return Response({})


class Units(APIView):
    """Makes a unit and answers with it; ``then`` says how it ends."""

    def post(self, request: Request) -> Response:
        told: Any = request.data
        with transaction.atomic():
            unit = BusinessUnit.objects.create(slug=told["slug"], name="x")
            record("businessunit.added", actor=request.user.get_username(), target=unit)
        then = told.get("then")
        if then == "break":
            raise ZeroDivisionError
        if then in FAILURES:
            FAILURES[then]()
        return Response({"id": unit.pk}, status=201, headers={"ETag": '"1"', "Location": f"/units/{unit.pk}/"})

    def put(self, request: Request) -> Response:
        return self.post(request)


class Abroad(Units):
    """Makes a unit and reaches out to another system meanwhile: no transaction may be open then."""

    reaches_out = True
    calls = 0

    def post(self, request: Request) -> Response:
        type(self).calls += 1
        with transaction.atomic(durable=True):
            pass
        return super().post(request)


class Echo(APIView):
    """Answers with what was sent."""

    def post(self, request: Request) -> Response:
        return Response({"data": request.data})


class Upload(APIView):
    """Takes a file."""

    parser_classes = (MultiPartParser,)

    def post(self, request: Request) -> Response:
        return Response({"files": len(request.FILES)}, status=201)


class Hook(APIView):
    """Counts units, as a hook would."""

    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Request) -> Response:
        BusinessUnit.objects.create(slug=f"u{BusinessUnit.objects.count()}", name="x")
        return Response({"units": BusinessUnit.objects.count()})


urlpatterns = [
    path("api/v1/probe/fail/<str:how>/", Fail.as_view()),
    path("api/v1/probe/units/", Units.as_view()),
    path("api/v1/probe/abroad/", Abroad.as_view()),
    path("api/v1/probe/echo/", Echo.as_view()),
    path("api/v1/hooks/probe/", Hook.as_view()),
    path("api/v1/hooked/", Upload.as_view()),
    *real,
]
