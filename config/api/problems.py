"""Errors as RFC 9457 problem documents: one place for everything that the API can answer but success."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import pydantic
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    TooManyFilesSent,
    ValidationError,
)
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from audit import context as source
from audit.actions import LedgerUnavailable
from audit.errors import Invalid, Refusal

MEDIA_TYPE = "application/problem+json"
_NOTHING = "There is nothing here that you may see."
_FORBIDDEN = "You may not do this."
_TOO_LARGE = "The body is larger than this installation takes."
logger = logging.getLogger(__name__)

_PROGRAMS = ("/api/", "/health/", "/metrics", "/odata/")
_CODES = {
    400: "invalid",
    401: "not_authenticated",
    403: "not_allowed",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    412: "stale",
    413: "too_large",
    415: "unsupported_media_type",
    422: "unprocessable",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}


def problem(
    status: int, detail: str = "", *, instance: str = "", code: str = "", errors: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the body of a problem document; ``code`` is the stable word that ``type`` ends in."""
    code = code or _CODES.get(status, "error")
    body = {
        "type": f"urn:goldseam:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail or HTTPStatus(status).description,
        "instance": instance,
        "code": code,
        "request_id": source.current().request_id,
    }
    return {**body, "errors": dict(errors)} if errors is not None else body


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an exception of an API view into a problem document; ``None`` lets a defect rise to ``server_error``."""
    request = context.get("request")
    instance = request.path if request is not None else ""
    known = _of_ours(error, instance) or _of_the_frameworks(error, instance)
    if known is None:
        return None
    body, headers = known
    return Response(body, status=body["status"], headers=headers, content_type=MEDIA_TYPE)


Answer = tuple[dict[str, Any], dict[str, str]]


def _of_ours(error: Exception, instance: str) -> Answer | None:
    if isinstance(error, Invalid):
        return problem(error.status, str(error), instance=instance, code=error.code, errors=error.errors), {}
    if isinstance(error, Refusal):
        # A refusal that knows when to come back says so.
        wait = getattr(error, "retry_after", None)
        headers = {"Retry-After": str(wait)} if wait else {}
        return problem(error.status, str(error), instance=instance, code=error.code), headers
    if isinstance(error, LedgerUnavailable):
        logger.error("The ledger cannot be written.", exc_info=error)
        detail = "The audit ledger cannot be written, so nothing was done. Try again."
        return problem(503, detail, instance=instance, code="ledger_unavailable"), {"Retry-After": "5"}
    if isinstance(error, OperationalError):
        # Another writer held the database too long, or a deadlock was broken: the same call may well succeed.
        logger.warning("The database refused for now.", exc_info=error)
        return problem(503, "The database is busy; nothing was done. Try again.", instance=instance), {
            "Retry-After": "1"
        }
    return None


def _of_the_frameworks(error: Exception, instance: str) -> Answer | None:
    fields = _field_errors(error)
    if fields is not None:
        return problem(400, "Some fields are not valid.", instance=instance, errors=fields), {}
    if isinstance(error, exceptions.ParseError | BadRequest):
        detail = str(getattr(error, "detail", error)) or "The request cannot be read."
        return problem(400, detail, instance=instance, errors={"body": [detail]}), {}
    if isinstance(error, RequestDataTooBig | TooManyFilesSent):
        return problem(413, _TOO_LARGE, instance=instance), {}
    if isinstance(error, Http404):
        return problem(404, _NOTHING, instance=instance), {}
    if isinstance(error, PermissionDenied):
        return problem(403, str(error) or _FORBIDDEN, instance=instance), {}
    if isinstance(error, exceptions.APIException):
        return problem(error.status_code, str(error.detail), instance=instance), _headers(error)
    return None


def _field_errors(error: Exception) -> dict[str, list[str]] | None:
    """Return the messages of a validation error by field, whichever of the three libraries raised it."""
    if isinstance(error, exceptions.ValidationError):
        return flat_errors(error.detail)
    if isinstance(error, pydantic.ValidationError):
        return _pydantic_errors(error)
    if isinstance(error, ValidationError):
        return error.message_dict if hasattr(error, "error_dict") else {"body": error.messages}
    return None


def _headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(max(1, round(wait)))
    return headers


def _pydantic_errors(error: pydantic.ValidationError) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for line in error.errors(include_url=False, include_context=False, include_input=False):
        fields.setdefault(".".join(str(part) for part in line["loc"]) or "body", []).append(line["msg"])
    return fields


def flat_errors(detail: Any, path: str = "") -> dict[str, list[str]]:
    """Return nested validation messages by dotted field; what concerns the whole body stands under ``body``."""
    if isinstance(detail, Mapping):
        parts = [(_join(path, key), part) for key, part in detail.items()]
    elif isinstance(detail, list) and any(isinstance(part, Mapping | list) for part in detail):
        parts = [(_join(path, str(index)), part) for index, part in enumerate(detail)]
    else:
        messages = detail if isinstance(detail, list) else [detail]
        return {path or "body": [str(message) for message in messages]} if messages else {}
    found: dict[str, list[str]] = {}
    for name, part in parts:
        for field, messages in flat_errors(part, name).items():
            found.setdefault(field, []).extend(messages)
    return found


def _join(path: str, key: str) -> str:
    if key == "non_field_errors":
        return path
    return f"{path}.{key}" if path else key


def respond(request: HttpRequest, status: int, detail: str = "", **more: Any) -> JsonResponse:
    """Answer a problem outside of an API view: middleware and plain views."""
    body = problem(status, detail, instance=request.path, **more)
    return JsonResponse(body, status=status, content_type=MEDIA_TYPE)


def for_programs(request: HttpRequest) -> bool:
    """Tell whether whoever asks wants a problem document rather than a page."""
    return request.path.startswith(_PROGRAMS)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400 (413 where the body was too large) as a problem or as a page."""
    if not for_programs(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig | TooManyFilesSent):
        return respond(request, 413, _TOO_LARGE)
    return respond(request, 400, "The request cannot be read.", errors={})


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403 as a problem or as a page."""
    if not for_programs(request):
        return defaults.permission_denied(request, exception)
    return respond(request, 403, _FORBIDDEN)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404 as a problem or as a page."""
    if not for_programs(request):
        return defaults.page_not_found(request, exception)
    return respond(request, 404, _NOTHING)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 without a word about the inside; the log has it under the same request id."""
    if not for_programs(request):
        return defaults.server_error(request)
    return respond(request, 500, "Something broke on our side. The log has it under this request id.")
