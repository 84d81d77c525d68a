"""From a document, a choice and declarations to operations that can be used; the same input is worked out once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from connectors import texts
from connectors.base import Operation, Read
from connectors.kinds.openapi import answers
from connectors.kinds.openapi.declarations import NONE, Declaration, declared, misplaced
from connectors.kinds.openapi.documents import Document, Offered
from connectors.kinds.openapi.endpoints import Endpoint, endpoint
from connectors.kinds.openapi.hiding import Hiding
from connectors.kinds.openapi.reading import Unusable
from connectors.kinds.openapi.schemas import Types
from connectors.kinds.openapi.security import CLIENT, Proof, proofs_of, token_urls
from connectors.kinds.openapi.writes import MarkedWriting, Reading, Writing, by_found

MOST_CHOSEN = 100
KEY_LETTERS = 40  # of an effect key


@dataclass(frozen=True)
class Asked:
    """What an admin entered, as far as operations depend on it."""

    document: str = field(repr=False)  # the text, or the reference under which it is kept
    base_url: str
    sign_in: tuple[str, ...]
    chosen: tuple[str, ...]
    declarations: str
    token_url: str = ""


@dataclass(frozen=True)
class Compiled:
    """The operations of one connection, by name."""

    reads: Mapping[str, Reading]
    writes: Mapping[str, Writing]
    marked: Mapping[str, MarkedWriting]
    proofs: Mapping[str, tuple[Proof, ...]]
    operations: tuple[Operation, ...]
    root: str  # what paths are appended to
    roots: Mapping[str, str]  # the same for each operation: some are served under a path of their own


@lru_cache(maxsize=4)
def document_of(kept: str) -> Document:
    """Return the document that a text, or the reference to a kept one, holds. Raises ``Unusable``."""
    try:
        return Document(texts.text_of(kept))
    except texts.NotKept as lost:
        raise Unusable(str(lost)) from None


def root_of(document: Document, base_url: str, server: str | None = None) -> str:
    """Return what an operation's path is appended to: the confirmed host, and a path.

    An address that holds no path takes the document's; one that ends with a slash has said that there is none.
    """
    parts = urlsplit(base_url)
    host = f"{parts.scheme}://{parts.netloc}"
    if server is not None:
        return host + server
    return host + (parts.path.rstrip("/") if parts.path else document.base_path())


@lru_cache(maxsize=128)
def compiled(asked: Asked) -> Compiled:
    """Return the operations that were chosen, ready to be used. Raises ``Unusable`` naming what is missing."""
    document = document_of(asked.document)
    declarations = declared(asked.declarations)
    chosen = {name: _offered(document, name) for name in asked.chosen}
    if len(chosen) > MOST_CHOSEN:
        raise Unusable(f"{len(chosen)} operations are chosen; {MOST_CHOSEN} are the most: make several connections.")
    if strange := sorted(set(declarations) - set(chosen)):
        raise Unusable(
            f"{', '.join(strange)[:300]}: declared, but not chosen. Choose the operation, or drop the entry."
        )
    host = urlsplit(asked.base_url).netloc
    ready = {name: endpoint(document, one, host, _hidden(declarations.get(name))) for name, one in chosen.items()}
    proofs = {name: proofs_of(document, name, one.security, asked.sign_in) for name, one in ready.items()}
    needy = [name for name, shown in proofs.items() if any(one.way == CLIENT for one in shown)]
    if needy and not asked.token_url:
        named = ", ".join(token_urls(document))[:300] or "none"
        raise Unusable(
            f"{needy[0]} signs in by OAuth client credentials: enter the token address. The document names {named};"
            " make sure that it is right, for the client secret is sent there."
        )
    reads, writes = {}, {}
    beside = _sent_beside(ready, declarations)
    for name, one in chosen.items():
        told = declarations.get(name, Declaration())
        is_read = one.reads or told.reads
        if wrong := ", ".join(misplaced(told, reads=is_read)):
            raise Unusable(f"{name}: {wrong} cannot be said of a {'read' if is_read else 'write'}.")
        if is_read:
            shape = answers.shape_of(Types(document), ready[name], told)
            reads[name] = Reading(ready[name], shape, told, Hiding(document, ready[name].answer, beside.get(name, ())))
            _keyed(name, reads[name])
    changing = {name: one for name, one in chosen.items() if name not in reads}
    missing = [proposal(document, one) for name, one in changing.items() if name not in declarations]
    if missing:
        raise Unusable(" ".join(missing[:5]))
    for name in changing:
        writes[name] = _writing(ready, reads, name, declarations[name], declarations)
    found = _gathered(reads, writes, proofs)
    roots = {name: root_of(document, asked.base_url, one.server) for name, one in ready.items()}
    return replace(found, root=root_of(document, asked.base_url), roots=roots)


def _sent_beside(ready: Mapping[str, Endpoint], declarations: Mapping[str, Declaration]) -> dict[str, tuple[Any, ...]]:
    """Return, by read, what is sent to make or change the records that it shows."""
    found: dict[str, tuple[Any, ...]] = {}
    for name, told in declarations.items():
        for back in {told.read_back, told.found_by.read if told.found_by else None} - {None}:
            if name in ready and ready[name].sent is not None:
                found[str(back)] = (*found.get(str(back), ()), ready[name].sent)
    return found


def _keyed(name: str, one: Reading) -> None:
    """Hold that a record is named by what may be shown. Raises ``Unusable``."""
    for part, fields in (("key", one.shape.key), ("version", filter(None, [one.shape.version]))):
        if hidden := [field for field in fields if one.hides(field)]:
            raise Unusable(f"{name}.{part}: {hidden[0]} is only ever sent, as a password is: choose another field.")


def _gathered(
    reads: Mapping[str, Reading], writes: Mapping[str, Writing], proofs: Mapping[str, tuple[Proof, ...]]
) -> Compiled:
    marked = {}
    for one in writes.values():
        if by_found(one.declaration):
            back = MarkedWriting(one, writes[str(one.declaration.undo)])
            marked[back.name] = back
    operations: list[Operation] = [
        Read(name, one.endpoint.arguments, one.declaration.label or one.endpoint.label) for name, one in reads.items()
    ]
    operations += [one.operation() for one in writes.values()]
    operations += [one.operation() for one in marked.values()]
    return Compiled(reads, writes, marked, proofs, tuple(operations), "", {})


def _offered(document: Document, name: str) -> Offered:
    found = document.offered.get(name)
    if found is None:
        raise Unusable(f"The document has no operation {name[:100]}.")
    return found


def _hidden(told: Declaration | None) -> frozenset[str]:
    """Return what Goldseam fills itself, so that nobody else can."""
    if told is None:
        return frozenset()
    return frozenset(filter(None, (told.marker, told.idempotency_key, *told.fixed)))


def _writing(
    ready: Mapping[str, Endpoint],
    reads: Mapping[str, Reading],
    name: str,
    told: Declaration,
    declarations: Mapping[str, Declaration],
) -> Writing:
    """Hold a write's declaration against its operation and the others. Raises ``Unusable``."""
    one = ready[name]
    back = reads.get(told.read_back or "")
    if back is None:
        raise Unusable(f"{name}.read_back: name a chosen read that shows the record; {_listed(reads)}.")
    if back.shape.single and not any(back.shape.key.values()):
        raise Unusable(f"{told.read_back}.key: say which field of the record is the one that it was asked for by.")
    _filled(name, told, one)
    finder = None
    if told.found_by is not None:
        finder = reads.get(told.found_by.read)
        if finder is None:
            raise Unusable(f"{name}.found_by.read: name a chosen read that finds the mark; {_listed(reads)}.")
    if told.undo is None:
        raise Unusable(f"{name}.undo: name the chosen write that takes it back, or “{NONE}” where nothing does.")
    inverse = None
    if told.undo != NONE:
        inverse = ready.get(told.undo)
        if inverse is None or told.undo in reads:
            raise Unusable(f"{name}.undo: {told.undo} is no chosen write.")
        _undoable(name, told, inverse, declarations)
    _named(name, told, one, back, inverse)
    repeatable = one.method in ("PUT", "DELETE") or told.removes
    if (told.creates or told.financial) and not repeatable and not (told.idempotency_key or told.marker):
        raise Unusable(
            f"{name}: where the answer is lost it could be done twice. Declare idempotency_key (a header that the other"
            " side honours), or marker and found_by."
        )
    if not (told.creates or told.removes or told.becomes or told.sets or (told.sets is None and one.body_names)):
        raise Unusable(f"{name}: say what the read-back shows afterwards: sets, becomes, creates or removes.")
    return Writing(one, told, back, finder, inverse)


def _filled(name: str, told: Declaration, one: Endpoint) -> None:
    """Hold that the body has the fields that Goldseam fills, and that they can hold what they are filled with."""
    values: dict[str, Any] = {**told.fixed, **({told.marker: "k" * KEY_LETTERS} if told.marker else {})}
    for wire, value in values.items():
        if wire not in one.filled:
            raise Unusable(f"{name}: the body has no field {wire} that could be filled.")
        try:
            TypeAdapter(one.filled[wire].type).validate_python(value)
        except ValidationError as invalid:
            said = invalid.errors(include_url=False)[0]["msg"]
            raise Unusable(f"{name}: the field {wire} cannot hold what it is filled with: {said}.") from None


def _undoable(name: str, told: Declaration, inverse: Endpoint, declarations: Mapping[str, Declaration]) -> None:
    if not by_found(told):
        return
    back = declarations.get(inverse.name, Declaration())
    if told.marker is None or told.found_by is None:
        raise Unusable(f"{name}.undo_with: found.… needs marker and found_by: else the made record is not found again.")
    if any(isinstance(source, str) and source.startswith("argument.") for source in told.found_by.given.values()):
        raise Unusable(f"{name}.found_by.with: to undo, the record is looked for by effect_key alone.")
    if not (back.removes or back.becomes):
        raise Unusable(f"{inverse.name}: say what the read-back shows afterwards: removes or becomes.")
    strange = [part for part in (told.undo_with or {}).values() if isinstance(part, str) and part.startswith("before.")]
    if strange:
        raise Unusable(f"{name}.undo_with: {strange[0]} is not there before the record is made: write found.… instead.")


def _named(name: str, told: Declaration, one: Endpoint, back: Reading, inverse: Endpoint | None) -> None:
    """Hold that every argument that is named exists where it is used. Raises ``Unusable``."""
    own = set(one.arguments.model_fields)
    checks: list[tuple[str, set[str], set[str]]] = [
        ("with", set(told.given or {}), set(back.endpoint.arguments.model_fields)),
        ("match", set(told.match), own),
        ("sets", set(told.sets or {}), own),
        ("undo_with", set(told.undo_with or {}), set(inverse.arguments.model_fields) if inverse else set()),
    ]
    sources = [*(told.given or {}).values(), *(told.undo_with or {}).values(), told.amount, told.currency]
    used = {
        part.removeprefix("argument.") for part in sources if isinstance(part, str) and part.startswith("argument.")
    }
    checks.append(("argument", used, own))
    for part, given, known in checks:
        if strange := sorted(given - known):
            raise Unusable(
                f"{name}.{part}: there is no argument {', '.join(strange)[:200]}; known are"
                f" {', '.join(sorted(known))[:300] or 'none'}."
            )
    _hidden_stays(name, told, one, inverse)
    _shows(name, told, back)
    needed = {n for n, info in back.endpoint.arguments.model_fields.items() if info.is_required()}
    given_now = set(told.given) if told.given is not None else own
    if lacking := sorted(needed - given_now):
        raise Unusable(f"{name}.with: {told.read_back} needs {', '.join(lacking)}: say where it comes from.")


def _hidden_stays(name: str, told: Declaration, one: Endpoint, inverse: Endpoint | None) -> None:
    """Hold that what is only ever sent is neither shown nor compared. Raises ``Unusable``."""
    back = inverse.secret if inverse else frozenset()
    shown = {source for into, source in (told.undo_with or {}).items() if into not in back}
    shown |= {*(told.given or {}).values(), *((told.found_by.given if told.found_by else {}).values()), told.amount}
    used = {part.removeprefix("argument.") for part in shown if isinstance(part, str)} | set(told.match)
    if open_ones := sorted(one.secret & (used | set(told.sets or {}))):
        raise Unusable(
            f"{name}: {', '.join(open_ones)} is only ever sent, as a password is: nothing can be read by it."
        )


def _shows(name: str, told: Declaration, back: Reading) -> None:
    """Hold that nothing is expected of a field that is never shown. Raises ``Unusable``."""
    named = [*(told.undo_with or {}).values(), told.amount, told.currency]
    sources = (part.partition(".") for part in named if isinstance(part, str))
    mark = (told.found_by.field or told.marker) if told.found_by else None
    parts: list[tuple[str, Iterable[str]]] = [
        ("becomes", told.becomes),
        ("match", told.match.values()),
        ("sets", (told.sets or {}).values()),
        ("marker", [mark] if mark else []),
        ("undo_with", [field for place, _, field in sources if place in ("before", "found")]),
    ]
    for part, fields in parts:
        if hidden := [field for field in fields if back.hides(field)]:
            raise Unusable(
                f"{name}.{part}: {hidden[0]} is only ever sent, as a password is: nothing can be read by it."
            )


def _listed(reads: Mapping[str, Reading]) -> str:
    return f"chosen are {', '.join(sorted(reads))[:300]}" if reads else "none is chosen"


def proposal(document: Document, one: Offered) -> str:
    """Say what to declare of a write to begin with, as the document suggests it: to be read before it is used."""
    same = [other for other in document.offered.values() if other.reads and other.path == one.path]
    below = [other for other in document.offered.values() if other.reads and other.path.startswith(one.path + "/{")]
    read = next((other.name for other in (*same, *below)), "NAME.OF.A.READ")
    parts = [f"read_back: {read}"]
    if one.method == "DELETE":
        parts += ["removes: true", f"undo: {NONE}"]
    elif one.method == "POST" and not one.path.rstrip("/").endswith("}"):
        parts += ["creates: true", "idempotency_key: Idempotency-Key", f"undo: {NONE}"]
    else:
        parts.append(f"undo: {one.name if one.method in ('PATCH', 'PUT') else NONE}")
    begin = f"{one.name} is not declared. Begin with “{one.name}: {{{', '.join(parts)}}}”"
    return f"{begin}; a POST that only searches with “{one.name}: {{reads: true}}”."
