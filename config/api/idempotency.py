"""A POST with ``Idempotency-Key`` is done once; sending it again gets the first answer for 24 hours."""

import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from audit.clock import db_now
from audit.tokens import TokenAuthentication
from config.api.problems import respond
from config.models import IdempotencyKey

_KEY = re.compile(r"[\x21-\x7e]{1,200}")
# Answers that say nothing about the work: the same call may well succeed later.
_NOT_KEPT = frozenset({401, 403, 408, 413, 415, 425, 429})
_KEPT_HEADERS = ("ETag", "Location", "Retry-After")
_PURGE_EVERY = 128
_WAIT_SECONDS = 10
_CLAIM = timedelta(minutes=5)


class IdempotencyMiddleware:
    """Keep the first answer to each key, in one transaction with what the call changed.

    1. The key's row is inserted; a second call with the same key waits there until the first is through.
    2. The view runs inside the same transaction.
    3. Its answer is stored and all of it commits together; a failure (5xx) leaves neither trace nor answer.

    A view that reaches out to other systems says so with ``reaches_out = True``: no transaction may be open while
    they are waited for, so its key is claimed in one and its answer kept in another. A process that dies in between
    leaves a claim that ends after ``_CLAIM``; such a view must itself refuse to do its work twice.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        key = request.headers.get("Idempotency-Key")
        if key is None or not _applies(request):
            return self.get_response(request)
        if not _KEY.fullmatch(key):
            detail = "Idempotency-Key takes 1 to 200 visible ASCII characters."
            return respond(request, 400, detail, errors={"Idempotency-Key": [detail]})
        principal = _principal(request)
        if principal is None:
            return self.get_response(request)  # the view says what is wrong with the token
        try:
            digest = _digest(request)
        except RequestDataTooBig:
            return respond(request, 413, "The body is larger than this installation takes.")
        return (self._around if _reaches_out(request) else self._once)(request, principal, key, digest)

    def _around(self, request: HttpRequest, principal: str, key: str, digest: str) -> HttpResponse:
        try:
            with transaction.atomic():
                row, fresh = _claim(principal, key, digest)
        except OperationalError:
            return _in_progress(request)
        if not fresh:
            return _replay(request, row, digest)
        response = self.get_response(request)
        if response.status_code >= 500 or response.status_code in _NOT_KEPT:
            row.delete()
        else:
            _keep(row, response)
        return response

    def _once(self, request: HttpRequest, principal: str, key: str, digest: str) -> HttpResponse:
        try:
            with transaction.atomic():
                row, fresh = _claim(principal, key, digest)
                if not fresh:
                    return _replay(request, row, digest)
                response = self.get_response(request)
                if response.status_code >= 500 or connection.needs_rollback:
                    transaction.set_rollback(True)
                elif response.status_code in _NOT_KEPT:
                    # The ledger's entry of a refusal must stay, so this commits; only the key is given back.
                    row.delete()
                else:
                    _keep(row, response)
        except OperationalError:
            return _in_progress(request)
        if row.pk and row.pk % _PURGE_EVERY == 0:
            purge()
        return response


def _applies(request: HttpRequest) -> bool:
    path = request.path_info
    return request.method == "POST" and path.startswith("/api/v1/") and not path.startswith("/api/v1/hooks/")


def _reaches_out(request: HttpRequest) -> bool:
    try:
        view = resolve(request.path_info).func
    except Resolver404:
        return False
    return bool(getattr(getattr(view, "cls", None), "reaches_out", False))


def _in_progress(request: HttpRequest) -> HttpResponse:
    answer = respond(request, 409, "A call with this key is still under way.", code="in_progress")
    answer["Retry-After"] = "1"
    return answer


def _principal(request: HttpRequest) -> str | None:
    """Return whose key this is: the token's user, after checking the token and its scope, or the session's."""
    if "Authorization" not in request.headers:
        # Whether the form's token is right, the view checks; a replay changes nothing and no other site can read it.
        return f"user:{request.user.pk}" if request.user.is_authenticated else None
    try:
        view = getattr(resolve(request.path_info).func, "cls", None)
        found = TokenAuthentication().authenticate(Request(request, parser_context={"view": view}))
    except (Resolver404, APIException):
        return None
    return f"user:{found[0].pk}" if found else None


def _digest(request: HttpRequest) -> str:
    told = f"{request.method} {request.get_full_path()}\n{request.headers.get('If-Match', '')}\n".encode()
    if not (request.content_type or "").startswith("multipart/"):
        return hashlib.sha256(told + request.body).hexdigest()
    length = request.META.get("CONTENT_LENGTH", "")
    if not length.isdecimal() or int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        # An upload may be larger than memory should hold; its length stands for it.
        return hashlib.sha256(told + length.encode()).hexdigest()
    # The same upload has another boundary at each try.
    boundary = (request.content_params or {}).get("boundary", "").encode()
    return hashlib.sha256(told + (request.body.replace(boundary, b"") if boundary else request.body)).hexdigest()


def _claim(principal: str, key: str, digest: str) -> tuple[IdempotencyKey, bool]:
    """Insert the key, or wait for whoever holds it and return their row. ``True``: it is ours to answer."""
    _wait_at_most(_WAIT_SECONDS)
    mine = IdempotencyKey.objects.filter(principal=principal, key=key)
    now = db_now()
    mine.filter(Q(expires_at__lte=now) | Q(status=None, created_at__lte=now - _CLAIM)).delete()
    row = IdempotencyKey(
        principal=principal,
        key=key,
        request_digest=digest,
        created_at=now,
        expires_at=now + settings.IDEMPOTENCY_WINDOW,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
        found, fresh = row, True
    except IntegrityError:
        found, fresh = mine.get(), False
    _wait_at_most(0)
    return found, fresh


def _wait_at_most(seconds: int) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{seconds}s"])


def _replay(request: HttpRequest, row: IdempotencyKey, digest: str) -> HttpResponse:
    if row.request_digest != digest:
        return respond(request, 422, "This Idempotency-Key was used with another request.", code="key_reused")
    if row.status is None:
        return _in_progress(request)
    response = HttpResponse(bytes(row.body), status=row.status, content_type=row.content_type)
    for name, value in row.headers.items():
        response[name] = value
    response["Idempotent-Replayed"] = "true"
    return response


def _keep(row: IdempotencyKey, response: HttpResponse) -> None:
    row.status = response.status_code
    row.content_type = response.get("Content-Type", "")[:100]
    row.headers = {name: response[name] for name in _KEPT_HEADERS if name in response}
    row.body = response.content
    row.save(update_fields=["status", "content_type", "headers", "body"])


def purge() -> int:
    """Forget answers whose 24 hours are over; returns how many."""
    forgotten: tuple[int, dict[str, Any]] = IdempotencyKey.objects.filter(expires_at__lte=Now()).delete()
    return forgotten[0]
