"""Simple BPMN 2.0 models: read without trust, played through, and reduced to what may follow what.

Understood: tasks of every kind, start, end and intermediate events, exclusive, event-based and parallel gateways,
loops, several starts and ends. Refused with a reason: sub-processes, boundary events, inclusive and complex gateways.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from audit.errors import Invalid
from insights.mining.references import Reference

MOST_BYTES = 2 * 1024 * 1024
MOST_NODES = 500
MOST_STATES = 20_000
_MODEL = "{http://www.omg.org/spec/BPMN/20100524/MODEL}"
_TASKS = {
    *("task", "userTask", "serviceTask", "manualTask", "scriptTask", "businessRuleTask", "sendTask", "receiveTask"),
    "callActivity",
}
_SILENT = {"intermediateCatchEvent", "intermediateThrowEvent"}
_CHOICES = {"exclusiveGateway", "eventBasedGateway"}
_NODES = _TASKS | _SILENT | _CHOICES | {"startEvent", "endEvent", "parallelGateway"}
_REFUSED = {
    "subProcess": "a sub-process",
    "adHocSubProcess": "a sub-process",
    "transaction": "a transaction",
    "boundaryEvent": "a boundary event",
    "inclusiveGateway": "an inclusive gateway",
    "complexGateway": "a complex gateway",
}
Marking = frozenset[str]
DONE: Marking = frozenset()


@dataclass
class _Node:
    kind: str
    name: str
    incoming: list[str] = field(default_factory=list)
    outgoing: list[str] = field(default_factory=list)
    ends_all: bool = False


def read_bpmn(body: bytes, *, name: str, duties: tuple[tuple[str, str], ...] = ()) -> Reference:
    """Return the model that a BPMN 2.0 file holds. Raises ``Invalid`` with the reason where it holds none."""
    nodes = _nodes(_root(body))
    graph = _played(nodes)
    return _reduced(graph, name, duties)


def _refuse(reason: str) -> Invalid:
    return Invalid(f"This BPMN model cannot be used: {reason}", {"file": [reason]})


def _root(body: bytes) -> Any:
    if len(body) > MOST_BYTES:
        raise _refuse(f"It is larger than {MOST_BYTES // 1024 // 1024} MB.")
    try:
        return ElementTree.fromstring(body, forbid_dtd=True)
    except DefusedXmlException:
        raise _refuse("It declares a DTD or entities, which are never read.") from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise _refuse(f"It is no well-formed XML ({error}).") from None


def _nodes(root: Any) -> dict[str, _Node]:
    processes = [one for one in root.iter(f"{_MODEL}process") if any(_local(node) in _TASKS for node in one)]
    if len(processes) != 1:
        raise _refuse(f"It holds {len(processes)} processes with tasks; exactly one is needed.")
    nodes: dict[str, _Node] = {}
    for one in processes[0]:
        kind = _local(one)
        if kind in _REFUSED:
            raise _refuse(f"It holds {_REFUSED[kind]}, which is not understood.")
        if kind in _NODES:
            nodes[one.get("id", "")] = _node(one, kind)
    for one in processes[0].iter(f"{_MODEL}sequenceFlow"):
        source, target = nodes.get(one.get("sourceRef", "")), nodes.get(one.get("targetRef", ""))
        if source is None or target is None:
            raise _refuse(f"The flow {one.get('id', '')!r:.80} does not join two of its elements.")
        source.outgoing.append(one.get("id", ""))
        target.incoming.append(one.get("id", ""))
    if len(nodes) > MOST_NODES:
        raise _refuse(f"It has more than {MOST_NODES} elements.")
    return nodes


def _local(element: Any) -> str:
    tag = element.tag
    return tag.removeprefix(_MODEL) if isinstance(tag, str) and tag.startswith(_MODEL) else ""


def _node(element: Any, kind: str) -> _Node:
    name = " ".join((element.get("name") or "").split())
    if kind in _TASKS and not name:
        raise _refuse(f"The task {element.get('id', '')!r:.80} has no name; a name must be that of an activity.")
    terminates = any(_local(one) == "terminateEventDefinition" for one in element)
    return _Node(kind, name, ends_all=kind == "endEvent" and terminates)


@dataclass
class _Graph:
    """Every state that the model can be in, with the moves between them; a move without a name is silent."""

    starts: list[Marking]
    moves: dict[Marking, list[tuple[str, Marking]]]


def _played(nodes: dict[str, _Node]) -> _Graph:
    starts = [frozenset(node.outgoing) for node in nodes.values() if node.kind == "startEvent" and node.outgoing]
    if not starts:
        raise _refuse("It has no start event with a flow that leaves it.")
    graph = _Graph(starts, {})
    waiting = list(starts)
    while waiting:
        marking = waiting.pop()
        if marking in graph.moves:
            continue
        graph.moves[marking] = [move for node in nodes.values() for move in _moves(node, marking)]
        waiting += [target for _, target in graph.moves[marking]]
        if len(graph.moves) > MOST_STATES:
            raise _refuse("It can be in too many states; make it simpler.")
    return graph


def _moves(node: _Node, marking: Marking) -> Iterable[tuple[str, Marking]]:
    tokens = [flow for flow in node.incoming if flow in marking]
    if not tokens:
        return
    name = node.name if node.kind in _TASKS else ""
    if node.kind == "parallelGateway":
        if len(tokens) == len(node.incoming):
            yield name, _moved(marking, tokens, node.outgoing)
        return
    for token in tokens:
        if node.kind in _CHOICES:
            for flow in node.outgoing:
                yield name, _moved(marking, [token], [flow])
        elif node.ends_all:
            yield name, DONE
        else:
            yield name, _moved(marking, [token], node.outgoing)


def _moved(marking: Marking, taken: list[str], given: list[str]) -> Marking:
    left = marking - set(taken)
    if left & set(given):
        raise _refuse("A flow can be waiting twice at once: a join is missing after a parallel split.")
    return left | set(given)


def _reduced(graph: _Graph, name: str, duties: tuple[tuple[str, str], ...]) -> Reference:
    alive = _can_end(graph)
    if not any(start in alive for start in graph.starts):
        raise _refuse("No way leads from its start to its end.")
    after = {state: _after(graph, alive, state) for state in alive}
    fired = [(label, target) for state in alive for label, target in graph.moves[state] if label and target in alive]
    starts = [state for state in graph.starts if state in alive]
    known = {label for label, _ in fired}
    return Reference(
        name=name,
        source="bpmn",
        activities=tuple(sorted(known)),
        starts=tuple(sorted({one for state in starts for one in after[state][0]})),
        ends=tuple(sorted({label for label, target in fired if after[target][1]})),
        follows=tuple(sorted({(label, one) for label, target in fired for one in after[target][0]})),
        required=tuple(sorted(one for one in known if not _avoidable(graph, starts, one))),
        duties=duties,
    )


def _can_end(graph: _Graph) -> set[Marking]:
    """Return the states from which the end can be reached; the others are dead ends that no case should be in."""
    before: dict[Marking, list[Marking]] = {}
    for state, moves in graph.moves.items():
        for _, target in moves:
            before.setdefault(target, []).append(state)
    found: set[Marking] = set()
    waiting = [DONE] if DONE in graph.moves else []
    while waiting:
        state = waiting.pop()
        if state not in found:
            found.add(state)
            waiting += before.get(state, ())
    return found


def _after(graph: _Graph, alive: set[Marking], state: Marking) -> tuple[set[str], bool]:
    """Return which activities can come next, and whether the process can end here, with silent moves in between."""
    names: set[str] = set()
    seen: set[Marking] = set()
    waiting = [state]
    while waiting:
        one = waiting.pop()
        if one in seen or one not in alive:
            continue
        seen.add(one)
        for label, target in graph.moves[one]:
            if label and target in alive:
                names.add(label)
            elif not label:
                waiting.append(target)
    return names, DONE in seen


def _avoidable(graph: _Graph, starts: list[Marking], name: str) -> bool:
    seen: set[Marking] = set()
    waiting = list(starts)
    while waiting:
        state = waiting.pop()
        if state == DONE:
            return True
        if state not in seen:
            seen.add(state)
            waiting += [target for label, target in graph.moves[state] if label != name]
    return False
