"""Which OAuth scopes and keys an API's own document asks for each operation, and what takes each change back."""

from collections.abc import Mapping
from typing import Any

from connectors.kinds.openapi.declarations import NONE
from connectors.kinds.openapi.reading import Unusable
from connectors.kinds.openapi.security import Proof
from connectors.kinds.openapi.writes import by_found
from connectors.kit.needs import Needs, Told


def needs(settings: Any) -> Told:
    """Return the scopes by operation as the document names them."""
    try:
        ready = settings.compiled()
    except Unusable:
        return Told()
    found = {name: Needs(_rights(proofs)) for name, proofs in ready.proofs.items()}
    for name, writing in ready.writes.items():
        told = writing.declaration
        back = f"{told.undo}_marked" if by_found(told) else str(told.undo or "")
        also = _rights(ready.proofs.get(writing.back.endpoint.name, ()))
        mine = (*found.get(name, Needs()).rights, *also)
        found[name] = Needs(tuple(dict.fromkeys(mine)), () if told.undo in (None, NONE) else (back,))
    for name, marked in ready.marked.items():
        found[name] = Needs(found[marked.writing.endpoint.name].rights)
    return Told((), found)


def lasting(settings: Any, operation: str, parameters: Mapping[str, Any]) -> str:
    """Return why nothing takes a write back, as it was declared; blank where something does."""
    try:
        writing = settings.compiled().writes.get(operation)
    except Unusable:
        return ""
    return writing.declaration.undo_reason if writing is not None and writing.declaration.undo == NONE else ""


def _rights(proofs: tuple[Proof, ...]) -> tuple[str, ...]:
    scopes = [f"scope {scope}" for proof in proofs for scope in proof.scopes]
    other = [f"{proof.scheme} ({proof.way.replace('_', ' ')})" for proof in proofs if not proof.scopes]
    return tuple(dict.fromkeys([*scopes, *other]))
