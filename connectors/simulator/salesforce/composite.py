"""Salesforce composite: up to 25 sub-requests in one; 200 outside says nothing about the inside (wire: composite)."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, Protocol

from connectors.simulator.messages import Answer, Exchange, Refusal, Request, effect_key_of
from connectors.simulator.store import Fields, Session

LIMIT = 25
VERSION = re.compile(r"v\d+\.0")
ROLLED_BACK = "The transaction was rolled back since another operation in the same transaction failed."


class Halted(Exception):
    """An allOrNone composite in which a part failed: the transaction must not commit."""


class Org(Protocol):
    """What a composite needs of the org."""

    def sobject(self, session: Session, request: Request, version: str, path: list[str]) -> Answer:
        """Answer an sObject resource."""

    def query(self, session: Session, request: Request, version: str, rest: list[str]) -> Answer:
        """Answer a query."""

    def refuse(self, refusal: Refusal) -> Answer:
        """Draw a refusal."""


def run(org: Org, exchange: Exchange) -> Answer:
    """Carry out a composite request in one transaction; allOrNone rolls all of it back."""
    body = exchange.request.json()
    parts = body.get("compositeRequest")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise Refusal(400, "compositeRequest must be a list of objects", code="JSON_PARSER_ERROR")
    if len(parts) > LIMIT:
        raise Refusal(400, f"The limit is {LIMIT} subrequests.", code="LIMIT_EXCEEDED")
    results: list[Fields] = []
    if all(part.get("method") == "GET" for part in parts):
        with exchange.reading() as session:
            _run_parts(org, session, exchange, parts, results)
        return Answer(200, {"compositeResponse": results})
    try:
        with exchange.writing() as session:
            _run_parts(org, session, exchange, parts, results)
            if body.get("allOrNone") and any(result["httpStatusCode"] >= 300 for result in results):
                raise Halted
    except Halted:
        for result in results:
            if result["httpStatusCode"] < 300:
                halted = [{"errorCode": "PROCESSING_HALTED", "message": ROLLED_BACK}]
                result.update(body=halted, httpHeaders={}, httpStatusCode=400)
    return Answer(200, {"compositeResponse": results})


def _run_parts(org: Org, session: Session, exchange: Exchange, parts: list[Fields], results: list[Fields]) -> None:
    bodies: dict[str, Any] = {}
    for part in parts:
        answer = _part(org, session, exchange, referred(part, bodies))
        reference = str(part.get("referenceId", ""))
        bodies[reference] = answer.body
        results.append(
            {
                "body": answer.body,
                "httpHeaders": answer.headers,
                "httpStatusCode": answer.status,
                "referenceId": reference,
            }
        )


def _part(org: Org, session: Session, exchange: Exchange, part: Fields) -> Answer:
    missing = Refusal(404, "The requested resource does not exist", code="NOT_FOUND")
    try:
        request = part_request(exchange.request, part)
        path = request.segments
        session.effect_key = effect_key_of(request) or exchange.effect_key
        if path[:2] != ["services", "data"] or len(path) < 4 or not VERSION.fullmatch(path[2]):
            raise missing
        if path[3] == "query":
            return org.query(session, request, path[2], path[4:])
        if path[3] != "sobjects" or len(path) < 5:
            raise missing
        return org.sobject(session, request, path[2], path[4:])
    except Refusal as refusal:
        return org.refuse(refusal)


def part_request(outer: Request, part: Fields) -> Request:
    """Make the request that a composite's part stands for."""
    headers = part.get("httpHeaders", {})
    if not isinstance(headers, dict):
        raise Refusal(400, "httpHeaders must be an object", code="JSON_PARSER_ERROR")
    body = json.dumps(part["body"]).encode() if part.get("body") is not None else b""
    target = str(part.get("url", ""))
    # A part's address is a path of the org; the outer prefix is not part of it.
    return replace(outer, method=str(part.get("method", "")), target=target, headers=headers, body=body)


def referred(part: Fields, bodies: dict[str, Any]) -> Fields:
    """Put the answers of earlier sub-requests where `@{reference.path}` asks for them."""

    def lookup(match: re.Match[str]) -> str:
        value: Any = bodies.get(match[1])
        for step in re.findall(r"[A-Za-z_]\w*|\d+", match[2]):
            try:
                value = value[int(step)] if isinstance(value, list) else value[step]
            except (KeyError, IndexError, TypeError, ValueError):
                return match[0]
        return str(value)

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return re.sub(r"@\{(\w+)\.([^}]+)\}", lookup, value)
        if isinstance(value, dict):
            return {name: walk(inner) for name, inner in value.items()}
        return [walk(inner) for inner in value] if isinstance(value, list) else value

    answer: Fields = walk(part)
    return answer
