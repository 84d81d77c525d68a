"""The bodies of requests."""

from typing import Any

from rest_framework.request import Request
from rest_framework.serializers import Serializer


def body_as(kind: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """Return what the request's body says, read as ``kind``. Raises ``ValidationError`` naming the fields at fault."""
    body = kind(data=request.data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)
