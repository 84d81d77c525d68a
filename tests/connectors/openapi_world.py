"""REST APIs for tests: documents made of a few parts, a small API of orders that remembers, and SAP's own document."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors import actions
from connectors.kinds.openapi import example
from connectors.models import Connection
from tests.connectors.factories import SECRET, Played

HOST = "https://orders.contoso.test"
SAP_DOCUMENT = Path(__file__).resolve().parents[3] / "shared" / "samples" / "sap-API_SALES_ORDER_SRV.openapi.json"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRETS = {"api_key": SECRET, "webhook_secret": WEBHOOK_SECRET}


def sap_document() -> str:
    """SAP's published document of its sales order API; the test is skipped where it is absent."""
    if not SAP_DOCUMENT.is_file():
        pytest.skip(f"SAP's document is not at {SAP_DOCUMENT}")
    return SAP_DOCUMENT.read_text(encoding="utf-8")


def document(paths: Mapping[str, Any], **more: Any) -> str:
    """A document with these paths."""
    return json.dumps({"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "paths": paths, **more})


def operation(*parameters: Mapping[str, Any], body: Any = None, answer: Any = None, **more: Any) -> dict[str, Any]:
    """One operation with parameters, a body's schema and an answer's."""
    found: dict[str, Any] = {"parameters": list(parameters), **more}
    if body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    content = {"content": {"application/json": {"schema": answer}}} if answer is not None else {}
    return {**found, "responses": {"200": {"description": "Done.", **content}}}


def parameter(name: str, place: str = "query", schema: Any = None, **more: Any) -> dict[str, Any]:
    """One parameter."""
    return {"name": name, "in": place, "required": place == "path", "schema": schema or {"type": "string"}, **more}


def make_api(text: str = example.DOCUMENT, root: str = HOST, **changes: Any) -> Connection:
    """A connection to a REST API that may do everything that was chosen."""
    small = text == example.DOCUMENT
    config = {
        "base_url": root,
        "document": text,
        "chosen": example.CHOSEN if small else [],
        "declarations": example.DECLARATIONS if small else "",
        **changes.pop("config", {}),
    }
    return actions.create_connection(
        changes.pop("slug", "api"),
        "openapi",
        actor="system:test",
        secrets=changes.pop("secrets", SECRETS),
        config=config,
        operations=changes.pop("operations", ["*"]),
        **changes,
    )


class Orders:
    """An API of orders that remembers: ETags, If-Match, references, Idempotency-Key."""

    def __init__(self, played: Played) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, int] = {}
        self.keys: dict[str, str] = {}
        self.lose = 0  # answers that get lost after the work was done
        self.fail = 0  # requests that end in a failure before anything was done
        self.count = 0
        played.on("GET", "/v1/orders", self.listed).on("POST", "/v1/orders", self.made)
        self.played = played

    def put(self, number: str, **fields: Any) -> None:
        """Let an order be there."""
        self.rows[number] = {"id": number, "status": "open", "note": None, **fields}
        self.versions[number] = self.versions.get(number, 0) + 1
        for method, act in (("GET", self.got), ("PATCH", self.changed), ("DELETE", self.removed)):
            self.played.on(method, f"/v1/orders/{number}", act)

    def _answer(self, number: str, status: int = 200) -> httpx.Response:
        return httpx.Response(status, json=self.rows[number], headers={"ETag": f'W/"{self.versions[number]}"'})

    def _lost(self, answer: httpx.Response) -> Any:
        if not self.lose:
            return answer
        self.lose -= 1
        return httpx.ReadTimeout("lost")

    def listed(self, request: httpx.Request) -> Any:
        wanted = request.url.params.get("reference")
        rows = [row for row in self.rows.values() if wanted in (None, row.get("reference"))]
        return httpx.Response(200, json={"items": rows})

    def made(self, request: httpx.Request) -> Any:
        if self.fail:
            self.fail -= 1
            return httpx.Response(500, json={"title": "Out of order"})
        key = request.headers.get("idempotency-key", "")
        if key and key in self.keys:
            return self._answer(self.keys[key], 201)
        self.count += 1
        number = f"O-{self.count}"
        self.put(number, **json.loads(request.content))
        self.keys |= {key: number} if key else {}
        return self._lost(self._answer(number, 201))

    def _number(self, request: httpx.Request) -> str:
        return request.url.path.rpartition("/")[2]

    def got(self, request: httpx.Request) -> Any:
        number = self._number(request)
        return self._answer(number) if number in self.rows else httpx.Response(404, json={"title": "No such order"})

    def changed(self, request: httpx.Request) -> Any:
        number = self._number(request)
        if request.headers.get("if-match", f'W/"{self.versions[number]}"') != f'W/"{self.versions[number]}"':
            return httpx.Response(412, json={"title": "Changed"}, headers={"Content-Type": "application/problem+json"})
        self.put(number, **{**self.rows[number], **json.loads(request.content)})
        return self._lost(self._answer(number))

    def removed(self, request: httpx.Request) -> Any:
        del self.rows[self._number(request)]
        return self._lost(httpx.Response(204))
