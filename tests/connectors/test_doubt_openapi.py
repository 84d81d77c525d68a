"""What a REST API says is doubted: leftovers of schemas, shapes of answers, names, spellings of secrets."""

import json
from typing import Any

import pytest

from connectors.base import Unanswered
from connectors.kinds.openapi import answers
from connectors.kinds.openapi.declarations import Declaration, Paging, declared, given_by, source_of
from connectors.kinds.openapi.documents import Document
from connectors.kinds.openapi.endpoints import endpoint
from connectors.kinds.openapi.leftovers import against
from connectors.kinds.openapi.parameters import in_path, is_json, plain
from connectors.kinds.openapi.reading import Unusable
from connectors.kinds.openapi.schemas import Types, kinds_of, named
from connectors.kinds.openapi.security import proofs_of
from connectors.transport import Reply
from tests.connectors.openapi_world import document, operation, parameter


def reply(status: int = 200, body: Any = None, **headers: str) -> Reply:
    raw = b"" if body is None else json.dumps(body).encode()
    return Reply(status, {"content-type": "application/json", **headers}, raw)


def held(schema: Any, **schemas: Any) -> Any:
    return against(Document(document({"/a": {"get": {}}}, components={"schemas": schemas})), schema)


# --- leftovers: what no type says ------------------------------------------------------------------
@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "string", "nullable": True}, None, 7),
        ({"enum": ["a", 1], "nullable": True}, None, "b"),
        ({"enum": [1]}, 1, True),
        ({"type": "integer", "minimum": 5, "exclusiveMinimum": True}, 6, 5),
        ({"type": "integer", "maximum": 5, "exclusiveMaximum": True}, 4, 5),
        ({"type": "number", "exclusiveMinimum": 5}, 5.5, 5),
        ({"type": "object", "required": ["a"], "properties": {"a": {}}}, {"a": 1}, {}),
        ({"type": "object", "additionalProperties": False, "properties": {"a": {}}}, {}, {"b": 1}),
        ({"not": {"type": "string"}}, 1, "x"),
        ({"oneOf": [{"$ref": "#/components/schemas/Name"}, {"type": "integer"}]}, "abc", "abcdef"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Name"}}, ["a"], ["abcdef"]),
        ({"allOf": [{"type": "integer"}, {"multipleOf": 3}]}, 9, 10),
        ({"if": {"type": "string"}, "then": {"minLength": 2}}, "ab", "a"),
    ],
)
def test_a_value_is_held_against_its_schema_in_both_versions(schema: Any, good: Any, bad: Any) -> None:
    hold = held(schema, Name={"type": "string", "maxLength": 3})

    assert hold(good) == good
    with pytest.raises(ValueError, match=r"."):
        hold(bad)


def test_what_only_the_other_side_sets_is_not_required_of_what_is_sent() -> None:
    schema = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "readOnly": True}}}

    assert held({"oneOf": [schema]})({}) == {}


@pytest.mark.parametrize(
    ("value", "said"),
    [([1] * 2001, "more than 2,000"), (json.loads("[" * 13 + "]" * 13), "nested more than 12")],
)
def test_a_value_beyond_every_measure_is_refused(value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        held({})(value)


def test_references_that_multiply_are_refused() -> None:
    chain = {f"S{number}": {"oneOf": [{"$ref": f"#/components/schemas/S{number + 1}"}] * 2} for number in range(60)}

    with pytest.raises(ValueError, match="broken"):
        held({"$ref": "#/components/schemas/S0"}, **chain, S60={"type": "string"})("x")


def test_a_reference_that_leads_nowhere_refuses_the_value_and_fetches_nothing() -> None:
    for reference in ("#/components/schemas/Nobody", "https://evil.test/a.json"):
        with pytest.raises(ValueError, match="broken"):
            held({"oneOf": [{"$ref": reference}]})(1)


# --- names and types -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("wire", "name"),
    [("SalesOrder", "sales_order"), ("$filter", "filter"), ("X-Note", "x_note"), ("id", "id"), ("class", "class_"),
     ("copy", "copy_"), ("model_config", "model_config_"), ("_private", "private"), ("2fa", "n_2_fa"),
     ("größe", "gr_e"),
     ("!", "value"), ("AdditionalGroup1", "additional_group_1"), ("x" * 200, "x" * 50)],
)  # fmt: skip
def test_arguments_are_named_as_playbooks_write_them(wire: str, name: str) -> None:
    assert named(wire, {}) == name
    assert named(wire, {name: 1}) == f"{name}_2"


@pytest.mark.parametrize(
    ("schema", "kinds", "nullable"),
    [({"type": "string"}, {"string"}, False), ({"type": ["string", "null"]}, {"string"}, True),
     ({"type": "string", "nullable": True}, {"string"}, True), ({"properties": {}}, {"object"}, False),
     ({}, set(), False)],
)  # fmt: skip
def test_null_is_known_in_either_versions_words(schema: Any, kinds: set[str], nullable: bool) -> None:
    assert kinds_of(schema) == (kinds, nullable)


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (None, ""), (5.0, "5"), (5.25, "5.25"), (10**20, str(10**20)), ("é", "é")]
)
def test_values_are_written_plainly(value: Any, text: str) -> None:
    assert plain(value) == text


@pytest.mark.parametrize(
    ("value", "explode", "text"),
    [
        (["a/", "b"], False, "a%2F,b"),
        ({"a": "1", "b": "2"}, False, "a,1,b,2"),
        ({"a": "1"}, True, "a=1"),
        (7, False, "7"),
    ],
)
def test_lists_and_maps_stand_in_a_path_as_simple_style_has_it(value: Any, explode: bool, text: str) -> None:
    assert in_path(value, explode) == text


@pytest.mark.parametrize(
    ("kind", "known"),
    [("application/json", True), ("Application/JSON; charset=utf-8", True), ("application/problem+json", True),
     ("application/json;odata.metadata=minimal", True), ("text/html", False), ("application/jsonlines", False)],
)  # fmt: skip
def test_json_is_known_by_its_content_type(kind: str, known: bool) -> None:
    assert is_json(kind) is known


# --- answers ---------------------------------------------------------------------------------------
ORDER: Any = {"type": "object", "properties": {"id": {}, "lines": {"type": "array", "items": {"type": "object"}}}}

LIST: Any = {"type": "array", "items": ORDER}


@pytest.mark.parametrize(
    ("path", "answer", "declaration", "record", "key"),
    [
        ("/orders/{id}", ORDER, {}, "", {"id": "id"}),
        ("/orders/{order_id}", ORDER, {}, "", {"id": "order_id"}),
        ("/orders/{order_id}", ORDER, {"key": {"number": "order_id"}}, "", {"number": "order_id"}),
        ("/orders/{order_id}", {}, {"key": ["order_id"]}, "", {"order_id": "order_id"}),
        ("/orders", {"type": "array", "items": ORDER}, {}, "", {"id": ""}),
        ("/orders", {"properties": {"total": {}, "items": {"type": "array", "items": ORDER}}}, {}, "items", {"id": ""}),
        ("/orders", {"properties": {"d": {"properties": {"results": LIST}}}}, {}, "d.results", {"id": ""}),
        ("/orders('{id}')", {"properties": {"d": ORDER}}, {}, "d", {"id": "id"}),
        ("/orders", {}, {"record": "data", "key": ["number"], "entity": "Order"}, "data", {"number": ""}),
    ],
)  # fmt: skip
def test_where_records_stand_is_read_from_the_document_or_declared(
    path: str, answer: Any, declaration: Any, record: str, key: dict[str, str]
) -> None:
    places = [parameter(part.partition("}")[0], "path") for part in path.split("{")[1:]]
    found = Document(document({path: {"get": {"operationId": "getOrder", **operation(*places, answer=answer)}}}))
    one = endpoint(found, found.offered["order.get"], "h")

    shape = answers.shape_of(Types(found), one, Declaration.model_validate(declaration))

    assert (shape.record, dict(shape.key)) == (record, key)
    assert shape.entity == declaration.get("entity", "orders")


@pytest.mark.parametrize("body", [None, 7, "x", [], {}, {"d": None}, {"d": []}, {"d": [{"id": 1}, {"id": 2}]}])
def test_an_answer_that_holds_no_record_is_not_an_empty_one(body: Any) -> None:
    shape = answers.Shape("Order", "d", {"id": "id"}, "", single=True)

    with pytest.raises(Unanswered):
        answers.rows_in(body, shape, "It")


def test_a_record_without_key_is_known_by_what_it_says() -> None:
    shape = answers.Shape("Order", "", {"id": ""}, "", single=False)

    assert shape.key_of({"id": 7}) == "7"
    assert shape.key_of({"name": "a"}) == shape.key_of({"name": "a"}) != shape.key_of({"name": "b"})


def test_what_stands_inside_a_record_is_there_under_its_path_within_measure() -> None:
    flat = answers.flat({"a": {"b": {"c": 1}}, "a.b": 2})

    assert (flat["a.b.c"], flat["a.b"]) == (1, 2)
    assert len(answers.flat({"x": {str(number): 1 for number in range(5000)}})) <= answers.MOST_FLAT


@pytest.mark.parametrize(
    ("status", "body", "message", "code"),
    [
        (400, {"type": "about:blank", "title": "Bad", "detail": "No"}, "Bad; No", "about:blank"),
        (400, {"error": "invalid", "error_description": "no scope"}, "invalid; no scope", ""),
        (400, {"error": {"code": "X1", "message": {"value": "So so"}}}, "So so", "X1"),
        (422, {"validation": [{"message": "a"}, {"message": "b"}]}, "a; b", ""),
        (400, [1], "", ""),
        (409, {"title": "Idempotency key in use"}, "Idempotency key in use", ""),
    ],
)
def test_errors_are_read_in_the_words_that_apis_use(status: int, body: Any, message: str, code: str) -> None:
    said = answers.explain(reply(status, body))

    assert (said.message, said.code) == (message, code)
    assert said.locked is (status == 409)


def test_a_version_that_is_demanded_is_explained() -> None:
    assert "declare the version" in answers.explain(reply(428)).message


def test_secrets_are_hidden_in_every_spelling() -> None:
    assert set(answers.spellings("me", {"password": "a b/c"})) == {"a b/c", "a+b%2Fc", "bWU6YSBiL2M="}


def test_a_key_in_the_query_takes_the_place_of_any_of_its_name() -> None:
    assert answers.with_query("https://h/a?k=old&$x=1", "k", "n w") == "https://h/a?$x=1&k=n+w"


# --- declarations ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("argument.a", 1),
        ("before.b", 2),
        ("found.c", 3),
        ("effect_key", "K"),
        ("=text", "text"),
        ("=a eq '{effect_key}'", "a eq 'K'"),
        ("=", ""),
        (7, 7),
        (None, None),
    ],
)
def test_values_come_from_where_they_are_said_to_come(source: Any, value: Any) -> None:
    source_of("x", source)

    assert given_by(source, {"a": 1}, {"b": 2}, "K", {"c": 3}) == value


@pytest.mark.parametrize("source", ["a", "arguments.a", "argument.", "before.", "os.environ", "{{ x }}"])
def test_a_source_that_is_not_known_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="write argument"):
        source_of("x", source)


@pytest.mark.parametrize(
    "told", [{"page": "p", "offset": "o"}, {"cursor": "c"}, {"first": 2}, {"rows": 0}, {"rows": 1001}, {"more": 1}]
)
def test_paging_is_one_way_within_measure(told: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Paging.model_validate(told)


def test_declarations_have_a_measure() -> None:
    with pytest.raises(Unusable, match="200,000"):
        declared("x" * 200_001)
    assert declared("  \n") == {}


def test_more_than_two_keys_at_once_are_refused() -> None:
    keys = {name: {"type": "apiKey", "in": "header", "name": f"X-{name}"} for name in "abc"}
    found = Document(document({"/a": {"get": {}}}, components={"securitySchemes": keys}))

    with pytest.raises(Unusable, match="more than two keys"):
        proofs_of(found, "a.get", [{"a": [], "b": [], "c": []}], ())
