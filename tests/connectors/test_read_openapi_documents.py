"""OpenAPI documents: what is read of them, what is refused, quickly and with words that say what to do."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from connectors.kinds.openapi import reading
from connectors.kinds.openapi.compiling import root_of
from connectors.kinds.openapi.documents import Document, name_of
from connectors.kinds.openapi.reading import MOST_YAML_VALUES, Unusable, read
from tests.connectors.hostile import DOCUMENTS, LAUGHS
from tests.connectors.openapi_world import document, operation, parameter, sap_document

HOST = "https://api.contoso.test"


# --- text ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
        ("\ufeff{}", {}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("200: ok", {"200": "ok"}),
        ("a: no\nb: 2020-01-01\nc: ~", {"a": "no", "b": "2020-01-01", "c": None}),
        ("d: 'no'\ne: false", {"d": "no", "e": False}),
    ],
)  # fmt: skip
def test_json_and_yaml_are_read_alike(text: str, value: Any) -> None:
    assert read(text) == value


@pytest.mark.parametrize(("text", "said"), DOCUMENTS)
def test_hostile_text_is_refused_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(Unusable, match=said):
        read(text)


def test_no_more_of_a_yaml_text_is_parsed_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = yaml.parse
    events = []

    def counted(*given: Any, **named: Any) -> Iterator[Any]:
        for event in parsed(*given, **named):
            events.append(event)
            yield event

    monkeypatch.setattr(reading.yaml, "parse", counted)
    for text, most in ((LAUGHS, 300), ("- x\n" * (2 * MOST_YAML_VALUES), MOST_YAML_VALUES + 10)):
        events.clear()
        with pytest.raises(Unusable, match="60,000"):
            read(text)
        assert len(events) <= most


# --- documents -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "no OpenAPI"),
        ('{"swagger": "2.0"}', "Swagger 2.0"),
        ('{"openapi": "3.2.0"}', "no OpenAPI"),
        ('{"openapi": "3.0.3"}', "no operations"),
        ('{"openapi": "3.1.0", "paths": []}', "no operations"),
        ('{"openapi": "3.1.0", "paths": [1]}', "no object"),
        (document({"orders": {"get": {}}}), "no path"),
        (document({"/a?b": {"get": {}}}), "no path"),
        (document({"/a": {"$ref": "https://evil.test/a.json"}}), "nothing is fetched"),
        (document({"/a": {"$ref": "file:///etc/passwd"}}), "nothing is fetched"),
        (document({"/a": {"$ref": "#/nowhere"}}), "leads nowhere"),
        (document({"/a": {"$ref": "#/paths/~1b"}, "/b": {"$ref": "#/paths/~1a"}}), "circle"),
        (document({f"/{number}": {"get": {}} for number in range(3001)}), "3,000"),
    ],
)
def test_what_is_no_usable_document_is_refused(text: str, said: str) -> None:
    with pytest.raises(Unusable, match=said):
        Document(text)


@pytest.mark.parametrize(
    ("told", "method", "path", "name"),
    [
        ("getOrder", "get", "/orders/{id}", "order.get"),
        ("patchA_SalesOrder", "patch", "/A_SalesOrder('{SalesOrder}')", "a_sales_order.patch"),
        ("issues/create-comment", "post", "/issues", "issues.create_comment"),
        ("search", "post", "/orders/find", "orders.search"),
        ("", "get", "/orders/{order_id}/items(x='{y}')", "orders_by_order_id_items_x_by_y.get"),
        ("", "delete", "/", "root.delete"),
        ("Größe", "get", "/v1", "e.gr"),
    ],
)
def test_operations_have_stable_names_of_their_own(told: str, method: str, path: str, name: str) -> None:
    assert name_of(told, method, path) == name


def test_operations_that_would_share_a_name_are_told_apart_whatever_their_order() -> None:
    paths = {"/a": {"get": {"operationId": "getFoo"}}, "/b": {"get": {"operationId": "get_foo"}}}

    one = set(Document(document(paths)).offered)
    other = set(Document(document(dict(reversed(paths.items())))).offered)

    assert one == other
    assert len(one) == 2
    assert all(name.startswith("foo.get_") for name in one)


def test_a_very_long_name_is_cut_and_stays_unique() -> None:
    names = [name_of("get" + "Word" * 60 + tail, "get", "/a") for tail in ("A", "B")]

    assert len(set(names)) == 2
    assert all(len(name) <= 100 and name.count(".") == 1 and name == name.lower() for name in names)


def test_every_operation_of_saps_document_is_offered_in_its_groups() -> None:
    found = Document(sap_document())

    assert len(found.offered) == 158
    assert found.offered["a_sales_order.patch"].path == "/A_SalesOrder('{SalesOrder}')"
    assert found.offered["a_sales_order.get"].group == "Sales Order Header"
    assert all(len(name) <= 100 and "." in name and name == name.lower() for name in found.offered)


# --- servers ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("servers", "base", "root"),
    [
        ([{"url": "/v2"}], HOST, f"{HOST}/v2"),
        ([{"url": "v2/"}], HOST, f"{HOST}/v2"),
        ([{"url": "https://elsewhere.test/v2"}], HOST, f"{HOST}/v2"),
        ([{"url": "https://{host}:{port}/sap/x", "variables": {"host": {"default": ""}}}], HOST, f"{HOST}/sap/x"),
        ([{"url": "/{stage}", "variables": {"stage": {"default": "live"}}}], HOST, f"{HOST}/live"),
        ([{"url": "/{stage}"}, {"url": "/v3"}], HOST, f"{HOST}/v3"),
        ([{"url": "javascript:alert(1)"}], HOST, HOST),
        ([{"url": "file:///etc"}], HOST, HOST),
        ([{"url": "https://h/a/../../b"}], HOST, HOST),
        ([{"url": 7}, None], HOST, HOST),
        ([{"url": "/v2"}], f"{HOST}/", HOST),
        ([{"url": "/v2"}], f"{HOST}/mine/", f"{HOST}/mine"),
        (None, HOST, HOST),
    ],
)
def test_the_host_is_the_admins_and_only_the_path_is_the_documents(servers: Any, base: str, root: str) -> None:
    found = Document(document({"/a": {"get": {}}}, **({"servers": servers} if servers is not None else {})))

    assert root_of(found, base) == root


def test_an_operation_served_elsewhere_is_refused_and_one_under_another_path_goes_there() -> None:
    text = document(
        {
            "/upload": {"post": {"operationId": "sendFile", "servers": [{"url": "https://uploads.contoso.test/v1"}]}},
            "/old": {"servers": [{"url": "/v0"}], "get": {"operationId": "getOld"}},
            "/same": {"get": {"operationId": "getSame", "servers": [{"url": "https://api.contoso.test/v9"}]}},
        }
    )
    found = Document(text)

    assert found.path_for(found.offered["old.get"], "api.contoso.test") == "/v0"
    assert found.path_for(found.offered["same.get"], "api.contoso.test") == "/v9"
    with pytest.raises(Unusable, match="connection of its own"):
        found.path_for(found.offered["file.send"], "api.contoso.test")


def test_a_reference_with_siblings_is_read_as_its_version_has_it() -> None:
    paths = {"/a": {"get": operation(parameter("x"))}}
    for version, told in (("3.0.3", "old"), ("3.1.0", "new")):
        whole = {**json.loads(document(paths)), "openapi": version, "x-part": {"description": "old"}}

        found = Document(json.dumps(whole)).at({"$ref": "#/x-part", "description": "new"})

        assert found["description"] == told
