"""Turns away what no database could store, before anything is asked of it."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.views import defaults

from config.api.problems import for_programs, respond

_DETAIL = "The address holds the character U+0000, which nothing here has in its name."


class StorableMiddleware:
    """Answer 400 to an address with a NUL character: PostgreSQL refuses it, SQLite would not."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "%00" not in request.META.get("QUERY_STRING", "") and "\x00" not in request.path_info:
            return self.get_response(request)
        if for_programs(request):
            return respond(request, 400, _DETAIL, errors={"address": [_DETAIL]})
        return defaults.bad_request(request, ValueError(_DETAIL))
