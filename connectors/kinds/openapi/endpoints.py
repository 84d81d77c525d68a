"""One chosen operation, ready to be called: its arguments as a class, and the request that they make."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from pydantic import create_model, model_validator

from connectors.base import Arguments
from connectors.kinds.openapi import parameters
from connectors.kinds.openapi.documents import Document, Offered
from connectors.kinds.openapi.hiding import Hiding
from connectors.kinds.openapi.parameters import Parameter, is_json, parameters_of
from connectors.kinds.openapi.reading import Unusable
from connectors.kinds.openapi.schemas import Slot, Types, named
from connectors.kit import confidential

_PLACE = re.compile(r"(.?)\{([^{}]*)\}")
LONGEST_BODY = 1_000_000


@dataclass(frozen=True)
class Request:
    """One request, without who signs in and without the host."""

    method: str
    path: str  # encoded
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = ""

    def url(self, root: str) -> str:
        """Return the whole address under ``root``. A leading $ of a name stays as it is, which OData servers expect."""
        return f"{root}{self.path}" + (f"?{urlencode(self.query, safe='$')}" if self.query else "")


@dataclass(frozen=True)
class Endpoint:
    """What the document says of one operation, resolved."""

    name: str
    method: str
    path: str
    label: str
    server: str | None  # the path that this operation alone is served under
    parameters: Mapping[str, Parameter]  # by argument
    slots: tuple[Slot, ...]  # the body's properties, or one slot for a body that has none
    arguments: type[Arguments]
    envelope: str  # the one property that the whole body stands in, blank for none
    content_type: str  # of what is sent, blank where nothing is
    answer: Any = field(repr=False)  # the schema of what is answered
    security: Any = field(repr=False)
    whole_body: bool = False
    sent: Any = field(default=None, repr=False)  # the schema of what is sent, within its envelope
    hiding: Hiding | None = field(default=None, repr=False)  # of what it answers
    filled: Mapping[str, Slot] = field(default_factory=dict, repr=False)  # body fields that are no arguments

    @cached_property
    def secret(self) -> frozenset[str]:
        """Return the arguments that are sent and never shown, or hold something that is."""
        return confidential.veiled(self.arguments)

    @property
    def body_names(self) -> dict[str, str]:
        """Return the arguments that stand in the body and can be read back, and what they are called there."""
        known = () if self.whole_body else self.slots
        return {slot.name: slot.wire for slot in known if slot.name not in self.secret}

    def request(self, arguments: Any, fixed: Mapping[str, Any] | None = None) -> Request:
        """Make the request; ``fixed`` are body fields that are not arguments. Raises ``ValueError``."""
        given = {name: getattr(arguments, name) for name in type(arguments).model_fields}
        query: list[tuple[str, str]] = []
        headers: dict[str, str] = {}
        filled: dict[str, str] = {}
        for name, parameter in self.parameters.items():
            value = plainly(given[name])
            if value is None and parameter.place != "path":
                continue
            try:
                self._place(parameter, value, filled, query, headers)
            except ValueError as wrong:
                raise ValueError(f"{name} {wrong}") from None
        path = _PLACE.sub(lambda found: found[1] + _in_quotes(found[1], filled[found[2]]), self.path)
        body = self._body(arguments, given, fixed or {})
        return Request(self.method, path, tuple(query), headers, body, self.content_type if body is not None else "")

    def _place(
        self,
        parameter: Parameter,
        value: Any,
        filled: dict[str, str],
        query: list[tuple[str, str]],
        headers: dict[str, str],
    ) -> None:
        if parameter.as_json:
            value = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        if parameter.place == "path":
            filled[parameter.name] = parameters.in_path(value, parameter.explode)
        elif parameter.place == "header":
            headers[parameter.name] = parameters.in_header(value)
        else:
            query.extend(parameters.in_query(parameter, value))

    def _body(self, arguments: Any, given: Mapping[str, Any], fixed: Mapping[str, Any]) -> bytes | None:
        if not self.content_type:
            return None
        if self.whole_body:
            value: Any = plainly(given[self.slots[0].name])
            if value is None:
                return None
        else:
            sent = arguments.model_fields_set
            value = {
                slot.wire: plainly(given[slot.name])
                for slot in self.slots
                # Null is sent where it was meant and may be; what was left out stays out.
                if given.get(slot.name) is not None or (slot.nullable and slot.name in sent)
            } | dict(fixed)
        if self.envelope:
            value = {self.envelope: value}
        text = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        if len(text) > LONGEST_BODY:
            raise ValueError(f"the body has more than {LONGEST_BODY:,} bytes")
        return text


def _in_quotes(before: str, text: str) -> str:
    """Double a quote inside quotes, as OData and its kin read it: no value ends its own literal."""
    return text.replace("%27", "%27%27") if before == "'" else text


def plainly(value: Any) -> Any:
    """Return a value without classes: what was given of a part, and nothing that was left out."""
    if isinstance(value, Arguments):
        kept = type(value).model_fields
        return {name: plainly(getattr(value, name)) for name in kept if name in value.model_fields_set}
    if isinstance(value, list | tuple):
        return [plainly(part) for part in value]
    return {name: plainly(part) for name, part in value.items()} if isinstance(value, dict) else value


def endpoint(document: Document, one: Offered, host: str, hidden: frozenset[str] = frozenset()) -> Endpoint:
    """Make an offered operation ready. ``hidden``: wire names of parameters and fields that Goldseam fills itself.

    Raises ``Unusable`` where something of it cannot be said here.
    """
    types = Types(document)
    own_headers = {"if-match", *(name.lower() for name in hidden)}
    taken: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    found: dict[str, Parameter] = {}
    for parameter in parameters_of(document, one):
        if parameter.name in hidden or (parameter.place == "header" and parameter.name.lower() in own_headers):
            continue
        kind, nullable = types.type_of(parameter.schema)
        kind = types.covered(parameter.schema, kind)
        name = named(parameter.name, taken)
        slot = Slot(name, parameter.name, kind | None if nullable else kind, parameter.required, nullable)
        taken[name], taken[parameter.name] = slot, slot
        found[name], fields[name] = parameter, slot.field()
    body = _body_of(document, types, one, taken)
    filled = {slot.wire: slot for slot in body.slots if slot.wire in hidden and not body.whole}
    slots = [slot for slot in body.slots if slot.wire not in filled]
    fields |= {slot.name: slot.field() for slot in slots}
    validators: dict[str, Any] = {"_writable": model_validator(mode="after")(_writable(found))}
    model = create_model(
        "".join(part.capitalize() for part in re.split(r"[._]", one.name))[:80],
        __base__=Arguments,
        __doc__=f"What {one.method} {one.path} takes.",
        __validators__=validators,
        **fields,
    )
    answer = _answer(document, one)
    return Endpoint(
        name=one.name,
        method=one.method,
        path=one.path,
        label=one.label,
        server=document.path_for(one, host),
        parameters=found,
        slots=tuple(slots),
        arguments=model,
        envelope=body.envelope,
        content_type=body.content_type,
        answer=answer,
        security=one.body["security"] if "security" in one.body else document.whole.get("security"),
        whole_body=body.whole,
        sent=body.schema,
        hiding=Hiding(document, answer, () if body.schema is None else (body.schema,)),
        filled=filled,
    )


def _writable(found: Mapping[str, Parameter]) -> Any:
    """Return what refuses a value that its place cannot carry, before anything is planned with it."""

    def hold(self: Any) -> Any:
        for name, parameter in found.items():
            value = plainly(getattr(self, name))
            if parameter.as_json or (value is None and parameter.place != "path"):
                continue
            try:
                if parameter.place == "path":
                    parameters.in_path(value, parameter.explode)
                elif parameter.place == "header":
                    parameters.in_header(value)
                else:
                    parameters.in_query(parameter, value)
            except ValueError as wrong:
                raise ValueError(f"{name} {wrong}") from None
        return self

    return hold


@dataclass(frozen=True)
class _Body:
    """What an operation sends: its arguments, its envelope, its content type; ``whole``: one argument is all of it."""

    slots: tuple[Slot, ...] = ()
    envelope: str = ""
    content_type: str = ""
    whole: bool = False
    schema: Any = None


def _body_of(document: Document, types: Types, one: Offered, taken: Mapping[str, Any]) -> _Body:
    body = document.mapping(one.body.get("requestBody"))
    content = document.mapping(body.get("content"))
    if not content or one.method == "GET":
        return _Body()
    kind = next((kind for kind in content if is_json(str(kind))), None)
    if kind is None:
        if body.get("required") is not True:
            return _Body()
        raise Unusable(f"{one.name} takes {', '.join(map(str, content))[:100]}; only JSON can be sent. Leave it out.")
    schema = types.merged(document.mapping(content[kind]).get("schema", {}))
    envelope = _envelope(types, schema)
    if envelope:
        schema = types.merged(types.properties(schema)[envelope][0])
    bare = str(kind).partition(";")[0].strip().lower()
    if schema.get("properties") and not set(schema) & {"oneOf", "anyOf", "not"}:
        return _Body(tuple(types.slots(schema, taken)), envelope, bare, schema=schema)
    value, nullable = types.type_of(schema)
    slot = Slot(named("body", taken), "body", value, body.get("required") is True, nullable, "The whole body.")
    return _Body((slot,), envelope, bare, whole=True, schema=schema)


def _envelope(types: Types, schema: Mapping[str, Any]) -> str:
    """Return the one property that everything else stands in, such as OData's d; blank where there is none."""
    known = types.properties(schema)
    if len(known) != 1:
        return ""
    name, (part, _) = next(iter(known.items()))
    inner = types.merged(part)
    return name if inner.get("properties") else ""


def _answer(document: Document, one: Offered) -> Any:
    """Return the schema of a success: the exact code, then 2XX, then the default."""
    responses = document.mapping(one.body.get("responses"))
    exact = sorted(code for code in responses if re.fullmatch(r"2\d\d", str(code)))
    for code in (*exact, "2XX", "2xx", "default"):
        content = document.mapping(document.mapping(responses.get(code)).get("content"))
        kind = next((kind for kind in content if is_json(str(kind))), None)
        if kind is not None:
            return document.mapping(content[kind]).get("schema", {})
    return {}
