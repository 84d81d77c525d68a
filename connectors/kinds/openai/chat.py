"""Chat completions: how a conversation is asked there, and how the answer is read."""

from collections.abc import Mapping
from typing import Any

from connectors.base import Unanswered
from connectors.kinds.openai.conversation import ChatArguments, called, usage_of
from connectors.kinds.openai.settings import OpenAIConfig

ENTITY = "chat.completion"


def request(arguments: ChatArguments, config: OpenAIConfig) -> dict[str, Any]:
    """Return the body that asks for the conversation to be continued."""
    body: dict[str, Any] = {
        "model": config.model,
        "messages": [message.model_dump(exclude_none=True) for message in arguments.messages],
        # Kept nowhere but here: customers' data must not stay with the service.
        "store": False,
        "max_tokens" if config.old_token_limit else "max_completion_tokens": arguments.max_tokens,
    }
    if arguments.tools:
        body["tools"] = [tool.model_dump(exclude_none=True) for tool in arguments.tools]
        body["tool_choice"] = arguments.tool_choice
    if arguments.answer is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": arguments.answer.asked()}
    return body


def usage(body: Mapping[str, Any]) -> dict[str, int]:
    """Return what the answer cost."""
    told = body.get("usage") or {}
    return usage_of(told.get("prompt_tokens"), told.get("completion_tokens"), told.get("total_tokens"))


def fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer's parts. Raises ``Unanswered`` where there is none; may raise on members of another shape."""
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise Unanswered("The model answered without a choice.", code="empty")
    choice = choices[0]
    message = choice.get("message") or {}
    return {
        "content": message.get("content") or message.get("refusal"),
        "refused": bool(message.get("refusal")),
        "tool_calls": [called(call.get("id"), call.get("function")) for call in message.get("tool_calls") or []],
        "finish_reason": str(choice.get("finish_reason") or ""),
    }
