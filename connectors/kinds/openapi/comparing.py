"""What a document says of itself, and what another document changes about the operations that are used of it."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors import texts
from connectors.kinds.openapi.compiling import root_of
from connectors.kinds.openapi.documents import Document
from connectors.kinds.openapi.endpoints import Endpoint
from connectors.kinds.openapi.material import Material, material
from connectors.kinds.openapi.reading import Unusable
from connectors.kinds.openapi.schemas import Types
from connectors.kit.declaring import Described, Difference

MOST_NAMED = 20
# Words for people: what they say changes nothing about what is sent.
_WORDS = frozenset(("description", "summary", "title", "example", "examples", "externalDocs", "tags", "operationId"))
# What stands below these is named by the document's author, or is a value: all of it counts.
_NAMES = frozenset(("properties", "patternProperties", "$defs", "responses", "content", "headers", "dependentSchemas"))
_VALUES = frozenset(("enum", "const", "default", "required"))


def described(document: Document) -> Described:
    """Return what a document says of itself, and where it leads out of itself."""
    info = document.mapping(document.whole.get("info"))
    servers = document.whole.get("servers")
    urls = [one.get("url") for one in servers if isinstance(one, dict)] if isinstance(servers, list) else []
    hosts = [re.split(r"[/?#]", url.partition("://")[2])[0] for url in urls if isinstance(url, str) and "://" in url]
    outside = (str(one)[:200] for one in _references(document.whole) if not one.startswith("#"))
    return Described(
        document.title,
        " ".join(str(info.get("version") or "").split())[:60],
        len(document.offered),
        document.digest,
        tuple(dict.fromkeys(host[:100] for host in hosts if host))[:MOST_NAMED],
        tuple(dict.fromkeys(outside))[:MOST_NAMED],
    )


def _references(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(one.get("$ref"), str):
                yield one["$ref"]
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Return what the document of ``after`` changes about the operations that ``before`` uses; most often nothing."""
    old, new = material({**before, "base_url": after.get("base_url")}), material(after)
    names = dict.fromkeys([*(before.get("chosen") or ()), *(before.get("waiting") or ())])
    if not old.kept or not new.kept or texts.reference_to(old.kept) == texts.reference_to(new.kept):
        return []
    try:
        was, becomes = _Told(old, str(after.get("base_url"))), _Told(new, str(after.get("base_url")))
        known = {(one.method, one.path): one.name for one in becomes.known.offered.values()}
        found = [_difference(was, becomes, known, name) for name in names if name in was.known.offered]
    except Unusable:
        return []  # the validator says so beside its field
    return [one for one in found if one.changes]


def _difference(was: "_Told", becomes: "_Told", known: Mapping[tuple[str, str], str], name: str) -> Difference:
    one, other = was.known.offered[name], becomes.known.offered.get(name)
    request = f"{one.method} {one.path}"
    if other is None:
        now = known.get((one.method, one.path))
        said = f"is called {now} now: choose it anew" if now else "is not in the other document"
        return Difference(name, request, (said,), gone=True)
    try:
        old = was.facets(name)
    except Unusable:
        return Difference(name, request, ())  # it could not be used before either
    try:
        new = becomes.facets(name)
    except Unusable as refused:
        return Difference(name, request, (f"cannot be used any more: {refused}",), gone=True)
    moved = f"is {other.method} {other.path} now" if (one.method, one.path) != (other.method, other.path) else ""
    return Difference(name, request, tuple(filter(None, [moved, *_said(old, new)])))


@dataclass(frozen=True)
class _Facets:
    """What counts about an operation, each part as a digest of all that it refers to."""

    arguments: Mapping[str, tuple[bool, str]]  # whether it is required, and its schema
    answers: Mapping[str, str]  # the fields of its records
    root: str
    security: str
    whole: str


def _said(old: _Facets, new: _Facets) -> Iterator[str]:
    """Say what differs, the most dangerous first."""
    added = [name for name in new.arguments if name not in old.arguments]
    both = [name for name in new.arguments if name in old.arguments]
    yield _names("needs a new argument", [name for name in added if new.arguments[name][0]])
    yield _names("needs now what could be left out", [
        name for name in both if new.arguments[name][0] and not old.arguments[name][0]
    ])  # fmt: skip
    yield _names("no longer takes", [name for name in old.arguments if name not in new.arguments])
    yield _names("takes other values in", [name for name in both if new.arguments[name][1] != old.arguments[name][1]])
    yield _names("may leave out", [name for name in both if old.arguments[name][0] and not new.arguments[name][0]])
    yield _names("may also take", [name for name in added if not new.arguments[name][0]])
    yield _names("no longer answers", [name for name in old.answers if name not in new.answers])
    yield _names("answers otherwise in", [
        name for name in old.answers if name in new.answers and old.answers[name] != new.answers[name]
    ])  # fmt: skip
    yield _names("also answers", [name for name in new.answers if name not in old.answers])
    yield f"is served at {new.root} now" if old.root != new.root else ""
    yield "signs in in another way" if old.security != new.security else ""
    if (old.arguments, old.answers) == (new.arguments, new.answers) and old.whole != new.whole:
        yield "is described otherwise in details of what it takes or answers"


def _names(said: str, names: Iterable[str]) -> str:
    told = list(names)
    more = f" and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
    return f"{said}: {', '.join(told[:MOST_NAMED])}{more}" if told else ""


class _Told:
    """What one document tells of its operations, in a form that can be held against another's."""

    def __init__(self, known: Material, base_url: str) -> None:
        self.known, self.document, self.base_url = known, known.document, base_url
        self._parts: dict[str, tuple[str, list[str]]] = {}

    def facets(self, name: str) -> _Facets:
        """Return what counts about an operation. Raises ``Unusable``."""
        one, offered = self.known.endpoint(name), self.known.offered[name]
        fields = self._answers(name)
        return _Facets(
            self._arguments(one),
            fields,
            root_of(self.document, self.base_url, one.server),
            self._security(one.security),
            self._digest([offered.body, offered.item.get("parameters")]),
        )

    def _arguments(self, one: Endpoint) -> dict[str, tuple[bool, str]]:
        found = {
            name: (part.required, self._digest([part.place, part.name, part.schema, part.style, part.explode]))
            for name, part in one.parameters.items()
        }
        known = {} if one.whole_body else Types(self.document).properties(one.sent or {})
        for slot in one.slots:
            schema = one.sent if one.whole_body else known[slot.wire][0]
            found[slot.name] = (slot.required, self._digest([slot.wire, schema]))
        return found

    def _answers(self, name: str) -> dict[str, str]:
        if not self.known.offered[name].reads:
            return {}
        try:
            return dict(self.known.fields(name))
        except Unusable:
            return {}

    def _security(self, told: Any) -> str:
        schemes = self.document.mapping(
            self.document.mapping(self.document.whole.get("components")).get("securitySchemes")
        )
        names = {name for one in told if isinstance(one, dict) for name in one} if isinstance(told, list) else set()
        return self._digest([told, {name: schemes.get(name) for name in sorted(names)}])

    def _digest(self, value: Any) -> str:
        """Return a digest of a part of the document with everything that it refers to, each once."""
        bare, waiting = _bare(value)
        seen: dict[str, str] = {}
        while waiting:
            reference = waiting.pop()
            if reference not in seen:
                seen[reference], more = self._part(reference)
                waiting.extend(more)
        return _mark([bare, sorted(seen.items())])

    def _part(self, reference: str) -> tuple[str, list[str]]:
        if reference not in self._parts:
            try:
                bare, more = _bare(self.document.at({"$ref": reference}))
            except Unusable as lost:
                bare, more = str(lost), []
            self._parts[reference] = (_mark(bare), more)
        return self._parts[reference]


def _bare(value: Any) -> tuple[Any, list[str]]:
    """Return a part of a document without words for people, and the references in it."""
    found: list[str] = []

    def without(part: Any, *, named: bool) -> Any:
        if isinstance(part, list):
            return [without(one, named=False) for one in part]
        if not isinstance(part, dict):
            return part
        if isinstance(part.get("$ref"), str) and not named:
            found.append(part["$ref"])
        kept = {}
        for name, one in part.items():
            if not named and (name in _WORDS or name.startswith("x-")):
                continue
            kept[name] = one if name in _VALUES and not named else without(one, named=not named and name in _NAMES)
        return kept

    return without(value, named=False), found


def _mark(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
