"""Which systems a playbook joins, and which labelled fields it sends where: asked when it is saved and when it runs.

One flow is the playbook's steps and the evidence of the kind that it mends. What an expression takes from a record is
told from its text: ``order.Amount`` is that field alone; anything less plain (a whole record, a macro, a computed
index) counts as every labelled field of the system that the record came from.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from connectors.door import classes
from connectors.models import Connection
from incidents.expressions import MACROS, compile_expression
from incidents.kinds import KindDefinition
from playbooks.definitions import PlaybookDefinition, StepDefinition

_DERIVED = re.compile(r"(?<![\w.\"'])derived\.([A-Za-z_]\w*)")
_SLOT = re.compile(r"(?<![\w.\"'])slots\.([A-Za-z_]\w*)")
# order[0].customer.Name
_CHAIN = re.compile(r"(?:(?:\[\d+\])?\s*\.\s*[A-Za-z_]\w*)+(?:\[\d+\])?")
_NAME = re.compile(r"\.\s*([A-Za-z_]\w*)")
_WHOLE = "*"
Carried = frozenset[tuple[str, str]]  # (connection, field); “*” is all of them


@dataclass
class _Flow:
    definition: PlaybookDefinition
    kind: KindDefinition
    connections: Mapping[str, Connection]
    origins: Mapping[str, str]  # the evidence's name → its connection
    walked: dict[str, Carried] = field(default_factory=dict)


def objections(definition: PlaybookDefinition, kind: KindDefinition) -> dict[str, list[str]]:
    """Say what the data classes and labels of the connections speak against, per path; empty: nothing."""
    connections = _connections(definition, kind)
    if not _governed(connections.values()):
        return {}
    origins = {query.name: query.connection for query in kind.evidence}
    flow = _Flow(definition, kind, connections, origins)
    found: dict[str, list[str]] = {}
    for number, step in enumerate(definition.steps):
        target = connections.get(step.connection)
        if target is None:
            continue
        if said := classes.blocked(target):
            found.setdefault(f"steps[{number}].connection", []).append(said)
        for name, messages in _sent(flow, step, target):
            found.setdefault(f"steps[{number}].arguments.{name}", []).extend(messages)
    if said := classes.mixed(connections.values()):
        found.setdefault("steps", []).append(said)
    return found


def forbids(definition: PlaybookDefinition, kind: KindDefinition) -> str:
    """Return the objections in one sentence; blank: there are none."""
    found = objections(definition, kind)
    return "; ".join(f"{where}: {text}" for where, texts in sorted(found.items()) for text in texts)


def to_model(model: Connection, kind: KindDefinition) -> str:
    """Say why a model may not be told of evidence of this kind; blank: it may.

    A prompt speaks of what was found, so each labelled field of a system that evidence is read from may be in it.
    """
    slugs = {query.connection for query in kind.evidence}
    sources = list(Connection.objects.filter(slug__in=slugs))
    if said := classes.blocked(model) or classes.mixed([model, *sources]):
        return said
    named = ((one, name, str(label)) for one in sources for name, label in sorted(one.labels.items()))
    said_of = (classes.uncleared(model, name, label, one.slug) for one, name, label in named)
    return next((said for said in said_of if said), "")


def _connections(definition: PlaybookDefinition, kind: KindDefinition) -> dict[str, Connection]:
    slugs = {step.connection for step in definition.steps} | {query.connection for query in kind.evidence}
    slugs |= {detection.connection for detection in kind.detect} if _tells(definition) else set()
    return {row.slug: row for row in Connection.objects.filter(slug__in=slugs)}


def _tells(definition: PlaybookDefinition) -> bool:
    """Tell whether the playbook may look into the signals themselves."""
    return any("signals" in source for _, source in definition.expressions())


def _governed(connections: Iterable[Connection]) -> bool:
    return any(one.labels for one in connections) or len({one.data_class for one in connections} - {"business"}) > 0


def _sent(flow: _Flow, step: StepDefinition, target: Connection) -> Iterable[tuple[str, list[str]]]:
    """Yield what of a step's arguments may not be sent to its connection."""
    for name, source in step.arguments.items():
        messages = [classes.uncleared(target, name, classes.label_of(target, name))]
        if isinstance(source, str):
            messages += [_uncleared(flow, target, *one) for one in sorted(_carried(flow, source))]
        told = [message for message in dict.fromkeys(messages) if message]
        if told:
            yield name, told


def _uncleared(flow: _Flow, target: Connection, slug: str, name: str) -> str:
    source = flow.connections.get(slug)
    if source is None:
        return ""
    if name != _WHOLE:
        return classes.uncleared(target, name, classes.label_of(source, name), slug)
    said = (classes.uncleared(target, field, str(label), slug) for field, label in sorted(source.labels.items()))
    first = next((text for text in said if text), "")
    return f"It does not say plainly which fields it takes. {first}" if first else ""


def _carried(flow: _Flow, source: str) -> Carried:
    """Return the fields of other systems that an expression may take its value from."""
    if source in flow.walked:
        return flow.walked[source]
    flow.walked[source] = frozenset()  # what stands in itself carries nothing more
    carried: set[tuple[str, str]] = set()
    for name in compile_expression(source).references():
        if name in flow.origins:
            carried |= {(flow.origins[name], one) for one in _fields(source, name)}
        elif name == "signals":
            carried |= {(detection.connection, _WHOLE) for detection in flow.kind.detect}
    for text in _below(flow, source):
        carried |= _carried(flow, text)
    flow.walked[source] = frozenset(carried)
    return flow.walked[source]


def _fields(source: str, name: str) -> set[str]:
    """Return the fields that are plainly taken from a record called ``name``; “*” where that cannot be told."""
    fields: set[str] = set()
    for place in re.finditer(rf"(?<![\w.]){re.escape(name)}(?!\w)", source):
        chain = _CHAIN.match(source, place.end())
        taken = _NAME.findall(chain[0]) if chain else []
        after = source[chain.end() :].lstrip()[:1] if chain else ""
        if after == "(":
            # What is called is a macro, which may look at anything, or a function of the field before it.
            taken = [] if taken[-1] in MACROS else taken[:-1]
        fields |= set(taken) if taken and after != "[" else {_WHOLE}
    return fields or {_WHOLE}


def _below(flow: _Flow, source: str) -> list[str]:
    """Return the expressions that ``derived`` and ``slots`` stand for in an expression."""
    texts = [flow.kind.derived[name] for name in _DERIVED.findall(source) if name in flow.kind.derived]
    for name in _SLOT.findall(source):
        slot = flow.definition.slots.get(name)
        texts += [text for text in (slot.default, slot.source) if text] if slot else []
    return texts
