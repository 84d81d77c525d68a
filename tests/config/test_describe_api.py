"""The OpenAPI document is valid 3.1, says what every call shares, and its page runs under the strict policy."""

import re
from contextlib import closing
from typing import Any

import pytest
import yaml
from drf_spectacular.validation import validate_schema

pytestmark = pytest.mark.django_db


@pytest.fixture
def document(client: Any) -> dict[str, Any]:
    response = client.get("/api/schema/")
    assert response.status_code == 200
    told: dict[str, Any] = yaml.safe_load(response.content)
    return told


def test_the_document_is_valid_openapi(document):
    assert document["openapi"].startswith("3.1")
    validate_schema(document)


def test_it_names_the_token_and_the_problem_document(document):
    schemes = document["components"]["securitySchemes"]

    assert {"type": "http", "scheme": "bearer", "bearerFormat": "gs_…"} in schemes.values()
    assert set(document["components"]["schemas"]["Problem"]["required"]) >= {"type", "title", "status", "detail"}


def test_every_operation_says_what_a_failure_looks_like(document):
    silent = [
        f"{method} {path}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "default" not in operation["responses"]
    ]

    assert silent == []


def test_every_post_but_hooks_takes_an_idempotency_key(document):
    posts = {
        path: [parameter.get("$ref", "") for parameter in methods["post"].get("parameters", [])]
        for path, methods in document["paths"].items()
        if "post" in methods
    }
    key = "#/components/parameters/IdempotencyKey"

    assert {path for path, named in posts.items() if (key in named) == path.startswith("/api/v1/hooks/")} == set()


def test_lists_are_described_as_pages_by_cursor(document):
    page = document["paths"]["/api/v1/audit/entries/"]["get"]
    named = {parameter.get("name") for parameter in page["parameters"]}

    assert named >= {"cursor", "page_size", "verb", "actor", "incident", "target", "since", "until", "search"}


def test_the_page_holds_no_script_or_style_of_its_own(client):
    response = client.get("/api/docs/")
    page = response.content.decode()

    assert response.status_code == 200
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page) == []
    assert "script-src 'self'" in response["Content-Security-Policy"]
    assert set(re.findall(r'(?:src|href)="(/[^"]*)"', page)) != set()


def test_the_pages_script_comes_from_the_same_address(client):
    page = client.get("/api/docs/").content.decode()
    address = re.findall(r'src="(/api/docs/[^"]*)"', page)[0].replace("&amp;", "&")

    script = client.get(address)

    assert script["Content-Type"].startswith("application/javascript")
    assert "/api/schema/" in script.content.decode()


def test_its_files_are_served_from_this_site(client):
    page = client.get("/api/docs/").content.decode()
    files = re.findall(r'(?:src|href)="(/static/[^"]*)"', page)

    assert len(files) >= 3
    for address in files:
        with closing(client.get(address)) as response:
            assert response.status_code == 200
