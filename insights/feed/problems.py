"""Why the feed does not answer: the one error that it raises, and the form in which OData tells it."""

import json

from django.http import HttpResponse


class FeedError(Exception):
    """A question that the feed does not answer. ``status``: 400 cannot be meant, 404 not there, 501 not offered."""

    def __init__(self, message: str, *, status: int = 400, target: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.target = target


def not_offered(what: str, *, target: str = "") -> FeedError:
    """Return the refusal of a part of OData that this feed leaves out, as the standard wants it told."""
    return FeedError(f"{what} is not offered by this feed.", status=501, target=target)


_CODES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    429: "TooManyRequests",
    501: "NotImplemented",
    503: "Unavailable",
}


def error_response(
    status: int, message: str, *, target: str = "", headers: dict[str, str] | None = None
) -> HttpResponse:
    """Return an error in OData's JSON form."""
    told: dict[str, str] = {"code": _CODES.get(status, "Error"), "message": message}
    if target:
        told["target"] = target
    body = json.dumps({"error": told})
    return HttpResponse(body, status=status, content_type="application/json", headers=headers)
