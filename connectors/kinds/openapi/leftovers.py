"""Values that no type describes, held against the document's own schema by ``jsonschema``: bounded, nothing fetched."""

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from connectors.kinds.openapi.documents import Document

DEEPEST = 12
MOST_VALUES = 2000
# References that are followed for one value: a few that name each other twice would else take for ever.
MOST_REFERENCES = 5000
_left: ContextVar[list[int]] = ContextVar("left")
_ROOT = "urn:goldseam:document"


def against(document: Document, schema: Any) -> Callable[[Any], Any]:
    """Return what holds a value against a schema: gives it back, or raises ``ValueError`` with what is wrong."""

    @cache
    def validator() -> Any:
        # Made at its first use: of a large document most are never used.
        registry: Any = Registry().with_resource(_ROOT, DRAFT202012.create_resource(document.whole))
        return _VALIDATOR(_anchored(schema), registry=registry)

    def hold(value: Any) -> Any:
        _bounded(value)
        _left.set([MOST_REFERENCES])
        try:
            wrong = next(iter(validator().iter_errors(value)), None)
        except (Unresolvable, RecursionError, ValueError, TypeError):
            raise ValueError("cannot be held against the document: its schema is broken there") from None
        if wrong is not None:
            where = ".".join(map(str, wrong.absolute_path))
            raise ValueError(f"{where}: {wrong.message}"[:300] if where else wrong.message[:300])
        return value

    return hold


def _anchored(schema: Any) -> Any:
    """Give references the document as their root; beyond the first level they find it by themselves."""
    return {"$id": _ROOT + ":part", "allOf": [_pointed(schema, 0)]}


def _pointed(schema: Any, depth: int) -> Any:
    if depth > DEEPEST * 4:
        return {}
    if isinstance(schema, dict):
        return {
            name: f"{_ROOT}{part}"
            if name == "$ref" and isinstance(part, str) and part.startswith("#")
            else _pointed(part, depth + 1)
            for name, part in schema.items()
            if name not in ("$id", "$schema", "$anchor", "$dynamicRef")
        }
    return [_pointed(part, depth + 1) for part in schema] if isinstance(schema, list) else schema


def _bounded(value: Any) -> None:
    level, count = [value], 0
    for _ in range(DEEPEST):
        count += len(level)
        if count > MOST_VALUES:
            raise ValueError(f"holds more than {MOST_VALUES:,} values")
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict | list):
                below.extend(one.values() if isinstance(one, dict) else one)
        if not below:
            return
        level = below
    raise ValueError(f"is nested more than {DEEPEST} deep")


# --- where OpenAPI 3.0 differs from JSON Schema, and what would cost too much ----------------------
def _type(validator: Any, kinds: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if value is None and schema.get("nullable") is True:
        return
    wanted = kinds if isinstance(kinds, list) else [kinds]
    if not any(validator.is_type(value, kind) for kind in wanted if isinstance(kind, str)):
        yield ValidationError(f"is not of the type {', '.join(map(str, wanted))}")


def _enum(validator: Any, values: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if value is None and schema.get("nullable") is True:
        return
    if not any(type(one) is type(value) and one == value for one in values if isinstance(values, list)):
        yield ValidationError("is not one of the values that are allowed")


def _required(validator: Any, names: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if not isinstance(value, dict) or not isinstance(names, list):
        return
    known = schema.get("properties")
    for name in names:
        part = known.get(name) if isinstance(known, dict) else None
        # What only the other side sets is required of its answers, not of what is sent.
        if name not in value and not (isinstance(part, dict) and part.get("readOnly") is True):
            yield ValidationError(f"lacks {str(name)[:80]}")


def _beyond(name: str, *, above: bool) -> Callable[..., Iterator[ValidationError]]:
    def hold(validator: Any, limit: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
        edge = schema.get(name) if limit is True else limit
        if isinstance(edge, bool) or not isinstance(edge, int | float) or not validator.is_type(value, "number"):
            return
        if (value <= edge) if above else (value >= edge):
            yield ValidationError(f"is not {'above' if above else 'below'} {edge}")

    return hold


def _followed(validator: Any, reference: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    left = _left.get()
    left[0] -= 1
    if left[0] < 0:
        raise ValueError("the schema refers to itself too often")
    yield from _FOLLOW(validator, reference, value, schema)


def _nothing(validator: Any, wanted: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    """Hold nothing: Python's expressions can be made to take for ever, so patterns are left to the other side."""
    yield from ()


_FOLLOW: Any = Draft202012Validator.VALIDATORS["$ref"]
_VALIDATOR: Any = validators.extend(
    Draft202012Validator,
    {
        "$ref": _followed,
        "$dynamicRef": _nothing,
        "type": _type,
        "enum": _enum,
        "required": _required,
        "exclusiveMinimum": _beyond("minimum", above=True),
        "exclusiveMaximum": _beyond("maximum", above=False),
        "pattern": _nothing,
        "patternProperties": _nothing,
        "propertyNames": _nothing,
    },
)
