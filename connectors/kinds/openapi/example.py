"""A small document with its declarations: what the form shows as an example, and what the kind is held to."""

import json
from typing import Any

_ORDER: dict[str, Any] = {
    "type": "object",
    "required": ["id", "status"],
    "properties": {
        "id": {"type": "string", "maxLength": 40, "readOnly": True},
        "status": {"type": "string", "enum": ["open", "held", "closed"]},
        "note": {"type": ["string", "null"], "maxLength": 500},
        "reference": {"type": "string", "maxLength": 64},
    },
}
_ONE = {"$ref": "#/components/schemas/Order"}
_SEVERAL = {"type": "array", "items": _ONE}
_REFERENCE = {"type": "string", "maxLength": 64}
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 40}}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _answers(schema: dict[str, Any]) -> dict[str, Any]:
    return {"200": {"description": "It worked.", **_json(schema)}}


DOCUMENT = json.dumps(
    {
        "openapi": "3.1.0",
        "info": {"title": "Orders", "version": "1"},
        "servers": [{"url": "/v1"}],
        "security": [{"key": []}],
        "paths": {
            "/orders": {
                "get": {
                    "operationId": "listOrders",
                    "summary": "Orders, by reference where one is given",
                    "parameters": [{"name": "reference", "in": "query", "schema": _REFERENCE}],
                    "responses": _answers(
                        {"type": "object", "properties": {"items": {"type": "array", "items": _ONE}}}
                    ),
                },
                "post": {
                    "operationId": "createOrder",
                    "summary": "Make an order",
                    "requestBody": {"required": True, **_json(_ONE)},
                    "responses": _answers(_ONE),
                },
            },
            "/orders/{id}": {
                "parameters": [_ID],
                "get": {"operationId": "getOrder", "summary": "One order", "responses": _answers(_ONE)},
                "patch": {
                    "operationId": "updateOrder",
                    "summary": "Change an order",
                    "requestBody": {
                        "required": True,
                        **_json({"type": "object", "properties": {"status": _ORDER["properties"]["status"]}}),
                    },
                    "responses": _answers(_ONE),
                },
                "delete": {"operationId": "deleteOrder", "responses": {"204": {"description": "It is gone."}}},
            },
        },
        "components": {
            "schemas": {"Order": _ORDER},
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}},
        },
    },
    indent=1,
)
CHOSEN = ["orders.list", "order.get", "order.create", "order.update", "order.delete"]
DECLARATIONS = """\
order.update:
  read_back: order.get
  undo: order.update
order.create:
  read_back: orders.list
  with: {}
  match: {status: status, note: note}
  creates: true
  marker: reference
  found_by: {read: orders.list, with: {reference: effect_key}}
  undo: order.delete
  undo_with: {id: found.id}
order.delete:
  read_back: order.get
  removes: true
  undo: none
"""
