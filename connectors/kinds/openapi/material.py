"""What a document knows of its operations, for those who declare them: arguments, fields of records, neighbours."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from connectors.kinds.openapi import answers
from connectors.kinds.openapi.answers import Shape
from connectors.kinds.openapi.compiling import document_of
from connectors.kinds.openapi.declarations import Declaration
from connectors.kinds.openapi.documents import Document, Offered
from connectors.kinds.openapi.endpoints import Endpoint, endpoint
from connectors.kinds.openapi.hiding import is_secret
from connectors.kinds.openapi.parameters import is_json
from connectors.kinds.openapi.schemas import Types, kinds_of

_PLACE = re.compile(r"\{[^{}]*\}")
_LAST = re.compile(r"(/\{[^{}]*\}|\([^/]*\))/?\Z")


@dataclass(frozen=True)
class Material:
    """One document, and the host that its operations are served at."""

    kept: str  # the document's text, or the name under which it is kept
    host: str

    @property
    def document(self) -> Document:
        """Return the document. Raises ``Unusable``."""
        return document_of(self.kept)

    @property
    def offered(self) -> dict[str, Offered]:
        """Return its operations by name."""
        return self.document.offered

    def endpoint(self, name: str) -> Endpoint:
        """Return an operation with everything that it takes. Raises ``Unusable``."""
        return _endpoint(self.kept, self.host, name)

    def fields(self, read: str) -> dict[str, str]:
        """Return the fields of a read's records with their JSON types, where the document says. Raises ``Unusable``."""
        return _fields(self.kept, self.host, read)

    def shape(self, read: str, told: Declaration | None = None) -> Shape:
        """Return how a read's answers are understood. Raises ``Unusable``."""
        return answers.shape_of(Types(self.document), self.endpoint(read), told or Declaration())

    def required(self, name: str) -> list[str]:
        """Return the arguments that an operation must be given. Raises ``Unusable``."""
        fields = self.endpoint(name).arguments.model_fields
        return [argument for argument, info in fields.items() if info.is_required()]

    def body_types(self, name: str) -> dict[str, set[str]]:
        """Return the body's fields that can be filled, with the JSON types of each. Raises ``Unusable``."""
        found: dict[str, set[str]] = {}
        one = self.endpoint(name)
        content = self.document.mapping(
            self.document.mapping(self.offered[name].body.get("requestBody")).get("content")
        )
        media = next((part for kind, part in content.items() if is_json(str(kind))), None)
        schema = self.document.mapping(media).get("schema")
        types = Types(self.document)
        inner = types.merged(schema) if schema else {}
        if one.envelope:
            inner = types.merged(types.properties(inner)[one.envelope][0])
        for wire, (part, _) in types.properties(inner).items():
            found[wire] = kinds_of(types.merged(part))[0]
        return found

    # --- neighbours -------------------------------------------------------------------------------
    def at(self, path: str) -> Iterator[Offered]:
        """Yield the operations of a path, whatever its variables are called."""
        wanted = _nameless(path)
        yield from (one for one in self.offered.values() if _nameless(one.path) == wanted)

    def below(self, collection: str) -> Iterator[Offered]:
        """Yield the operations of a collection's items."""
        root = _nameless(collection)
        for one in self.offered.values():
            rest = _nameless(one.path).removeprefix(root)
            if rest != _nameless(one.path) and _LAST.fullmatch(rest):
                yield one

    def collection(self, item: str) -> str:
        """Return the path of the collection that an item's path belongs to; blank where it is no item's."""
        found = _LAST.sub("", item)
        return found if found != item else ""

    def headers(self, one: Offered) -> list[str]:
        """Return the names of the header parameters of an operation."""
        found = []
        for holder in (one.item, one.body):
            told = holder.get("parameters")
            for raw in told if isinstance(told, list) else []:
                part = self.document.mapping(raw)
                if part.get("in") == "header" and isinstance(part.get("name"), str):
                    found.append(str(part["name"]))
        return found

    def answers_with(self, one: Offered, header: str) -> bool:
        """Tell whether the document says that an operation's answers carry a header."""
        responses = self.document.mapping(one.body.get("responses"))
        named = (self.document.mapping(self.document.mapping(part).get("headers")) for part in responses.values())
        return any(header.lower() in {str(name).lower() for name in part} for part in named)


def material(config: Any) -> Material:
    """Return the material of a configuration as it stands or is entered."""
    host = re.sub(r"\A[a-z]+://", "", str(config.get("base_url") or ""), flags=re.IGNORECASE).partition("/")[0]
    return Material(str(config.get("document") or ""), host)


@lru_cache(maxsize=64)
def _endpoint(kept: str, host: str, name: str) -> Endpoint:
    document = document_of(kept)
    return endpoint(document, document.offered[name], host)


@lru_cache(maxsize=64)
def _fields(kept: str, host: str, name: str) -> dict[str, str]:
    types = Types(document_of(kept))
    one = _endpoint(kept, host, name)
    single = answers.is_single(one.path)
    _, row = answers.place_of(types, one.answer, single=single)
    found: dict[str, str] = {}
    for field, (part, _) in types.properties(row, sent=False).items() if row else ():
        merged = types.merged(part)
        if is_secret(merged):
            continue
        kinds, _ = kinds_of(merged)
        found[field] = next(iter(kinds)) if len(kinds) == 1 else ""
    return found


def _nameless(path: str) -> str:
    return _PLACE.sub("{}", path).rstrip("/")
