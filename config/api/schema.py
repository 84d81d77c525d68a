"""What the OpenAPI document says of every call: tokens, problem documents, idempotency keys, preconditions."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem document.",
    "required": ["type", "title", "status", "detail", "instance", "code"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:goldseam:problem:stale"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened and what to do, for people."},
        "instance": {"type": "string", "description": "The path that was called."},
        "code": {"type": "string", "description": "The stable word that type ends in, for programs."},
        "request_id": {"type": "string", "description": "Also in the header X-Request-Id, the log and the ledger."},
        "errors": {
            "type": "object",
            "description": "Messages by field, on 400.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
}
_REUSABLE = {
    "Problem": {
        "description": "Anything but success: see `code` and `detail`.",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}
_PARAMETERS = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
        "description": "The same key again gets the first answer for 24 hours; with another body it is 422.",
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": "The ETag that you saw; 412 where the resource has changed since.",
    },
}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes ``Authorization: Bearer gs_…``."""

    target_class = "audit.tokens.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "gs_…"}


def add_manners(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Add to each operation what the whole API shares: problem documents, and the headers of a POST."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    components.setdefault("responses", {}).update(_REUSABLE)
    components.setdefault("parameters", {}).update(_PARAMETERS)
    for path, methods in result.get("paths", {}).items():
        for method, operation in methods.items():
            operation.setdefault("responses", {}).setdefault("default", {"$ref": "#/components/responses/Problem"})
            if method == "post" and path.startswith("/api/v1/") and not path.startswith("/api/v1/hooks/"):
                headers = [{"$ref": "#/components/parameters/IdempotencyKey"}]
                if "{" in path:
                    headers.append({"$ref": "#/components/parameters/IfMatch"})
                operation["parameters"] = [*operation.get("parameters", []), *headers]
    return result
