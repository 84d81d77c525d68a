"""The two interfaces by which a model can be asked, each as one choice: what is sent where, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.kinds.openai import chat, responses
from connectors.kinds.openai.conversation import ChatArguments
from connectors.kinds.openai.settings import Interface, OpenAIConfig

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.resources.chat.completions import Completions
    from openai.resources.responses import Responses


@dataclass(frozen=True)
class Way:
    """How a conversation goes out by one interface and comes back."""

    label: str
    entity: str
    resource: Callable[[OpenAI], Completions | Responses]
    request: Callable[[ChatArguments, OpenAIConfig], dict[str, Any]]
    usage: Callable[[Mapping[str, Any]], dict[str, int]]
    fields: Callable[[Mapping[str, Any]], dict[str, Any]]


WAYS: Mapping[Interface, Way] = {
    Interface.CHAT: Way(
        "chat completions", chat.ENTITY, lambda client: client.chat.completions, chat.request, chat.usage, chat.fields
    ),
    Interface.RESPONSES: Way(
        "responses", responses.ENTITY, lambda client: client.responses,
        responses.request, responses.usage, responses.fields,
    ),
}  # fmt: skip
