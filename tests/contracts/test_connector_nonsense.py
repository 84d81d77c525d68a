"""Every kind against systems that answer nonsense: a kind declares nothing for it, one registry line is enough."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import find, settings
from hypothesis.strategies import SearchStrategy, characters, from_regex

from connectors import gateway, registry, transport
from connectors.base import Arguments, Connector, ConnectorError, NotFound, Operation, Refused, Reversible, Write
from connectors.inbound import polling
from connectors.kit import credentials
from connectors.models import Call, Connection
from connectors.wire import model as modelwire
from tests.contracts.test_connector_kinds import ALL, EACH_KIND, SECRET, WRITES, connection_of, operations_of

pytestmark = pytest.mark.any_database


def example_of(model: type[Arguments]) -> dict[str, Any]:
    """Values that fit an operation's arguments, made from its own schema: a new kind needs to declare nothing more."""
    schema = model.model_json_schema()
    known, parts = schema.get("$defs", {}), schema.get("properties", {})
    return {name: _example(parts[name], known) for name in schema.get("required", [])}


def _example(part: dict[str, Any], known: dict[str, Any]) -> Any:
    if "$ref" in part:
        part = known[part["$ref"].rpartition("/")[2]]
    if "anyOf" in part:
        return _example(part["anyOf"][0], known)
    if "examples" in part:
        return part["examples"][0]
    if "enum" in part:
        return part["enum"][0]
    kind = part.get("type")
    if kind == "object":
        return {name: _example(part["properties"][name], known) for name in part.get("required", [])}
    if kind == "array":
        return [_example(part["items"], known)] * max(part.get("minItems", 0), 1)
    if part.get("format") == "date-time":
        return "2026-11-23T00:00:00Z"
    return {"integer": 1, "number": 1, "boolean": True}.get(str(kind), _text(part.get("pattern", "")))


def _text(pattern: str) -> str:
    candidates = ("demf", "500gs0000000001AAA", "2026-11", "Case", "x")
    return next((text for text in candidates if re.search(pattern, text)), None) or _simplest(pattern)


@cache
def _simplest(pattern: str) -> str:
    fitting: SearchStrategy[str] = from_regex(pattern, alphabet=characters(codec="ascii"))
    return find(fitting, bool, settings=settings(derandomize=True, database=None))


NONSENSE: dict[str, tuple[int, bytes, dict[str, str]]] = {
    "an empty answer": (200, b"", {}),
    "a web page": (200, b"<!DOCTYPE html><p>sign in", {"content-type": "text/html"}),
    "a list": (200, b"[]", {}),
    "a number": (200, b"7", {}),
    "an object that says nothing": (200, b"{}", {}),
    "half of an object": (200, b'{"value": [{', {}),
    "another alphabet": (200, b"\xff\xfe\x00", {}),
    "a page under 404": (404, b"<html>", {"content-type": "text/html"}),
    "a refusal": (400, b'{"error": "no"}', {}),
    "a conflict": (409, b"[]", {}),
    "a changed record": (412, b"", {}),
    "a limit": (429, b"", {"retry-after": "3"}),
    "a failure": (500, b"oops", {}),
    "a redirect": (302, b"", {"location": "https://evil.test/"}),
}


class Babble:
    """Every system at once, answering every request with the same nonsense; tokens are given out as they should be."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.answer = (status, body, headers)
        self.hosts: set[str] = set()

    def of(self, library: Any) -> Any:
        def respond(request: Any) -> Any:
            self.hosts.add(request.url.host)
            if request.url.path.endswith("/token"):
                return library.Response(200, stream=library.ByteStream(b'{"access_token": "t"}'))
            status, body, headers = self.answer
            return library.Response(status, headers=headers, stream=library.ByteStream(body))

        return library.MockTransport(respond)


@pytest.fixture
def babble(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Babble]]:
    """Let every line to the network, whichever library it uses, end in nonsense."""

    def start(name: str) -> Babble:
        system = Babble(*NONSENSE[name])
        monkeypatch.setattr(transport, "wire", lambda: system.of(httpx))
        monkeypatch.setattr(modelwire, "wire", lambda: system.of(httpx2))
        monkeypatch.setattr("connectors.wire.addresses.checked_url", lambda url: None)
        return system

    credentials.forget_all()
    transport.close_all()
    modelwire.close_all()
    yield start
    credentials.forget_all()
    transport.close_all()
    modelwire.close_all()


@pytest.mark.parametrize(("kind", "operation"), ALL)
def test_the_schema_of_an_operation_is_enough_to_use_it(kind: type[Connector], operation: Operation) -> None:
    valid = operation.arguments.model_validate(example_of(operation.arguments))

    assert operation.arguments.model_validate(valid.model_dump(mode="json")) == valid


@pytest.mark.parametrize("name", NONSENSE)
@EACH_KIND
def test_nonsense_ends_every_operation_in_an_exact_failure_or_in_nothing_found(
    kind: type[Connector], name: str, db: None, babble: Callable[[str], Babble]
) -> None:
    connection, system = connection_of(kind), babble(name)

    for operation in operations_of(kind):
        arguments = example_of(operation.arguments)
        Connection.objects.update(not_before=None)
        with suppress(ConnectorError):
            gateway.call(connection, operation.name, arguments, actor="test", effect_key="k" * 64)

    rows = list(Call.objects.all())
    assert len(rows) == len(operations_of(kind))
    assert all(row.finished_at is not None and row.outcome not in ("open", "failed") for row in rows)
    assert all(row.message or row.outcome == "ok" for row in rows)
    assert SECRET not in f"{[vars(row) for row in rows]}"
    assert "evil.test" not in system.hosts


@pytest.mark.parametrize("name", NONSENSE)
@EACH_KIND
def test_nonsense_is_no_trace_of_an_effect_and_no_sight_of_a_record(
    kind: type[Connector], name: str, db: None, babble: Callable[[str], Babble]
) -> None:
    connection = connection_of(kind)
    babble(name)

    for write in operations_of(kind):
        if not isinstance(write, Write):
            continue
        for use in (gateway.find, gateway.observe):
            more: dict[str, Any] = {"effect_key": "k" * 64} if use is gateway.find else {}
            Connection.objects.update(not_before=None)
            with suppress(ConnectorError):
                found = use(connection, write.name, example_of(write.arguments), actor="test", **more)
                assert not found or name == "a page under 404"

    assert not Call.objects.filter(outcome__in=("open", "failed")).exists()


@pytest.mark.parametrize("name", NONSENSE)
@EACH_KIND
def test_a_connection_test_and_a_poll_survive_nonsense(
    kind: type[Connector], name: str, db: None, babble: Callable[[str], Babble]
) -> None:
    connection = connection_of(kind)
    babble(name)

    health = gateway.check(connection, actor="test")
    received = polling.poll_one(connection)

    assert health.message
    assert SECRET not in f"{health}"
    assert (received.accepted, received.repeated) == (0, 0)
    assert not Call.objects.filter(outcome__in=("open", "failed")).exists()


@pytest.mark.parametrize("body", [b"null", b"7", b'"x"', b"{}", b"[{}]", b"[[]]", b"\xef\xbb\xbf", b"[" * 9999, b"a=b"])
@EACH_KIND
def test_no_hook_body_of_any_shape_raises_anything_but_a_refusal(kind: type[Connector], body: bytes, db: None) -> None:
    connector = registry.connector_for(connection_of(kind))

    with pytest.raises(Refused) as refused:
        connector.receive(body, {"content-type": "nonsense"})

    assert refused.value.status in (400, 404, 413)


@pytest.mark.parametrize(("kind", "operation"), WRITES)
def test_an_undo_names_a_write_of_its_kind_that_takes_its_arguments_or_is_none(
    kind: type[Connector], operation: Write
) -> None:
    arguments = operation.arguments.model_validate(example_of(operation.arguments))

    try:
        undo = operation.undo(arguments, [], "k" * 64)
    except NotFound:
        return  # it has to see the record first
    assert (undo is None) == (operation.reversible is Reversible.NO)
    if undo is None:
        return
    inverse = next(item for item in operations_of(kind) if item.name == undo.operation)
    assert isinstance(inverse, Write)
    inverse.arguments.model_validate(undo.arguments)
