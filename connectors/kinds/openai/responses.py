"""Responses: the same conversation asked by OpenAI's newer interface, and its answer read into the same parts.

What differs (OpenAI's own API description, version 2.3.0): tools are flat, a call is known by ``call_id`` and not by
the ``id`` of its item, an end is told by ``status``, ``store`` would be on, and a failure may come within a 200.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.base import ConnectorError, RateLimited, Refused, Unanswered
from connectors.kinds.openai.conversation import ChatArguments, Message, called, usage_of
from connectors.kinds.openai.settings import OpenAIConfig

ENTITY = "response"
# Why an answer is incomplete, in the words of chat completions.
_ENDS = {"max_output_tokens": "length", "content_filter": "content_filter"}
_BUSY: dict[str, type[ConnectorError]] = {"rate_limit_exceeded": RateLimited, "server_error": Unanswered}


def request(arguments: ChatArguments, config: OpenAIConfig) -> dict[str, Any]:
    """Return the body that asks for the conversation to be continued."""
    body: dict[str, Any] = {
        "model": config.model,
        "input": [item for message in arguments.messages for item in _items(message)],
        # On where it is not said: customers' data must not stay with the service.
        "store": False,
        "max_output_tokens": arguments.max_tokens,
    }
    if arguments.tools:
        flat = (tool.function.model_dump(exclude_none=True) for tool in arguments.tools)
        body["tools"] = [{"type": "function", "strict": False, **function} for function in flat]
        body["tool_choice"] = _choice(arguments.tool_choice)
    if arguments.answer is not None:
        body["text"] = {"format": {"type": "json_schema", **arguments.answer.asked()}}
    return body


def usage(body: Mapping[str, Any]) -> dict[str, int]:
    """Return what the answer cost."""
    told = body.get("usage") or {}
    return usage_of(told.get("input_tokens"), told.get("output_tokens"), told.get("total_tokens"))


def fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer's parts, as those of a chat completion are called.

    Raises ``RateLimited``, ``Unanswered`` or ``Refused`` where it failed, whatever the HTTP status said, and
    ``Unanswered`` where it has not ended; may raise on members of another shape.
    """
    status = str(body.get("status") or "")
    if status == "failed":
        raise _failure(body.get("error"))
    if status not in ("completed", "incomplete"):
        raise Unanswered(f"The model's answer has not come to its end: {status[:40] or 'no status'}.", code="empty")
    # Reasoning may stand first, and several calls beside each other: by their types, never by their place.
    items = [item for item in body["output"] if isinstance(item, Mapping)]
    calls = [called(item.get("call_id"), item) for item in items if item.get("type") == "function_call"]
    texts, refusals = list(_parts(items, "output_text", "text")), list(_parts(items, "refusal", "refusal"))
    return {
        "content": "".join(texts or refusals) or None,
        "refused": bool(refusals),
        "tool_calls": calls,
        "finish_reason": _end(body) if status == "incomplete" else "tool_calls" if calls else "stop",
    }


def _items(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield {"type": "function_call_output", "call_id": message.tool_call_id or "", "output": message.content or ""}
        return
    if message.content is not None:
        yield {"role": message.role, "content": message.content}
    for call in message.tool_calls or []:
        given = call.get("function")
        function = given if isinstance(given, Mapping) else {}
        named = {"name": function.get("name", ""), "arguments": function.get("arguments", "")}
        yield {"type": "function_call", "call_id": call.get("id", ""), **named}


def _choice(choice: Any) -> Any:
    function = choice.get("function") if isinstance(choice, dict) else None
    return {"type": "function", "name": function.get("name")} if isinstance(function, dict) else choice


def _parts(items: list[Mapping[str, Any]], kind: str, name: str) -> Iterator[str]:
    for item in items:
        if item.get("type") == "message":
            yield from (str(part[name]) for part in item["content"] if part.get("type") == kind)


def _end(body: Mapping[str, Any]) -> str:
    reason = str((body.get("incomplete_details") or {}).get("reason") or "")
    return _ENDS.get(reason, reason or "incomplete")


def _failure(error: Any) -> ConnectorError:
    told = error if isinstance(error, Mapping) else {}
    code, text = str(told.get("code") or "")[:100], str(told.get("message") or "")[:500]
    return _BUSY.get(code, Refused)(f"The model failed: {text or code or 'no reason was given'}", code=code)
