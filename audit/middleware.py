"""Notes where each web request came from, before anything is done for it."""

import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from audit.context import Source, coming_from

_CHANNELS = (("/api/v1/hooks/", "hook"), ("/api/", "api"), ("/admin/", "admin"))


class SourceMiddleware:
    """Give every request an id, tell the ledger its channel, and return the id to the caller."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        channel = next((name for prefix, name in _CHANNELS if request.path.startswith(prefix)), "console")
        request_id = uuid.uuid4().hex
        with coming_from(Source(channel, request_id, client_address(request))):
            response = self.get_response(request)
        response["X-Request-Id"] = request_id
        return response


def client_address(request: HttpRequest) -> str:
    """Return the caller's address: the connection's, or the one that our own proxies (``NUM_PROXIES``) wrote down.

    Whatever stands further left in ``X-Forwarded-For`` was written by the caller and proves nothing.
    """
    proxies = settings.REST_FRAMEWORK["NUM_PROXIES"]
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    if proxies and hops:
        return str(hops[-min(proxies, len(hops))])[:64]
    return str(request.META.get("REMOTE_ADDR", ""))[:64]
