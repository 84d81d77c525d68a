"""From a document's parameters and bodies to typed arguments, and from arguments to the request that is sent."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.kinds.openapi.documents import Document
from connectors.kinds.openapi.endpoints import Endpoint, endpoint
from connectors.kinds.openapi.reading import Unusable
from tests.connectors.hostile import SCHEMAS, built
from tests.connectors.openapi_world import document, operation, parameter

HOST = "api.contoso.test"


def made(path: str, body: dict[str, Any], method: str = "get", version: str = "3.1.0", **more: Any) -> Endpoint:
    whole = json.loads(document({path: {method: {"operationId": "doThing", **body}}}, **more))
    found = Document(json.dumps({**whole, "openapi": version}))
    return endpoint(found, found.offered["thing.do"], HOST)


def asked(one: Endpoint, **values: Any) -> Any:
    return one.request(one.arguments.model_validate(values))


def sent(one: Endpoint, **values: Any) -> Any:
    return json.loads(asked(one, **values).body)


# --- paths -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "values", "written"),
    [
        ("/A_SalesOrder('{key}')", {"key": "17"}, "/A_SalesOrder('17')"),
        ("/A_SalesOrder('{key}')", {"key": "1') or ('1"}, "/A_SalesOrder('1%27%27%29%20or%20%28%27%271')"),
        ("/files/{key}", {"key": "../../admin"}, "/files/..%2F..%2Fadmin"),
        ("/files/{key}", {"key": "a/b?c#d%2e"}, "/files/a%2Fb%3Fc%23d%252e"),
        ("/x/{key}.{other}", {"key": "a", "other": "json"}, "/x/a.json"),
        ("/d(a={key},b=guid'{other}')/to", {"key": "1", "other": "2"}, "/d(a=1,b=guid'2')/to"),
    ],
)
def test_values_stay_in_their_place_in_a_path(path: str, values: dict[str, str], written: str) -> None:
    one = made(path, operation(*(parameter(name, "path") for name in ("key", "other") if f"{{{name}}}" in path)))

    assert asked(one, **values).path == written


@pytest.mark.parametrize("value", ["", ".", "..", "...", "x" * 2001])
def test_a_value_that_would_change_the_path_is_refused_as_an_argument(value: str) -> None:
    one = made("/files/{key}", operation(parameter("key", "path")))

    with pytest.raises(ValidationError, match="cannot stand in a path"):
        one.arguments.model_validate({"key": value})


def test_null_cannot_stand_in_a_path() -> None:
    one = made("/files/{key}", operation(parameter("key", "path", {"type": ["string", "null"]})))

    with pytest.raises(ValidationError, match="cannot stand in a path"):
        one.arguments.model_validate({"key": None})


def test_a_path_whose_part_is_declared_nowhere_is_refused() -> None:
    with pytest.raises(Unusable, match="declared nowhere"):
        made("/files/{key}", operation())


# --- parameters ------------------------------------------------------------------------------------
LIST = {"type": "array", "items": {"type": "string"}}
MAP = {"type": "object", "additionalProperties": {"type": "string"}}


@pytest.mark.parametrize(
    ("more", "schema", "value", "query"),
    [
        ({}, LIST, ["a", "b c"], "x=a&x=b+c"),
        ({"explode": False}, LIST, ["a", "b"], "x=a%2Cb"),
        ({"style": "pipeDelimited", "explode": False}, LIST, ["a", "b"], "x=a%7Cb"),
        ({"style": "spaceDelimited", "explode": False}, LIST, ["a", "b"], "x=a+b"),
        ({}, MAP, {"a": "1"}, "a=1"),
        ({"explode": False}, MAP, {"a": "1"}, "x=a%2C1"),
        ({"style": "deepObject"}, MAP, {"a": "1", "b": "2"}, "x%5Ba%5D=1&x%5Bb%5D=2"),
        ({}, {"type": "boolean"}, True, "x=true"),
        ({}, {"type": "number"}, "84.00", "x=84"),
        ({}, {"type": "integer"}, 5, "x=5"),
    ],
)
def test_a_query_is_written_in_the_style_that_is_declared(more: Any, schema: Any, value: Any, query: str) -> None:
    one = made("/a", operation(parameter("x", schema=schema, **more)))

    assert asked(one, x=value).url("https://h") == f"https://h/a?{query}"


def test_names_with_a_dollar_stay_literal_and_become_arguments_without_it() -> None:
    one = made("/a", operation(parameter("$filter"), parameter("class"), parameter("json"), parameter("2nd")))

    assert asked(one, filter="a eq 1").url("https://h") == "https://h/a?$filter=a+eq+1"
    assert set(one.arguments.model_fields) == {"filter", "class_", "json_", "n_2_nd"}


def test_the_operation_goes_before_its_path_and_some_headers_are_not_parameters() -> None:
    ignored = [parameter(name, "header", required=True) for name in ("Accept", "Content-Type", "authorization")]
    shared = {"parameters": [parameter("x", schema={"type": "integer"}), parameter("y", "header")]}
    text = document({"/a": {**shared, "get": {"operationId": "doThing", **operation(parameter("x"), *ignored)}}})
    found = Document(text)
    one = endpoint(found, found.offered["thing.do"], HOST)

    request = asked(one, x="text", y="head")

    assert set(one.arguments.model_fields) == {"x", "y"}
    assert (request.query, request.headers) == ((("x", "text"),), {"y": "head"})


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (parameter("x", "path", style="matrix"), "style matrix"),
        (parameter("x", "cookie", required=True), "cookie"),
        (parameter("Host", "header"), "cannot be set"),
        (parameter("a b", "header"), "cannot be set"),
        (parameter("x", "query", style="tableau"), "style tableau"),
        ({"name": "x"}, "no place"),
        ({"name": "x", "in": "query", "content": {"text/csv": {}}}, "not as JSON"),
    ],
)
def test_a_parameter_that_cannot_be_written_is_refused_by_name(told: dict[str, Any], said: str) -> None:
    with pytest.raises(Unusable, match=said):
        made("/a/{x}" if told.get("in") == "path" else "/a", operation(told))


@pytest.mark.parametrize("value", ["a\r\nEvil: 1", "ü", "x" * 2001])
def test_a_header_holds_one_plain_line(value: str) -> None:
    one = made("/a", operation(parameter("X-Note", "header")))

    with pytest.raises(ValidationError, match="header"):
        one.arguments.model_validate({"x_note": value})


def test_a_parameter_with_content_is_written_as_json() -> None:
    told = {"name": "q", "in": "query", "content": {"application/json": {"schema": {"type": "object"}}}}

    assert asked(made("/a", operation(told)), q={"a": 1}).query == (("q", '{"a":1}'),)


# --- bodies ----------------------------------------------------------------------------------------
LINE = {"type": "object", "properties": {"sku": {"type": "string"}}}
BODY = {
    "type": "object",
    "required": ["name", "id"],
    "properties": {
        "id": {"type": "string", "readOnly": True},
        "name": {"type": "string", "maxLength": 5, "pattern": "^[a-z]+$"},
        "secret": {"type": "string", "writeOnly": True},
        "count": {"type": "integer", "minimum": 1, "exclusiveMaximum": 9},
        "kind": {"enum": ["a", "b"]},
        "note": {"type": ["string", "null"]},
        "lines": {"type": "array", "maxItems": 2, "items": LINE},
        "free": {"oneOf": [{"type": "string"}, {"type": "integer", "minimum": 5}]},
    },
}  # fmt: skip


def test_a_body_is_typed_and_sent_as_it_was_given() -> None:
    one = made("/a", operation(body=BODY), "post")

    assert "id" not in one.arguments.model_fields
    assert sent(one, name="abc", lines=[{"sku": "1"}], free=7) == {"name": "abc", "lines": [{"sku": "1"}], "free": 7}
    assert sent(one, name="abc", note=None, count=None) == {"name": "abc", "note": None}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "toolong"}, {"name": "ABC"}, {"count": 0}, {"count": 9}, {"count": 2**70}, {"kind": "c"}, {"id": "1"},
        {"lines": [{"sku": "1"}] * 3}, {"lines": [{"sku": "1", "more": 1}]}, {"free": 3}, {"free": []}, {"other": 1},
    ],
)  # fmt: skip
def test_what_the_document_does_not_allow_is_refused_before_it_is_sent(wrong: dict[str, Any]) -> None:
    one = made("/a", operation(body=BODY), "post")

    with pytest.raises(ValidationError):
        one.arguments.model_validate({"name": "abc", **wrong})


@pytest.mark.parametrize(
    ("version", "schema"),
    [("3.0.3", {"type": "string", "nullable": True}), ("3.1.0", {"type": ["string", "null"]}),
     ("3.1.0", {"anyOf": [{"type": "string"}, {"type": "null"}]}), ("3.0.3", {"nullable": True, "oneOf": [
         {"type": "string", "nullable": True}, {"type": "integer"}]})],
)  # fmt: skip
def test_null_is_sent_where_either_version_allows_it(version: str, schema: dict[str, Any]) -> None:
    body = {"type": "object", "properties": {"note": schema, "rest": {"type": "string"}}}
    one = made("/a", operation(body=body), "post", version)

    assert sent(one, note=None, rest=None) == {"note": None}


def test_an_envelope_is_put_around_what_is_sent_and_parts_are_put_together() -> None:
    parts = {"schemas": {"Base": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                         "Whole": {"allOf": [{"$ref": "#/components/schemas/Base"},
                                             {"properties": {"b": {"type": "integer"}}}]}}}  # fmt: skip
    body = {"type": "object", "properties": {"d": {"$ref": "#/components/schemas/Whole"}}}
    one = made("/a", operation(body=body), "post", components=parts)

    assert sent(one, a="x", b=1) == {"d": {"a": "x", "b": 1}}


def test_a_body_property_of_a_parameters_name_has_a_name_of_its_own() -> None:
    body = {"type": "object", "properties": {"id": {"type": "string"}}}
    one = made("/a/{id}", operation(parameter("id", "path"), body=body), "put")

    request = asked(one, id="1", body_id="2")

    assert (request.path, json.loads(request.body)) == ("/a/1", {"id": "2"})


def test_a_body_that_is_no_object_is_one_argument() -> None:
    one = made("/a", operation(body={"type": "array", "items": {"type": "integer"}}), "post")

    assert sent(one, body=[1, 2]) == [1, 2]


@pytest.mark.parametrize(
    ("kind", "usable"),
    [("application/json; charset=utf-8", True), ("application/merge-patch+json", True), ("text/json", False),
     ("multipart/form-data", False), ("application/x-www-form-urlencoded", False)],
)  # fmt: skip
def test_only_json_is_sent(kind: str, usable: bool) -> None:
    body = {"requestBody": {"required": True, "content": {kind: {"schema": BODY}}}}
    if usable:
        assert asked(made("/a", body, "post"), name="abc").content_type == kind.partition(";")[0]
        return
    with pytest.raises(Unusable, match="only JSON"):
        made("/a", body, "post")


# --- schemas that are out to hurt --------------------------------------------------------------------
def test_cyclic_schemas_are_cut_off_and_still_held() -> None:
    node = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "below": {"$ref": "#/components/schemas/Node"}},
    }
    one = made(
        "/a", operation(body={"$ref": "#/components/schemas/Node"}), "post", components={"schemas": {"Node": node}}
    )
    value: Any = {"name": "x"}
    for _ in range(6):
        value = {"name": "x", "below": value}

    assert sent(one, **value) == value
    with pytest.raises(ValidationError):
        one.arguments.model_validate({"below": {"below": {"below": {"below": {"below": {"name": 7}}}}}})


@pytest.mark.parametrize("schemas", SCHEMAS)
def test_schemas_that_never_end_are_refused(schemas: dict[str, Any]) -> None:
    with pytest.raises(Unusable):
        built(schemas)


def test_a_pattern_that_would_take_for_ever_is_never_tried() -> None:
    body = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"},
                                             "b": {"oneOf": [{"type": "string", "pattern": "^(a+)+$"}]},
                                             "c": {"type": "string", "pattern": "(?=x)(?<!y)"}}}  # fmt: skip
    one = made("/a", operation(body=body), "post")

    with pytest.raises(ValidationError):
        one.arguments.model_validate({"a": "a" * 5000 + "!"})
    one.arguments.model_validate({"b": "a" * 5000 + "!", "c": "left to the other side"})
