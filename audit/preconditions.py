"""``ETag`` and ``If-Match``: a change is made only to the version that the caller has seen."""

import re
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request

from audit.errors import Invalid, Stale

_TAG = re.compile(r'(?:W/)?"(\d{1,18})"')


def etag(version: int) -> str:
    """Return the entity tag of a row's version."""
    return f'"{version}"'


def with_etag(response: HttpResponseBase, version: int) -> Any:
    """Tell the caller which version the answer shows; returns the response."""
    response["ETag"] = etag(version)
    return response


def expected_version(request: Request | HttpRequest, current: int) -> int | None:
    """Return the version that a change must find, for an action's ``if_version``; ``None`` where any will do.

    ``current`` is the version that stands now. Raises ``Stale`` (412) where ``If-Match`` names none that
    stands, and ``Invalid`` (400) where it cannot be read. The action still compares: the row may change in between.
    """
    given = (request.headers.get("If-Match") or "").strip()
    if not given:
        return None
    if given == "*":
        return current
    tags = [part.strip() for part in given.split(",")]
    versions = [match.group(1) for tag in tags if (match := _TAG.fullmatch(tag))]
    if len(versions) != len(tags):
        raise Invalid('If-Match must carry an ETag as it was given, such as "3".', {"If-Match": [given[:100]]})
    if str(current) not in versions:
        raise Stale(f"You saw version {', '.join(versions)}; version {current} stands now. Read again, then decide.")
    return current


def unchanged(request: Request | HttpRequest, current: int) -> bool:
    """Tell whether the caller already holds this version (``If-None-Match``), so that 304 will do."""
    given = request.headers.get("If-None-Match") or ""
    return str(current) in _TAG.findall(given) or given.strip() == "*"
