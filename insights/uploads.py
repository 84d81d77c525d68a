"""Files that programs send, with what they say about the columns."""

from typing import Any

from django.conf import settings
from rest_framework.request import Request

from audit.errors import Invalid
from audit.strictjson import BadJson, TooLarge, loads

# What a form adds to its file.
_FORM = 1 << 20


def check_size(request: Request) -> None:
    """Refuse a form that is too large by its own account, before any of it is read. Raises ``TooLarge``."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > (settings.INSIGHTS_MAX_UPLOAD_MB << 20) + _FORM:
        raise TooLarge(f"The file is larger than {settings.INSIGHTS_MAX_UPLOAD_MB} MB (INSIGHTS_MAX_UPLOAD_MB).")


def mapping_of(text: str, *, wanted: str) -> dict[str, Any]:
    """Return the JSON object in a form's field ``mapping``; empty where nothing was said.

    ``wanted`` says in a refusal what belongs there. Raises ``Invalid``.
    """
    if not text.strip():
        return {}
    try:
        found = loads(text.encode("utf-8", "surrogatepass"))
    except BadJson as error:
        raise Invalid("The mapping is no JSON.", {"mapping": [str(error)]}) from error
    if not isinstance(found, dict):
        raise Invalid("The mapping is no object.", {"mapping": [f"Give {wanted}."]})
    return found
