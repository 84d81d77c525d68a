"""What a page says when the place where event logs lie, or the engine that reads them, is out of reach."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from insights.engines import EngineUnavailable
from insights.objectstore.faults import WAIT_SECONDS, StoreUnavailable


class OutOfReachMiddleware:
    """Answer 503 with words and a way on, whichever page asked; the API has its own way of saying so."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return the page; ``None`` lets any other exception rise."""
        if not isinstance(error, EngineUnavailable | StoreUnavailable):
            return None
        page = render(request, "insights/out_of_reach.html", {"words": str(error)}, status=503)
        page["Retry-After"] = str(WAIT_SECONDS)
        return page
