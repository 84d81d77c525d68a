"""From the document's schemas to typed, bounded fields; what a type cannot say is held against the schema itself."""

import keyword
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, create_model
from pydantic_core import SchemaError

from connectors.base import Arguments
from connectors.kinds.openapi.documents import Document, words_of
from connectors.kinds.openapi.hiding import is_secret, secret_in
from connectors.kinds.openapi.leftovers import against
from connectors.kinds.openapi.reading import Unusable
from connectors.kit.confidential import Veil

# Nothing that is sent is without a bound, whatever the document says.
LONGEST_TEXT = 20_000
MOST_ITEMS = 1000
DEEPEST = 4
MOST_FIELDS = 300
MOST_PARTS = 3000  # SAP's largest operation has 1,933
_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}\Z")
_INTEGERS = {"int32": 2**31, "int64": 2**63}


@dataclass(frozen=True)
class Slot:
    """One argument of an operation: its name here, its name on the wire, and the type that holds it."""

    name: str
    wire: str
    type: Any
    required: bool
    nullable: bool = False
    description: str = ""

    def field(self) -> tuple[Any, Any]:
        """Return it as pydantic wants it."""
        if self.required:
            return (self.type, Field(description=self.description))
        return (self.type | None, Field(default=None, description=self.description))


def named(wire: str, taken: Mapping[str, Any]) -> str:
    """Return the name of an argument as playbooks write it: small letters, digits and _; never one that is taken."""
    name = wire if _NAME.match(wire) else words_of(wire)[:50].strip("_") or "value"
    if not name[0].isalpha():
        name = f"n_{name}"
    if keyword.iskeyword(name) or hasattr(Arguments, name) or name.startswith("model_"):
        name += "_"
    while name in taken:
        name += "_2"
    return name


def kinds_of(schema: Mapping[str, Any]) -> tuple[set[str], bool]:
    """Return the types that a schema allows, and whether null is one: ``nullable`` in 3.0, a list with null in 3.1."""
    told = schema.get("type")
    kinds = {str(one) for one in told} if isinstance(told, list) else ({told} if isinstance(told, str) else set())
    nullable = schema.get("nullable") is True or "null" in kinds
    if not kinds and isinstance(schema.get("properties"), dict):
        kinds = {"object"}
    return kinds - {"null"}, nullable


class Types:
    """Makes types of a document's schemas."""

    def __init__(self, document: Document) -> None:
        """Take the document whose references are resolved."""
        self.document = document
        self.count = 0

    def type_of(self, schema: Any, depth: int = 0) -> tuple[Any, bool]:
        """Return the type of a schema and whether null may stand for it. Raises ``Unusable``."""
        whole = schema
        schema = self.merged(schema)
        kinds, nullable = kinds_of(schema)
        either = schema.get("oneOf") or schema.get("anyOf")
        if isinstance(either, list) and not kinds:
            real = [one for one in either if self.document.mapping(one).get("type") != "null"]
            if len(real) == 1 and len(real) < len(either) and not set(schema) & {"properties", "not"}:
                return self.type_of(real[0], depth)[0], True
            return self._held(whole), nullable
        if "const" in schema or isinstance(schema.get("enum"), list):
            return self._choice(schema, nullable)
        if len(kinds) != 1 or set(schema) & {"oneOf", "anyOf", "not", "if"}:
            return self._held(whole), nullable
        make: dict[str, Callable[[], Any]] = {
            "string": lambda: _text(schema),
            "integer": lambda: _number(schema, whole=True),
            "number": lambda: _number(schema, whole=False),
            "boolean": lambda: bool,
            "array": lambda: self._array(schema, whole, depth),
            "object": lambda: self._object(schema, whole, depth),
        }
        found = make.get(next(iter(kinds)))
        return (found() if found else self._held(whole)), nullable

    def merged(self, schema: Any, depth: int = 0) -> dict[str, Any]:
        """Return a schema with its references followed and the objects of its ``allOf`` made one."""
        self.count += 1
        if self.count > MOST_PARTS:
            raise Unusable("A schema has too many parts, or is put together of itself: simplify the document.")
        found = self.document.at(schema)
        if found is True:
            return {}
        if not isinstance(found, dict):
            raise Unusable("A schema is no object: mend the document.")
        parts = found.get("allOf")
        if not isinstance(parts, list):
            return found
        if depth > DEEPEST or len(parts) > 50:
            raise Unusable("A schema (allOf) is put together of too much, or of itself: simplify the document.")
        result: dict[str, Any] = {}
        rest = {name: value for name, value in found.items() if name != "allOf"}
        for part in (*(self.merged(one, depth + 1) for one in parts), rest):
            below = {**_dict(result.get("properties")), **_dict(part.get("properties"))}
            needed = [*_list(result.get("required")), *_list(part.get("required"))]
            result |= part
            result |= {"properties": below} if below else {}
            result |= {"required": needed} if needed else {}
        return result

    def properties(self, schema: Mapping[str, Any], *, sent: bool = True) -> dict[str, tuple[Any, bool]]:
        """Return an object's properties and whether each is required; of what is sent, read-only ones are left out."""
        known = _dict(schema.get("properties"))
        if len(known) > MOST_FIELDS:
            raise Unusable(f"An object has more than {MOST_FIELDS} properties.")
        required = set(map(str, _list(schema.get("required"))))
        unwanted = "readOnly" if sent else "writeOnly"
        return {
            name: (one, name in required)
            for name, one in known.items()
            if self.document.mapping(one).get(unwanted) is not True
        }

    def slots(self, schema: Mapping[str, Any], taken: Mapping[str, Any], depth: int = 0) -> list[Slot]:
        """Return an object's properties as arguments, named so that none is taken twice."""
        found: dict[str, Slot] = {}
        for wire, (part, required) in self.properties(schema).items():
            kind, nullable = self.type_of(part, depth)
            kind = self.covered(part, kind)
            told = str(self.document.mapping(part).get("description") or "")
            name = named(wire if wire not in taken else f"body_{wire}", {**taken, **found})
            found[name] = Slot(name, wire, kind | None if nullable else kind, required, nullable, told[:300])
        return list(found.values())

    def _object(self, schema: Mapping[str, Any], whole: Any, depth: int) -> Any:
        slots = self.slots(schema, {}, depth + 1) if depth < DEEPEST else []
        if not slots or any(slot.name != slot.wire for slot in slots) or schema.get("additionalProperties"):
            return self._held(whole)
        fields: dict[str, Any] = {slot.name: slot.field() for slot in slots}
        return create_model("Part", __base__=Arguments, __doc__="A part of a larger value.", **fields)

    def _array(self, schema: Mapping[str, Any], whole: Any, depth: int) -> Any:
        if depth >= DEEPEST:
            return self._held(whole)
        item, nullable = self.type_of(schema.get("items", {}), depth + 1)
        least, most = _bound(schema.get("minItems"), 0), _bound(schema.get("maxItems"), MOST_ITEMS)
        listed: Any = list[item | None] if nullable else list[item]  # type: ignore[valid-type]
        return Annotated[listed, Field(min_length=least, max_length=min(most, MOST_ITEMS))]

    def _choice(self, schema: Mapping[str, Any], nullable: bool) -> tuple[Any, bool]:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        real = [value for value in values if value is not None]
        if not real or len(real) > MOST_ITEMS or not all(type(value) in (str, int, bool) for value in real):
            return self._held(schema), nullable
        return Literal[tuple(real)], nullable or len(real) < len(values)

    def _held(self, schema: Any) -> Any:
        held = Annotated[JsonValue, AfterValidator(against(self.document, schema))]
        return Annotated[held, Veil()] if self.document.has_secrets and secret_in(self.document, schema) else held

    def covered(self, schema: Any, kind: Any) -> Any:
        """Return the type of a value, veiled where the document says that it is only ever sent, or is a password."""
        return Annotated[kind, Veil()] if is_secret(self.document.mapping(schema)) else kind


def _text(schema: Mapping[str, Any]) -> Any:
    least, most = _bound(schema.get("minLength"), 0), _bound(schema.get("maxLength"), LONGEST_TEXT)
    bounds: dict[str, Any] = {"min_length": least, "max_length": min(most, LONGEST_TEXT)}
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and len(pattern) <= 1000:
        try:
            # Rust's expressions, which take linear time; one that they cannot say is left to the other side.
            create_model("Try", value=(Annotated[str, StringConstraints(pattern=pattern)], ...))
            bounds["pattern"] = pattern
        except SchemaError:
            bounds.pop("pattern", None)
    return Annotated[str, StringConstraints(**bounds)]


def _number(schema: Mapping[str, Any], *, whole: bool) -> Any:
    bounds: dict[str, Any] = {}
    for limit, exclusive, closed, opened in (
        ("minimum", "exclusiveMinimum", "ge", "gt"),
        ("maximum", "exclusiveMaximum", "le", "lt"),
    ):
        value, beyond = schema.get(limit), schema.get(exclusive)
        if _is_number(value):
            bounds[opened if beyond is True else closed] = value
        if _is_number(beyond):
            bounds[opened] = beyond
    if not whole:
        return Annotated[float, Field(allow_inf_nan=False, **bounds)]
    size = _INTEGERS.get(str(schema.get("format")), 2**63)
    if not {"ge", "gt"} & set(bounds):
        bounds["ge"] = -size
    if not {"le", "lt"} & set(bounds):
        bounds["le"] = size - 1
    return Annotated[int, Field(**bounds)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _bound(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else otherwise


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
