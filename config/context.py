"""What every console page knows: the environment's name and how much waits for this person."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def console(request: HttpRequest) -> dict[str, Any]:
    """Return the environment for the header."""
    return {"environment": settings.ENVIRONMENT}
