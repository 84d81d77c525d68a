"""Notes where each web request came from, before anything is done for it."""

import uuid
from collections.abc import Callable

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
        with coming_from(Source(channel, request_id, request.META.get("REMOTE_ADDR", ""))):
            response = self.get_response(request)
        response["X-Request-Id"] = request_id
        return response
