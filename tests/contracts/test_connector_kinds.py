"""What every kind of connector must keep, whatever system it speaks to. A new kind passes here before anything else."""

import json
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, cast

import pytest
from django.contrib.admin.utils import flatten
from pydantic import ValidationError

from connectors import gateway, registry, transport
from connectors.base import (
    Arguments,
    Blocked,
    Connector,
    ConnectorError,
    NotFound,
    Operation,
    Read,
    Refused,
    Reversible,
    Tell,
    Write,
)
from connectors.forms.connection import fieldsets_for, form_for
from connectors.forms.settings import is_drawn
from connectors.models import Call, Connection

pytestmark = pytest.mark.any_database

SECRET = "a-secret-that-must-never-be-seen"
KINDS = sorted(registry.KINDS.items())


def example_config(kind: type[Connector]) -> dict[str, Any]:
    """The least that a kind can be configured with, at an address that nobody has."""
    config: dict[str, Any] = {}
    for name, info in kind.config.model_fields.items():
        if info.examples:
            config[name] = info.examples[0]
        elif info.is_required() or name == "endpoint_url":
            config[name] = "https://nobody.test" if "url" in name else "x"
    return config


def operations_of(kind: type[Connector]) -> tuple[Operation, ...]:
    """What a kind can do as it is configured there: some kinds have the operations that their configuration names."""
    return kind.operations_of(kind.config.model_validate(example_config(kind)))


ALL = [
    pytest.param(kind, operation, id=f"{slug} {operation.name}")
    for slug, kind in KINDS
    for operation in operations_of(kind)
]
WRITES = [
    pytest.param(kind, operation, id=f"{slug} {operation.name}")
    for slug, kind in KINDS
    for operation in operations_of(kind)
    if isinstance(operation, Write)
]
EACH_KIND = pytest.mark.parametrize("kind", [kind for _, kind in KINDS], ids=[slug for slug, _ in KINDS])


def connection_of(kind: type[Connector]) -> Connection:
    from connectors import actions

    return actions.create_connection(
        f"a-{kind.slug.replace('_', '-')}",
        kind.slug,
        actor="system:test",
        secrets=dict.fromkeys(kind.secrets, SECRET),
        operations=["*"],
        config=example_config(kind),
    )


@EACH_KIND
def test_a_kind_is_registered_under_its_own_name_and_says_what_it_is_for(kind: type[Connector]) -> None:
    assert registry.KINDS[kind.slug] is kind
    assert kind.label
    assert kind.__doc__
    assert issubclass(kind.config, Arguments)
    assert all(info.title for info in kind.config.model_fields.values())


@EACH_KIND
def test_operations_have_names_of_their_own(kind: type[Connector]) -> None:
    names = [operation.name for operation in operations_of(kind)]

    assert names
    assert len(set(names)) == len(names)
    assert all("." in name and name == name.lower() and len(name) <= 100 for name in names)


@pytest.mark.parametrize(("kind", "operation"), ALL)
def test_an_operation_says_what_it_does_and_takes_nothing_unknown(kind: type[Connector], operation: Operation) -> None:
    assert operation.label
    assert operation.arguments.__doc__
    assert is_dataclass(operation)
    with pytest.raises(ValidationError) as refused:
        operation.arguments.model_validate({"nobody_knows_this": 1})

    assert "nobody_knows_this" in str(refused.value)


@pytest.mark.parametrize(("kind", "operation"), ALL)
def test_arguments_are_values_that_json_carries_there_and_back(kind: type[Connector], operation: Operation) -> None:
    schema = operation.arguments.model_json_schema()

    assert schema["additionalProperties"] is False
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize(("kind", "operation"), WRITES)
def test_a_write_declares_how_it_is_foreseen_found_and_undone(kind: type[Connector], operation: Write) -> None:
    assert callable(operation.observe)
    assert callable(operation.predict)
    assert callable(operation.undo)
    assert isinstance(operation.risk, Enum)
    assert operation.settle_seconds > 0
    # What posts money is never found by its values alone: two equal postings look the same.
    assert operation.find is not None or not operation.financial
    assert operation.amount is not None or not operation.financial


@pytest.mark.parametrize(("kind", "operation"), WRITES)
def test_a_write_about_a_record_that_is_not_there_says_so(kind: type[Connector], operation: Write) -> None:
    values: dict[str, Any] = dict.fromkeys(operation.arguments.model_fields, "x")
    arguments = operation.arguments.model_construct(None, **values)

    with pytest.raises(NotFound):
        operation.predict(arguments, [])


@EACH_KIND
def test_the_undo_of_every_write_is_a_write_of_the_same_kind(kind: type[Connector]) -> None:
    source = "\n".join(path.read_text() for path in folder_of(kind).glob("*.py"))
    named = {line.split('Undo("')[1].split('"')[0] for line in source.splitlines() if 'Undo("' in line}
    writes = {operation.name for operation in kind.operations if isinstance(operation, Write)}

    assert named <= writes
    assert bool(named) == bool(writes)


def folder_of(kind: type[Connector]) -> Path:
    import sys

    return Path(cast("str", sys.modules[kind.__module__].__file__)).parent


@EACH_KIND
def test_no_kind_imports_the_network_library_itself(kind: type[Connector]) -> None:
    for path in folder_of(kind).glob("*.py"):
        source = path.read_text()

        assert "import httpx" not in source
        assert "import requests" not in source
        assert "import socket" not in source


@EACH_KIND
def test_a_connector_never_shows_its_secrets(kind: type[Connector], db: None) -> None:
    connection = connection_of(kind)
    connector = registry.connector_for(connection)

    assert SECRET not in repr(connector)
    assert SECRET not in repr(vars(connection))
    assert SECRET not in json.dumps(connection.secrets)
    assert {connector.secret(name) for name in kind.secrets} == {SECRET}


@EACH_KIND
def test_a_secret_that_was_never_set_is_asked_for_by_name(kind: type[Connector], db: None) -> None:
    connection = connection_of(kind)
    connection.secrets = {}
    connection.save()
    connector = registry.connector_for(connection)

    for name in kind.secrets:
        with pytest.raises(Blocked, match=name):
            connector.secret(name)


@EACH_KIND
def test_a_system_that_cannot_be_reached_is_an_unhealthy_one_and_no_fault_of_ours(
    kind: type[Connector], db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connection_of(kind)
    monkeypatch.setattr("socket.getaddrinfo", nobody_knows)

    health = gateway.check(connection, actor="test")

    assert not health.ok
    assert health.message
    assert health.tried
    assert SECRET not in f"{health}"
    assert SECRET not in f"{[vars(call) for call in Call.objects.all()]}"


def nobody_knows(*_: Any, **__: Any) -> None:
    raise OSError("Name or service not known")


@EACH_KIND
def test_a_hook_body_that_is_none_of_the_systems_is_refused(kind: type[Connector], db: None) -> None:
    connector = registry.connector_for(connection_of(kind))

    for body in (b"", b"{", b"[]", b"\x00\xff", b"<a/>"):
        with pytest.raises(Refused):
            connector.receive(body, {})


@EACH_KIND
def test_every_call_raises_connector_errors_only(
    kind: type[Connector], db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connection_of(kind)
    monkeypatch.setattr("socket.getaddrinfo", nobody_knows)

    for operation in operations_of(kind):
        with pytest.raises(ConnectorError):
            gateway.call(connection, operation.name, {"nobody": 1}, actor="test", effect_key="k")

    assert set(Call.objects.values_list("outcome", flat=True)) == {"blocked"}


@EACH_KIND
def test_a_read_only_connection_can_read_and_no_more(kind: type[Connector], db: None) -> None:
    connection = connection_of(kind)
    Connection.objects.filter(pk=connection.pk).update(operations=[])
    writes = [operation for operation in operations_of(kind) if isinstance(operation, Write)]

    for write in writes:
        with pytest.raises(Blocked):
            gateway.call(connection, write.name, {}, actor="test", effect_key="k")

    assert any(isinstance(operation, Read | Tell) for operation in operations_of(kind))


@EACH_KIND
def test_the_form_has_a_field_for_each_setting_and_secret(kind: type[Connector], db: None) -> None:
    form = form_for(kind)(instance=connection_of(kind))

    grouped = [name for _, options in fieldsets_for(kind) for name in flatten(options["fields"])]

    assert set(grouped) == set(form.fields)
    drawn = {f"config_{name}" for name, info in kind.config.model_fields.items() if is_drawn(info)}
    assert drawn <= set(grouped)
    assert {f"secret_{name}" for name in kind.secrets} <= set(grouped)
    assert SECRET not in form.as_p()


def test_only_the_transport_touches_the_network_library() -> None:
    root = Path(transport.__file__).parent
    importing = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if "simulator" not in path.parts and ("import httpx\n" in path.read_text() or "from httpx " in path.read_text())
    }

    assert importing == {"transport.py"}


@EACH_KIND
def test_what_nothing_takes_back_says_why(kind: type[Connector], db: None) -> None:
    connection = connection_of(kind)
    lasting = [one.name for one in kind.operations if isinstance(one, Write) and one.reversible == Reversible.NO]

    told = {name: registry.lasting_of(connection, name, {}) for name in lasting}

    assert [name for name, why in told.items() if not why.endswith(".")] == []
