"""What an API's document says is only ever sent, and its answers hold all the same: a mark takes its place."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from connectors.kinds.openapi.documents import Document
from connectors.kinds.openapi.reading import Unusable
from connectors.redaction import HIDDEN

_EITHER = ("allOf", "oneOf", "anyOf")
_BRANCHES = ("then", "else")
MOST_PARTS = 3000  # of one schema; what is put together of more is hidden whole


def is_secret(schema: Mapping[str, Any]) -> bool:
    """Tell whether a schema describes what is sent and never shown."""
    return schema.get("writeOnly") is True or schema.get("format") == "password"


def secret_in(document: Document, schema: Any, seen: set[int] | None = None) -> bool:
    """Tell whether a secret stands anywhere in what a schema describes. Raises ``Unusable``."""
    known: set[int] = set() if seen is None else seen
    found = document.at(schema)
    if not isinstance(found, dict | list) or id(found) in known:
        return False
    known.add(id(found))
    if isinstance(found, dict) and is_secret(found):
        return True
    return any(secret_in(document, part, known) for part in (found.values() if isinstance(found, dict) else found))


@dataclass(frozen=True)
class Hiding:
    """What is not shown of the answers of one operation."""

    document: Document
    answer: Any  # the schema of a whole answer
    sent: tuple[Any, ...] = ()  # schemas of what is sent to make or change the same records

    @cached_property
    def _is_needed(self) -> bool:
        """Tell whether anything has to be hidden at all: most documents hold nothing of the kind."""
        if not self.document.has_secrets:
            return False
        try:
            return any(secret_in(self.document, schema) for schema in (self.answer, *self.sent))
        except Unusable:
            return True

    def body(self, value: Any) -> Any:
        """Return a copy of a whole answer without what is only ever sent."""
        return self._without(value, [self.answer]) if self._is_needed else value

    def row(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return a copy of a record without what is only ever sent to make or change it."""
        found = self._without(value, self.sent) if self._is_needed and self.sent else value
        return found if isinstance(found, dict) else value

    def hides(self, field: str, row: Any = None) -> bool:
        """Tell whether a field of a record, named in dots, is hidden. ``row``: the schema of such records."""
        if not self._is_needed:
            return False
        schemas: list[Any] = [row, *self.sent]
        for name in field.split("."):
            schemas = [part for one in self._parts(schemas) or () for part in _below(one, name)]
            parts = self._parts(schemas)
            if parts is None or any(map(is_secret, parts)):
                return True
        return False

    def _without(self, value: Any, schemas: Iterable[Any]) -> Any:
        """Return a copy of a value with a mark wherever one of the schemas, or a part of it, says so."""
        if not isinstance(value, dict | list):
            return value
        parts = self._parts(schemas)
        if parts is None:
            return HIDDEN
        if isinstance(value, dict):
            return {name: self._kept(one, [part for known in parts for part in _below(known, name)])
                    for name, one in value.items()}  # fmt: skip
        return [self._kept(one, [part for known in parts for part in _listed(known)]) for one in value]

    def _kept(self, value: Any, schemas: list[Any]) -> Any:
        if value is None or not schemas:
            return value
        parts = self._parts(schemas)
        if parts is None or any(map(is_secret, parts)):
            return HIDDEN
        return self._without(value, schemas)

    def _parts(self, schemas: Iterable[Any]) -> list[Mapping[str, Any]] | None:
        """Return every schema that may describe a value, references followed; ``None`` where they are too many."""
        found: list[Mapping[str, Any]] = []
        waiting, seen = list(schemas), set()
        while waiting:
            raw = waiting.pop()
            if id(raw) in seen:
                continue
            seen.add(id(raw))
            if len(seen) > MOST_PARTS:
                return None
            try:
                one = self.document.at(raw)
            except Unusable:
                continue  # it leads nowhere: nothing is known of what stands there
            if isinstance(one, dict):
                found.append(one)
                waiting += [part for name in _EITHER for part in _list(one.get(name))]
                waiting += [one[name] for name in _BRANCHES if name in one]
        return found


def _below(schema: Mapping[str, Any], name: str) -> list[Any]:
    """Return what an object's schema says of one of its fields."""
    known = schema.get("properties")
    if isinstance(known, dict) and name in known:
        return [known[name]]
    patterns = schema.get("patternProperties")
    # Python's expressions can be made to take for ever: whichever pattern it is, the field may be meant.
    several = list(patterns.values()) if isinstance(patterns, dict) else []
    more = schema.get("additionalProperties")
    return [*several, *([more] if isinstance(more, dict) else [])]


def _listed(schema: Mapping[str, Any]) -> list[Any]:
    """Return what a list's schema says of its items."""
    items = schema.get("items")
    return [*([items] if isinstance(items, dict) else _list(items)), *_list(schema.get("prefixItems"))]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
