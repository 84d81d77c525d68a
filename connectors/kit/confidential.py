"""Arguments that another system takes and never shows again, such as a password: sent, and told to nobody.

In plans and their copies they stand sealed, so that a digest over the plan binds them too. Their type opens them where
arguments are validated; what is made of arguments for people (``model_dump(mode="json")``) holds a mark instead.
"""

import json
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import GetCoreSchemaHandler, ValidationError, ValidatorFunctionWrapHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from connectors import vault
from connectors.base import Arguments
from connectors.redaction import HIDDEN

MARK = "sealed:"


class Veil:
    """Marks a type whose values are sent and never shown: ``Annotated[str, Veil()]``."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take what the type takes, sealed or not; give a mark where it is written down."""
        shown = core_schema.plain_serializer_function_ser_schema(_mark, when_used="json")
        return core_schema.no_info_wrap_validator_function(_opened, handler(source), serialization=shown)


def _mark(value: Any) -> str | None:
    return None if value is None else HIDDEN


def _opened(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(opened(value))
    except ValidationError as invalid:
        # What holds a value against a schema may repeat it; what pydantic says itself never does.
        told = [str(one["msg"]) for one in invalid.errors(include_input=False) if one["type"] != "value_error"]
        raise ValueError("; ".join(told) or "is not what the document allows") from None


def is_sealed(value: Any) -> bool:
    """Tell whether a value stands sealed."""
    return isinstance(value, str) and value.startswith(f"{MARK}{vault.VERSION}.")


def opened(value: Any) -> Any:
    """Return what a sealed value holds; any other as it is. Raises ``ValueError`` where it does not open."""
    if not is_sealed(value):
        return value
    try:
        return json.loads(vault.open_value(value.removeprefix(MARK)))
    except vault.CannotOpen:
        raise ValueError("was sealed under a key that is gone, or was changed: plan again") from None


def sealed(model: type[Arguments], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of ``model`` with the veiled ones sealed; what is sealed already stays as it is."""
    known = model.model_fields
    return {name: _covered(known[name], value) if name in known else value for name, value in values.items()}


def veiled(model: type[Arguments]) -> frozenset[str]:
    """Return the arguments that are veiled, or hold something that is."""
    return frozenset(name for name, info in model.model_fields.items() if _veils(info))


def shown(value: Any) -> Any:
    """Return a copy of JSON-like ``value`` for people: a mark stands where something is sealed."""
    if isinstance(value, Mapping):
        return {name: shown(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [shown(part) for part in value]
    return HIDDEN if is_sealed(value) else value


def spoken(model: type[Arguments], arguments: Any) -> list[str]:
    """Return the texts that stand in the veiled parts of validated arguments: for a redactor, as answers may echo."""
    found: list[str] = []
    for name in veiled(model):
        _texts(getattr(arguments, name), found)
    return found


def _texts(value: Any, found: list[str]) -> None:
    if isinstance(value, Arguments):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            _texts(part, found)
    elif isinstance(value, str) and value:
        found.append(value)


def _veils(kind: Any) -> bool:
    if isinstance(kind, FieldInfo):
        return any(isinstance(part, Veil) for part in kind.metadata) or _veils(kind.annotation)
    if isinstance(kind, type) and issubclass(kind, Arguments):
        return bool(veiled(kind))
    return any(isinstance(part, Veil) or _veils(part) for part in get_args(kind))


def _covered(kind: Any, value: Any) -> Any:
    if value is None or is_sealed(value):
        return value
    if isinstance(kind, FieldInfo):
        return _seal(value) if any(isinstance(one, Veil) for one in kind.metadata) else _covered(kind.annotation, value)
    if get_origin(kind) is Annotated:
        inner, *marks = get_args(kind)
        return _seal(value) if any(isinstance(one, Veil) for one in marks) else _covered(inner, value)
    if get_origin(kind) in (Union, UnionType):
        return next((_covered(part, value) for part in get_args(kind) if _veils(part)), value)
    if get_origin(kind) is list and isinstance(value, list):
        return [_covered(get_args(kind)[0], part) for part in value]
    if isinstance(kind, type) and issubclass(kind, Arguments) and isinstance(value, Mapping):
        return sealed(kind, value)
    return value


def _seal(value: Any) -> str:
    return MARK + vault.seal_value(json.dumps(value))
