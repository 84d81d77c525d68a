"""What each kind says of rights in its system, and of what takes a change back: complete, and true to its code."""

import ast
import inspect
from importlib import import_module
from typing import Any

import pytest

from connectors import registry
from connectors.base import Reversible, Write
from connectors.kinds.openapi import example
from connectors.kit.needs import Told
from connectors.models import Connection
from tests.connectors.factories import make_fo, make_model
from tests.connectors.openapi_world import document, make_api, operation
from tests.contracts.test_connector_kinds import KINDS, example_config

pytestmark = pytest.mark.django_db
OAUTH = {
    "type": "oauth2",
    "flows": {"clientCredentials": {"tokenUrl": "https://t.test/token", "scopes": {"orders.read": ""}}},
}


def told(kind: Any) -> Told:
    return registry.needs_of(Connection(slug="x", kind=kind.slug, config=example_config(kind)))


@pytest.mark.parametrize(("slug", "kind"), KINDS)
def test_every_operation_of_every_kind_says_what_it_needs(slug, kind):
    operations = kind.operations_of(kind.config.model_validate(example_config(kind)))
    said = told(kind).operations

    assert said is not None
    assert {one.name for one in operations} <= set(said)


@pytest.mark.parametrize(("slug", "kind"), KINDS)
def test_what_can_be_undone_names_operations_that_exist(slug, kind):
    operations = {one.name: one for one in kind.operations_of(kind.config.model_validate(example_config(kind)))}
    said = told(kind).operations or {}

    for name, one in operations.items():
        if isinstance(one, Write):
            backs = said[name].undone_by
            assert set(backs) <= set(operations)
            assert bool(backs) is (one.reversible is not Reversible.NO), name


def undos_in_code(function: Any) -> set[str]:
    """The operations that an undo names: the first argument of each ``Undo(…)`` in it and in what it calls."""
    module, seen, found = inspect.getmodule(function), set(), set()
    waiting = [function.__name__]
    while waiting:
        name = waiting.pop()
        one = getattr(module, name, None)
        if name in seen or not inspect.isfunction(one) or one.__module__ != function.__module__:
            continue
        seen.add(name)
        for node in ast.walk(ast.parse(inspect.getsource(one))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                waiting.append(node.func.id)
                if node.func.id == "Undo" and node.args and isinstance(node.args[0], ast.Constant):
                    found.add(str(node.args[0].value))
    return found


@pytest.mark.parametrize("slug", ["dynamics_fo", "salesforce", "sap", "dataverse"])
def test_what_takes_a_change_back_is_what_the_code_makes(slug):
    kind = registry.KINDS[slug]
    said = told(kind).operations or {}
    writes = [one for one in kind.operations if isinstance(one, Write)]

    assert writes
    assert {one.name: set(said[one.name].undone_by) for one in writes} == {
        one.name: undos_in_code(one.undo) for one in writes
    }


def test_an_api_s_own_document_says_which_scopes_each_operation_needs():
    text = document(
        {
            "/orders": {"get": {**operation(answer={"type": "array"}), "operationId": "listOrders",
                                "security": [{"oauth": ["orders.read"]}]}},
            "/stock": {"get": {**operation(answer={"type": "array"}), "operationId": "listStock",
                               "security": [{"key": []}]}},
        },
        components={"securitySchemes": {"oauth": OAUTH, "key": {"type": "apiKey", "in": "header", "name": "X-Key"}}},
    )  # fmt: skip
    kind: Any = registry.KINDS["openapi"]
    offered = [name for _, group in kind.offers({"document": text}) for name, _ in group]
    api = make_api(text, config={"chosen": offered, "token_url": "https://t.test/token", "client_id": "g"})
    said = registry.needs_of(api).operations or {}

    assert sorted(needs.rights for needs in said.values()) == [("key (header)",), ("scope orders.read",)]


def test_the_undo_of_a_rest_write_is_the_one_that_was_declared():
    api = make_api(example.DOCUMENT)
    said = registry.needs_of(api).operations or {}
    names = {one.name for one in registry.operations_of(api)}

    backs = {back for needs in said.values() for back in needs.undone_by}
    assert backs
    assert backs <= names


def test_a_kind_that_is_not_installed_or_not_configured_says_nothing():
    assert registry.needs_of(Connection(kind="no_such")) == Told()
    assert registry.needs_of(Connection(kind="dynamics_fo", config={})) == Told()


def test_the_words_name_the_model_and_the_tables_of_this_connection():
    (model,) = (registry.needs_of(make_model()).operations or {})["chat.complete"].rights
    fo = registry.needs_of(make_fo()).operations or {}

    assert "small" in model
    assert fo["hold.release"].rights == ("SalesOrderHeadersV2: call ReleaseCreditHold", "SalesOrderHeadersV2: read")


def test_only_the_registry_reaches_what_kinds_say():
    for slug, kind in KINDS:
        module = import_module(f"{kind.__module__.rpartition('.')[0]}.rights")
        assert callable(module.needs), slug
