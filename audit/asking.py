"""What the doors for programs share: who is asking, and bodies that say what is known here and nothing else."""

from typing import Any, cast

from django.contrib.auth.models import User
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView


class Asked(APIView):
    """A view that knows who is asking; only a signed-in person or a token reaches it."""

    @property
    def person(self) -> User:
        """Return who is asking."""
        return cast(User, self.request.user)


class StrictBody(serializers.Serializer[Any]):
    """No unknown fields: a misspelt ``digest`` must not pass for a missing one."""

    def to_internal_value(self, data: Any) -> Any:
        """Return what was read of the body. Raises ``ValidationError`` that names every unknown field."""
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        if unknown:
            raise serializers.ValidationError({name: ["This field is not known here."] for name in unknown})
        return super().to_internal_value(data)


def body_as(kind: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """Return what the request's body says, read as ``kind``. Raises ``ValidationError`` naming the fields at fault."""
    body = kind(data=request.data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)
