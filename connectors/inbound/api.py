"""The hooks: where other systems deliver, each with its own format and its own secret."""

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpResponse
from django.http.request import UnreadablePostError
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from connectors.inbound import handshakes, webhooks

ANSWER = inline_serializer(
    "DeliveryAccepted", {"accepted": serializers.IntegerField(), "repeated": serializers.IntegerField()}
)
ANSWERS = {
    202: OpenApiResponse(ANSWER, "Kept. `repeated` had been told before and added nothing."),
    400: OpenApiResponse(description="Not this system's format, or not strict JSON."),
    401: OpenApiResponse(description="The secret is missing or not right."),
    403: OpenApiResponse(description="The connection is disabled."),
    404: OpenApiResponse(description="No such connection."),
    413: OpenApiResponse(description="Too large, or too many events at once."),
    415: OpenApiResponse(description="Compressed: send the body as it is."),
}


class AnyFormat(BaseParser):
    """Leaves the body alone: each system has its own format, and it is read only after the secret was checked."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> dict[str, Any]:
        """Return nothing; the view reads the bytes."""
        return {}


class Hook(APIView):
    """Where a system delivers, its secret in a header (``X-Goldseam-Secret``, Bearer or Basic) or in the path."""

    # The connection's own secret decides, no person and no token.
    authentication_classes = ()
    permission_classes = ()
    parser_classes = (AnyFormat,)

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """Answer a sender of CloudEvents that asks before it sends; anybody else hears what is taken here."""
        connection = webhooks.connection_to_ask(str(kwargs["slug"]), kwargs.get("secret"))
        consent = handshakes.consent(connection, request.headers)
        if consent is None:
            return super().options(request, *args, **kwargs)
        self.headers = {**self.headers, "Allow": "POST"}
        return Response(headers=consent)

    @extend_schema(
        operation_id="hooks_deliver", request=OpenApiTypes.OBJECT, responses=ANSWERS, auth=[], tags=["hooks"]
    )
    def post(self, request: Request, slug: str, secret: str | None = None) -> HttpResponseBase:
        """Keep what a system delivers. Answered after the commit: 202 means that it is kept."""
        given = webhooks.secret_of(request.headers) if secret is None else secret
        connection = webhooks.connection_of_hook(slug, given, in_path=secret is not None)
        webhooks.plain_only(request.headers)
        body = _body(request)
        webhooks.proven(connection, body, request.headers)
        received = webhooks.receive(connection, body, request.headers)
        if (wanted := webhooks.answer(connection, body, request.headers)) is not None:
            return HttpResponse(wanted.body, content_type=wanted.content_type, status=wanted.status)
        return Response({"accepted": received.accepted, "repeated": received.repeated}, status=202)


class HookWithSecret(Hook):
    """The same with the secret as the last part of the path, for systems that can send no header."""

    @extend_schema(
        operation_id="hooks_deliver_secret", request=OpenApiTypes.OBJECT, responses=ANSWERS, auth=[], tags=["hooks"]
    )
    def post(self, request: Request, slug: str, secret: str | None = None) -> HttpResponseBase:
        """Keep what a system delivers that can send no header."""
        return super().post(request, slug, secret)


def _body(request: Request) -> bytes:
    try:
        return request.body
    except RequestDataTooBig:
        raise webhooks.DeliveryTooLarge("The body is too large; send less at once.") from None
    except UnreadablePostError:
        raise webhooks.BadDelivery("The body broke off.") from None


api_urls: list[URLPattern] = [
    path("hooks/<slug:slug>/", Hook.as_view(), name="hook"),
    path("hooks/<slug:slug>/<str:secret>/", HookWithSecret.as_view(), name="hook-with-secret"),
]
