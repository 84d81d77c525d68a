"""A model server that a test plays, and a conversation with it."""

import json
from typing import Any

import httpx2

from connectors import gateway
from connectors.models import Connection

ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1767225600, "model": "small-2026-01-01",
    "choices": [{
        "index": 0, "finish_reason": "tool_calls",
        "message": {"role": "assistant", "content": None, "refusal": None, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "release", "arguments": '{"order":"1"}'}},
        ]},
    }],
    "usage": {"prompt_tokens": 82, "completion_tokens": 17, "total_tokens": 99},
}  # fmt: skip
TOOL = {"type": "function", "function": {"name": "release", "parameters": {"type": "object"}, "strict": True}}
ASKED = {
    "messages": [{"role": "system", "content": "Propose."}, {"role": "user", "content": "Anna's order is held."}],
    "tools": [TOOL],
    "tool_choice": "required",
    "max_tokens": 300,
}


class Model:
    """A model server that a test plays."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []
        self.answer: httpx2.Response | Exception = httpx2.Response(200, json=ANSWER, headers={"x-request-id": "r-9"})

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @property
    def sent(self) -> dict[str, Any]:
        return dict(json.loads(self.requests[-1].content))


def ask(connection: Connection, **changes: Any) -> gateway.Answer:
    return gateway.call(connection, "chat.complete", {**ASKED, **changes}, actor="system:loop", incident=7)
